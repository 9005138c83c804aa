/**
 * Everything at once, at random: writers that re-point, delete, change keys, roll back and write into our columns, over a chain of
 * three tables and a second level of materializations; daemons whose sessions are terminated; a log that rotates. At rest every
 * value equals an independent query's, and nothing is pending.
 *
 * The seed is printed; PGFRESH_TEST_SEED=<seed> takes the same choices again (not the same moments).
 */
import type pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { rotate } from '../../src/capture/rotation.ts'
import { Session } from '../../src/db/session.ts'
import { type Random, seededRandom } from '../demo/random.ts'
import { forEachMajor } from '../support/database.ts'
import { createProject, type Project } from '../support/project.ts'
import { waitFor } from '../support/wait-for.ts'

const phases = 10
const writers = 5
const transactions = 25

const schema = `
  create table region (id int primary key, name text);
  create table venue (id int primary key, region_id int, name text);
  create table showtime (id int primary key, venue_id int, name text);
  create table ticket (id bigint generated always as identity primary key, showtime_id int, price numeric(8, 2), note text);
  create index on venue (region_id); create index on showtime (venue_id); create index on ticket (showtime_id);
  insert into region select n, 'r' || n from generate_series(1, 4) n;
  insert into venue select n, n % 4 + 1, 'v' || n from generate_series(1, 12) n;
  insert into showtime select n, n % 12 + 1, 's' || n from generate_series(1, 30) n;
  insert into ticket (showtime_id, price) select n % 30 + 1, n % 7 from generate_series(1, 300) n`

const definitions = `
  export const showtime = defineColumns({
    table: 'showtime',
    query: sql\`select t.showtime_id as id, count(*) as tickets, sum(t.price) as taken from ticket t group by t.showtime_id\`,
    defaults: { tickets: 0, taken: 0 },
    dependsOn: { ticket: { via: sql\`select showtime_id as id from changed\` } },
  })
  export const venue = defineColumns({
    table: 'venue',
    columns: {
      taken: sql\`(select coalesce(sum(t.price), 0) from showtime s join ticket t on t.showtime_id = s.id where s.venue_id = venue.id)\`,
      region_name: sql\`(select r.name from region r where r.id = venue.region_id)\`,
    },
    dependsOn: {
      showtime: { via: sql\`select venue_id as id from changed\` },
      ticket: { via: sql\`select s.venue_id as id from changed t join showtime s on s.id = t.showtime_id\` },
      region: { via: sql\`select v.id from changed r join venue v on v.region_id = r.id\` },
    },
  })
  // The second level: it reads what the two others wrote.
  export const region = defineColumns({
    table: 'region',
    columns: {
      taken: sql\`(select coalesce(sum(v.taken), 0) from venue v where v.region_id = region.id)\`,
      tickets: sql\`(select coalesce(sum(s.tickets), 0) from venue v join showtime s on s.venue_id = v.id where v.region_id = region.id)\`,
    },
    dependsOn: {
      venue: { via: sql\`select region_id as id from changed\` },
      showtime: { via: sql\`select v.region_id as id from changed s join venue v on v.id = s.venue_id\` },
    },
  })`

const comparisons = [
  {
    stored: 'select id, tickets, taken, materialized_at is not null from showtime',
    expected: `select s.id, (select count(*) from ticket t where t.showtime_id = s.id),
      coalesce((select sum(price) from ticket t where t.showtime_id = s.id), 0), true from showtime s`,
  },
  {
    stored: 'select id, taken, region_name, materialized_at is not null from venue',
    expected: `
      with t as (select s.venue_id, sum(t.price) as taken from ticket t, showtime s where s.id = t.showtime_id group by 1)
      select v.id, coalesce(t.taken, 0), r.name, true from venue v left join t on t.venue_id = v.id left join region r on r.id = v.region_id`,
  },
  {
    stored: 'select id, taken, tickets, materialized_at is not null from region',
    expected: `
      with t as (select v.region_id, sum(t.price) as taken, count(*) as tickets from ticket t, showtime s, venue v
        where s.id = t.showtime_id and v.id = s.venue_id group by 1)
      select r.id, coalesce(t.taken, 0), coalesce(t.tickets, 0), true from region r left join t on t.region_id = r.id`,
  },
]

forEachMajor((major) => {
  test('at rest every value is what an independent query says, whatever came before', async () => {
    const seed = Number(process.env.PGFRESH_TEST_SEED ?? Math.floor(Math.random() * 1_000_000))
    process.stderr.write(`random test on PostgreSQL ${major}: PGFRESH_TEST_SEED=${seed}\n`)
    const project = await createProject(major, schema)
    project.patienceMs = 40_000
    await project.materialize(definitions)
    const daemons = [project.start({ pollMs: 20, listen: true }), project.start({ pollMs: 20, workers: 3 })]

    await waitFor(
      'both daemons',
      async () => (await project.query('select from pgfresh.daemon')).length === 2,
    )

    for (let phase = 0; phase < phases; phase += 1) {
      const stop = new AbortController()
      const trouble = [
        terminateSessions(project, seededRandom(seed * 100 + phase), stop.signal),
        rotateLog(project, stop.signal),
      ]
      const work = Array.from({ length: writers }, (_, at) =>
        write(project, seededRandom(seed * 1000 + phase * 10 + at), phase % 3 === 2),
      )
      await Promise.all(work)
      stop.abort()
      await Promise.all(trouble)
      await project.settle()

      for (const comparison of comparisons)
        await project.expectFresh(comparison, `seed ${seed}, phase ${phase}`)
      expect(await project.query('select * from pgfresh.quarantine'), `seed ${seed}, phase ${phase}`).toEqual(
        [],
      )
    }
    await Promise.all(daemons.map((daemon) => daemon.stop()))
    expect(
      project.logged.filter((line) => line.message === 'the log has entries of an unknown capture'),
    ).toEqual([])
  })
})

/**
 * One writer: some transactions, each of some statements. `all`: also what makes every row stale, which would hide a lost change
 * of any one of them.
 */
async function write(project: Project, random: Random, all: boolean): Promise<void> {
  const client = await project.database.connect()
  for (let n = 0; n < transactions; n += 1) {
    try {
      await client.query('begin')
      for (let statements = random.between(1, 5); statements > 0; statements -= 1)
        await writeOnce(client, statement(random, all), random)
      await client.query(random.chance(0.85) ? 'commit' : 'rollback')
    } catch (error) {
      // Writers deadlock among themselves; so it is with writers.
      if ((error as { code?: string }).code !== '40P01') throw error
      await client.query('rollback')
    }
  }
  await client.end()
}

/** One statement in a savepoint, which is kept, rolled back, or failed on a key that exists. */
async function writeOnce(client: pg.Client, sql: string, random: Random): Promise<void> {
  await client.query('savepoint s')
  try {
    await client.query(sql)
    await client.query(random.chance(0.9) ? 'release s' : 'rollback to s')
  } catch (error) {
    if ((error as { code?: string }).code !== '23505') throw error
    await client.query('rollback to s')
  }
}

function statement(random: Random, all: boolean): string {
  const region = () => random.between(1, 6)
  const venue = () => random.between(1, 16)
  const showtime = () => random.between(1, 40)
  const aTicket = () => `id = (select id from ticket order by id offset ${random.between(0, 200)} limit 1)`
  return random.oneOf([
    () => `insert into ticket (showtime_id, price) values (${showtime()}, ${random.between(0, 90) / 10})`,
    () =>
      `insert into ticket (showtime_id, price) select n % 40, n % 5 from generate_series(1, ${random.between(2, 60)}) n`,
    () => `update ticket set price = price + ${random.between(0, 2)} where ${aTicket()}`,
    () => `update ticket set showtime_id = ${showtime()} where ${aTicket()}`,
    () => `update ticket set note = 'unread' where showtime_id = ${showtime()}`,
    () => `delete from ticket where showtime_id = ${showtime()} and id % 3 = 0`,
    () => `update showtime set venue_id = ${venue()} where id = ${showtime()}`,
    () => `update showtime set venue_id = ${venue()} where venue_id = ${venue()}`,
    () => `update showtime set venue_id = null where id = ${showtime()}`,
    () => `update showtime set id = ${showtime()} where id = ${showtime()}`,
    () => `insert into showtime values (${showtime()}, ${venue()}, 'new')`,
    () => `delete from showtime where id = ${showtime()}`,
    () => `update venue set region_id = ${region()} where id = ${venue()}`,
    () => `update venue set id = ${venue()} where id = ${venue()}`,
    () =>
      `insert into venue (id, region_id, name, taken, materialized_at) values (${venue()}, ${region()}, 'new', 5, now())`,
    () => `delete from venue where id = ${venue()}`,
    () => `update region set name = name || 'x' where id = ${region()}`,
    () => `insert into region (id, name) values (${region()}, 'new')`,
    () => `delete from region where id = ${region()} and id > 2`,
    // What others write into our columns.
    () => `update venue set taken = -1, materialized_at = now() where id = ${venue()}`,
    () => `update showtime set materialized_at = null where id = ${showtime()}`,
    () => `select pgfresh.refresh('venue', '[${venue()}, ${venue()}]')`,
    () => (all ? `select pgfresh.refresh('region')` : 'select 1'),
    () => (all && random.chance(0.3) ? 'truncate ticket' : 'select 1'),
  ])()
}

/** Ends a session of the daemons now and then: a worker in its batch, a planner in its round. */
async function terminateSessions(project: Project, random: Random, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await project.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name like 'pgfresh%' and state <> 'idle' and random() < $1 limit 1`,
      [random.chance(0.5) ? 0.3 : 0],
    )
    await project.query('select pg_sleep($1)', [random.between(20, 120) / 1000])
  }
}

async function rotateLog(project: Project, signal: AbortSignal): Promise<void> {
  const session = await Session.open({ url: project.database.url }, 'rotation of a test')
  onTestFinished(() => session.close())
  while (!signal.aborted) {
    if (session.lost) return
    await rotate(session, { logSlot: 16_384, queue: 8_192 }).catch(() => {})
    await project.query('select pg_sleep(0.05)')
  }
  await session.close()
}
