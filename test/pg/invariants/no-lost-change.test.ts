/**
 * Invariant 1: no change is lost. What is new is told by snapshot, the watermark moves with the tasks, and it covers just what was
 * read. Under each test: the broken variant that it finds.
 */
import { expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { createProject, type Project } from '../../support/project.ts'
import { ByHand } from './by-hand.ts'
import { venueComparison, venueDefinition, venueSchema } from './venues.ts'

forEachMajor((major) => {
  test('a change is not lost whose writer commits after the watermark has passed its xid', async () => {
    const project = await freshVenues(major)
    const late = await project.database.connect()
    await late.query('begin; insert into ticket (showtime_id, price) values (1, 5)')

    // Others come and go, and each time the watermark passes the late writer's xid by more.
    for (const showtime of [2, 3, 2]) {
      await project.query('insert into ticket (showtime_id, price) values ($1, 7)', [showtime])
      await project.drain()
      expect((await project.query('select taken::int from venue where id = 1'))[0]).toEqual({ taken: 0 })
    }
    await late.query('commit')
    await project.drain()

    await project.expectFresh(venueComparison)
    // Broken: the watermark is only an xmax (src/capture/snapshot.ts, advance: `open: []`).
  })

  test('a change in a subtransaction counts by its transaction, and one that was rolled back counts for nothing', async () => {
    const project = await freshVenues(major)
    const writer = await project.database.connect()
    await writer.query(`begin; insert into ticket (showtime_id, price) values (1, 1);
      savepoint a; insert into ticket (showtime_id, price) values (2, 2);
      savepoint b; insert into ticket (showtime_id, price) values (3, 4)`)
    await project.query('insert into ticket (showtime_id, price) values (1, 100)')
    await project.drain()
    await writer.query(
      'rollback to b; insert into ticket (showtime_id, price) values (2, 8); release a; savepoint c',
    )
    await project.query('insert into ticket (showtime_id, price) values (1, 200)')
    await project.drain()
    await writer.query('insert into ticket (showtime_id, price) values (3, 16); commit')
    await project.drain()

    await project.expectFresh(venueComparison)
    const entries = await project.query(`select distinct xid::text from pgfresh.change_log where xid in
      (select xid from pgfresh.change_log group by 1 having count(*) > 1)`)
    expect(entries, 'one xid for all of its subtransactions').toHaveLength(1)
    // Broken: entries carry the subtransaction's own xid, or none.
  })

  test.each([
    ['the first one first', ['one', 'two']],
    ['the second one first', ['two', 'one']],
  ] as const)('two long transactions that cross lose nothing: %s', async (_, order) => {
    const project = await freshVenues(major)
    const writers = { one: await project.database.connect(), two: await project.database.connect() }
    await writers.one.query('begin; insert into ticket (showtime_id, price) values (1, 1)')
    await writers.two.query('begin; insert into ticket (showtime_id, price) values (2, 2)')
    await project.query('insert into ticket (showtime_id, price) values (3, 4)')
    await project.drain()
    await writers.one.query('insert into ticket (showtime_id, price) values (2, 8)')
    await writers.two.query('insert into ticket (showtime_id, price) values (1, 16)')
    for (const writer of order) {
      await project.query('insert into ticket (showtime_id, price) values (3, 32)')
      await project.drain()
      await writers[writer].query('commit')
      await project.drain()
      await project.expectFresh(venueComparison)
    }
    // Broken: the watermark is only an xmax; or it forgets who was in progress when it is moved a second time.
  })

  test("what a planner round's own transaction writes is planned by a later round [A1]", async () => {
    const project = await createProject(major, venueSchema)
    // A route that writes: whatever logs in the round's transaction does it with the round's own xid.
    await project.query(`create function mark(v int) returns int language plpgsql as
      $$ begin insert into ticket (showtime_id, price) values (3, 50); return v; end $$`)
    await project.materialize(
      venueDefinition.replace(
        'select venue_id as id from changed',
        'select mark(venue_id) as id from changed',
      ),
    )
    const hands = await ByHand.open(project)
    await hands.finish()
    await project.query('update showtime set venue_id = 1 where id = 2')
    const holder = await project.database.connect()

    // Somebody commits between the moment when the round gets its xid and the moment when it reads.
    const round = hands.round(async () => {
      await holder.query('begin; lock table pgfresh.change_log_3 in access exclusive mode')
    })
    round.catch(() => {})
    await hands.plannerWaits()
    await project.query('insert into ticket (showtime_id, price) values (1, 3)')
    await holder.query('commit')

    expect(await round).toMatchObject({ kind: 'planned' })
    expect((await project.query('select from ticket where price = 50')).length).toBeGreaterThan(0)
    await hands.finish()
    await project.expectFresh(venueComparison)
    // Broken: `advance` without `own` (src/capture/snapshot.ts).
  })

  test('the watermark covers just what was read: a change that commits while the round plans is for the next one [A15]', async () => {
    const project = await freshVenues(major)
    const hands = await ByHand.open(project)
    await project.query('insert into ticket (showtime_id, price) values (1, 1)')
    const holder = await project.database.connect()

    // The round reads the log, and then waits for the queue.
    const round = hands.round(async () => {
      await holder.query('begin; lock table pgfresh.task in access exclusive mode')
    })
    round.catch(() => {})
    await hands.plannerWaits()
    await project.query('insert into ticket (showtime_id, price) values (2, 2)')
    await holder.query('commit')

    expect(await round).toMatchObject({ kind: 'planned' })
    expect(await project.pending()).toMatchObject({ news: true, tasks: 1 })
    await hands.finish()
    await project.expectFresh(venueComparison)
    // Broken: the watermark is stored as pg_current_snapshot() of the statement that stores it.
  })

  test('two planners that race on many small transactions lose nothing [A15]', async () => {
    const project = await freshVenues(major)
    const daemons = [project.start({ pollMs: 10 }), project.start({ pollMs: 10 })]
    const write = async (showtime: number) => {
      const client = await project.database.connect()
      for (let n = 0; n < 150; n += 1)
        await client.query('insert into ticket (showtime_id, price) values ($1, $2)', [showtime, n])
    }

    await Promise.all([1, 2, 3, 1, 2].map(write))
    await project.settle()

    await project.expectFresh(venueComparison)
    await Promise.all(daemons.map((daemon) => daemon.stop()))
  })

  test('the very first task of a database is done, and so are those after it', async () => {
    const project = await createProject(major, 'create table venue (id int primary key, name text)')
    await project.materialize(
      `export const venue = defineColumns({ table: 'venue', columns: { shout: sql\`upper(venue.name)\` } })`,
    )
    const hands = await ByHand.open(project)
    // Rounds that make no task: there is no row yet.
    await hands.round()
    await hands.round()

    await project.query(`insert into venue values (1, 'a')`)
    await hands.round()
    await hands.work()

    expect(await project.pending()).toMatchObject({ tasks: 0 })
    await project.expectFresh({
      stored: 'select id, shout from venue',
      expected: `select id, upper(name) from venue`,
    })
    // Broken: the floor of an empty lane is the sequence's last_value, which is 1 before the first id is taken.
  })

  test('a transaction larger than a window becomes one expand task, and holds nobody up', async () => {
    const project = await createProject(
      major,
      `create table venue (id int primary key); create table ticket (id int primary key, venue_id int, price int);
       insert into venue select n from generate_series(1, 500) n`,
    )
    await project.materialize(takenByVenue)
    await project.drain()
    const hands = await ByHand.open(project)
    await project.query(`insert into ticket select n, n % 500 + 1, n from generate_series(1, 24000) n`)
    await project.query('update ticket set price = price + 1 where id <= 10')

    await hands.round()
    expect(await queued(project)).toEqual([{ kind: 'expand', lane: 'bulk', n: 1 }])
    await hands.round()
    expect(await queued(project)).toEqual([
      { kind: 'expand', lane: 'bulk', n: 1 },
      { kind: 'keys', lane: 'change', n: 1 },
    ])
    await project.drain()

    await project.expectFresh(takenComparison)
    // Broken: a window that is cut inside a transaction covers all of it: what was not read is lost.
  })

  test('a backlog larger than a window is taken in several, and nothing of it is lost', async () => {
    const project = await createProject(
      major,
      `create table venue (id int primary key); create table ticket (id int primary key, venue_id int, price int);
       insert into venue select n from generate_series(1, 500) n`,
    )
    await project.materialize(takenByVenue)
    await project.drain()
    const open = await project.database.connect()
    await open.query('begin; insert into ticket values (-1, 1, 1)')
    for (const from of [0, 9000, 18000, 27000, 36000])
      await project.query(
        'insert into ticket select n, n % 500 + 1, 1 from generate_series($1::int + 1, $1 + 9000) n',
        [from],
      )
    const hands = await ByHand.open(project)

    const outcomes = [await hands.round(), await hands.round(), await hands.round()]
    await open.query('commit')
    await project.drain()

    expect(outcomes.map((one) => one.kind === 'planned' && one.more)).toEqual([true, true, false])
    await project.expectFresh(takenComparison)
    // Broken: the watermark of a cut window is that of a whole one.
  })
})

const takenByVenue = `export const venue = defineColumns({
  table: 'venue',
  columns: { taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)\` },
  dependsOn: { ticket: { via: sql\`select venue_id as id from changed\` } },
})`

const takenComparison = {
  stored: 'select id, taken from venue',
  expected:
    'select v.id, coalesce(sum(t.price), 0) from venue v left join ticket t on t.venue_id = v.id group by v.id',
}

async function freshVenues(major: Major): Promise<Project> {
  const project = await createProject(major, venueSchema)
  await project.materialize(venueDefinition)
  await project.drain()
  return project
}

async function queued(project: Project): Promise<unknown[]> {
  return await project.query(
    `select kind, (array['change', 'bulk', 'expiry', 'backfill'])[lane / 10 + 1] as lane, count(*)::int as n
     from pgfresh.task group by 1, 2 order by 1`,
  )
}
