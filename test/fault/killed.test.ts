/**
 * Invariant 5: batches are idempotent and each is one transaction. kill -9 at any moment loses nothing; the server notices within a
 * second, and another daemon goes on. SIGTERM finishes the batch. A daemon that is stopped in its tracks is in nobody's way.
 */
import { expect, onTestFinished, test } from 'vitest'
import { seededRandom } from '../demo/random.ts'
import { venueComparison, venueDefinition, venueSchema } from '../pg/invariants/venues.ts'
import { forEachMajor, type Major, type RunningCli } from '../support/database.ts'
import { startPostgres } from '../support/postgres.ts'
import { createProject, createProjectOn, type Project } from '../support/project.ts'
import { waitFor } from '../support/wait-for.ts'

/** A compute that lasts as long as a test holds the gate, whatever the lock_timeout. */
const gatedSchema = `
  create table rate (id int primary key, value int);
  create table venue (id int primary key, rate_id int, name text);
  create function gate() returns int language plpgsql volatile as $$ begin
    while not pg_try_advisory_xact_lock_shared(4711) loop perform pg_sleep(0.01); end loop; return 0; end $$;
  insert into rate values (1, 1), (2, 1);
  insert into venue values (1, 1), (2, 2)`

const gatedDefinition = `export const venue = defineColumns({
  table: 'venue',
  columns: { rate: sql\`(select r.value + gate() from rate r where r.id = venue.rate_id)\` },
  dependsOn: { rate: { via: sql\`select v.id from changed r join venue v on v.rate_id = r.id\` } },
})`

const gatedComparison = {
  stored: 'select id, rate, materialized_at is not null from venue',
  expected: 'select v.id, r.value, true from venue v join rate r on r.id = v.rate_id',
}

/** A worker in the middle of its compute. */
const computing = `select from pg_stat_activity where datname = current_database() and application_name like 'pgfresh worker%'
  and state = 'active' and wait_event = 'PgSleep'`

forEachMajor((major) => {
  test('a kill -9 in a batch loses nothing: its backend is gone within two seconds, and another daemon goes on', async () => {
    const project = await gated(major)
    const gate = await project.database.connect()
    await gate.query('select pg_advisory_lock(4711)')
    const killed = project.startRun(['--no-listen', '--poll', '20'])
    await project.query('update rate set value = 7 where id = 1')
    await inABatch(project, killed)

    killed.child.kill('SIGKILL')
    await waitFor('its backend to be gone', async () => (await project.query(computing)).length === 0, {
      timeoutMs: 2_000,
    })
    const heir = project.start({ listen: true })
    await waitFor('the heir to be in the same batch', async () => (await project.query(computing)).length > 0)
    await gate.query('select pg_advisory_unlock(4711)')
    await project.settle()

    await project.expectFresh(gatedComparison)
    await heir.stop()
    // Broken: client_connection_check_interval is not set: the backend of a busy compute stays, and with it the claim.
  })

  test('a daemon that sleeps takes over what a killed one was doing', async () => {
    const project = await gated(major)
    const gate = await project.database.connect()
    const heir = project.start({ listen: true, workers: 1 })
    await gate.query('select pg_advisory_lock(4711)')
    const killed = project.startRun(['--no-listen', '--poll', '10', '--workers', '4'])
    await waitFor('the other daemon to be there', async () => {
      return (await project.query('select from pgfresh.daemon')).length === 2
    })
    // Four tasks, so that the other one has at least three of them.
    for (const value of [3, 4, 5, 6]) await project.query('update rate set value = $1', [value])
    await inABatch(project, killed)

    killed.child.kill('SIGKILL')
    await gate.query('select pg_advisory_unlock(4711)')
    await project.settle(8_000)

    await project.expectFresh(gatedComparison)
    await heir.stop()
    // Broken: a daemon whose bell is armed sleeps for half a minute though somebody else's tasks are not done.
  })

  test('kill -9 again and again, at any moment, under writers: in the end everything is as it must be', async () => {
    const project = await createProject(major, venueSchema)
    await project.materialize(venueDefinition)
    await project.query('insert into venue select n, 1 + n % 2 from generate_series(4, 400) n')
    const random = seededRandom(major)
    const writer = await project.database.connect()
    let writes = true
    const writing = (async () => {
      while (writes) {
        const showtime = random.between(1, 3)
        await writer.query('insert into ticket (showtime_id, price) values ($1, 1)', [showtime])
        if (random.chance(0.2)) await writer.query(`update cinema set country = country || 'x' where id = 1`)
        if (random.chance(0.1))
          await writer.query('update showtime set venue_id = $1 where id = $2', [
            random.between(1, 3),
            showtime,
          ])
      }
    })()

    for (let kills = 0; kills < 5; kills += 1) {
      const daemon = project.startRun(['--no-listen', '--poll', '10'])
      const seen = await watermark(project)
      const rounds = random.between(1, 40)
      await waitFor('it to have planned a while', async () => (await watermark(project)) >= seen + rounds)
      daemon.child.kill('SIGKILL')
      await daemon.exit
    }
    writes = false
    await writing
    await project.drain()

    await project.expectFresh(venueComparison)
    expect(await project.pending()).toEqual({ news: false, tasks: 0, deferred: 0, walks: 0 })
  })

  test('SIGTERM in a batch finishes it, and leaves within five seconds with exit code 0', async () => {
    const project = await gated(major)
    const gate = await project.database.connect()
    await gate.query('select pg_advisory_lock(4711)')
    const daemon = project.startRun(['--poll', '20'])
    await project.query('update rate set value = 7 where id = 1')
    await inABatch(project, daemon)

    const asked = performance.now()
    daemon.child.kill('SIGTERM')
    await gate.query('select pg_advisory_unlock(4711)')
    const { code } = await daemon.exit

    expect(code).toBe(0)
    expect(performance.now() - asked).toBeLessThan(5_000)
    await project.expectFresh(gatedComparison)
    expect(await project.query('select from pgfresh.daemon')).toEqual([])
  })

  test('SIGTERM in a batch that does not end cuts it off: exit within five seconds, and the task stays', async () => {
    const project = await gated(major)
    const gate = await project.database.connect()
    await gate.query('select pg_advisory_lock(4711)')
    const daemon = project.startRun(['--poll', '20'])
    await project.query('update rate set value = 7 where id = 1')
    await inABatch(project, daemon)

    const asked = performance.now()
    daemon.child.kill('SIGTERM')
    await daemon.exit

    expect(performance.now() - asked).toBeLessThan(5_500)
    await waitFor('its backend to be gone', async () => (await project.query(computing)).length === 0)
    expect(await project.pending()).toMatchObject({ tasks: 1 })
    await gate.query('select pg_advisory_unlock(4711)')
    await project.drain()
    await project.expectFresh(gatedComparison)
  })

  test('a daemon that is stopped in its tracks holds no writer up, and others do its work', async () => {
    const project = await gated(major)
    const gate = await project.database.connect()
    await gate.query('select pg_advisory_lock(4711)')
    const stopped = project.startRun(['--no-listen', '--poll', '20'])
    await project.query('update rate set value = 7 where id = 1')
    await inABatch(project, stopped)

    stopped.child.kill('SIGSTOP')
    await gate.query('select pg_advisory_unlock(4711)')
    const asked = performance.now()
    await project.query(`update venue set name = 'written' where id = 1`)
    expect(performance.now() - asked).toBeLessThan(1_500)
    const other = project.start()
    await project.query('update rate set value = 8 where id = 2')
    await project.settle()
    await project.expectFresh(gatedComparison)

    // And once it wakes, it goes on as if nothing had been.
    await other.stop()
    stopped.child.kill('SIGCONT')
    await project.query('update rate set value = 9')
    await project.settle()
    await project.expectFresh(gatedComparison)
    // Broken: a batch is several messages, and its row locks wait for the next one.
  })

  test('a server that crashes and comes back finds a daemon that goes on', async () => {
    // What was committed must be there after the crash.
    const server = await startPostgres({ major, durable: true })
    onTestFinished(() => server.stop())
    const project = await createProjectOn(server, venueSchema)
    await project.materialize(venueDefinition)
    const daemon = project.start({ listen: true })
    await project.query('insert into ticket (showtime_id, price) values (1, 5)')
    await project.settle()

    for (const showtime of [2, 3]) {
      await server.restart('immediate')
      await waitFor('a connection', () => project.query('select 1'))
      await project.query('insert into ticket (showtime_id, price) values ($1, 7)', [showtime])
      await project.settle()
      await project.expectFresh(venueComparison)
    }
    await daemon.stop()
  })
})

async function gated(major: Major): Promise<Project> {
  const project = await createProject(major, gatedSchema)
  await project.materialize(gatedDefinition)
  await project.drain()
  return project
}

async function inABatch(project: Project, daemon: RunningCli): Promise<void> {
  await waitFor('the daemon to be in the middle of a batch', async () => {
    if (daemon.child.exitCode !== null) throw new Error(`it ended: ${daemon.stderr()}`)
    return (await project.query(computing)).length > 0
  })
}

async function watermark(project: Project): Promise<number> {
  const [row] = await project.query<{ id: number }>('select max(id)::int as id from pgfresh.watermark')
  return row?.id ?? 0
}
