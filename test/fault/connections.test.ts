/**
 * What lies between a daemon and its server: a pooler, cut and silent connections, the bell and its race. Nothing is lost with any
 * of them, and nobody waits for a daemon that doesn't answer.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { waitForLock } from '../pg/invariants/by-hand.ts'
import { venueComparison, venueDefinition, venueSchema } from '../pg/invariants/venues.ts'
import { forEachMajor, type Major, runCli, sharedServer } from '../support/database.ts'
import { findPgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { startPostgres } from '../support/postgres.ts'
import { createProject, createProjectOn, type Project } from '../support/project.ts'
import { startProxy, type TcpProxy } from '../support/proxy.ts'
import { waitFor } from '../support/wait-for.ts'

forEachMajor((major) => {
  test.runIf(findPgbouncer() !== undefined)(
    'through pgbouncer in transaction mode everything works but the bell, and nothing is left behind in its connections',
    async () => {
      const project = await createProject(major, venueSchema)
      // So few server connections that every transaction lands on another one.
      const bouncer = await startPgbouncer({ server: sharedServer(major), poolSize: 6 })
      if (bouncer === undefined) throw new Error('no pgbouncer')
      onTestFinished(() => bouncer.stop())
      const url = bouncer.url(project.database.url)

      await project.materialize(venueDefinition, { url })
      const daemons = [project.start({ url, listen: true }), project.start({ url, workers: 3 })]
      for (let n = 0; n < 60; n += 1) {
        await project.query('insert into ticket (showtime_id, price) values ($1, $2)', [(n % 3) + 1, n])
        if (n % 10 === 0) await project.query('update showtime set venue_id = 4 - venue_id where id = 1')
      }
      await project.settle()
      await project.expectFresh(venueComparison)
      await project.materialize(venueDefinition.replace('sum(t.price)', 'sum(2 * t.price)'), { url })
      await project.settle()
      await project.expectFresh({
        ...venueComparison,
        expected: venueComparison.expected.replace('sum(t.price)', 'sum(2 * t.price)'),
      })
      await waitFor('the daemon to have given up listening', () =>
        project.hasLogged('NOTIFY does not arrive here (a connection pooler?): polling instead'),
      )
      const verified = await runCli(['verify', '--all'], { env: { DATABASE_URL: url } })
      expect(verified).toMatchObject({ code: 0 })
      const locks = await project.query(
        `select from pg_locks l join pg_database d on d.oid = l.database where l.locktype = 'advisory' and d.datname = current_database()`,
      )
      expect(locks, 'session locks that stay on a pooled connection').toEqual([])
      await Promise.all(daemons.map((daemon) => daemon.stop()))
    },
  )

  describe('the bell', () => {
    test('wakes a daemon that sleeps for long', async () => {
      const project = await venues(major)
      const daemon = project.start({ listen: true, pollMs: 100 })
      for (let n = 1; n <= 3; n += 1) {
        await asleep(project)
        const rung = performance.now()
        await project.query('insert into ticket (showtime_id, price) values (1, 1)')
        await taken(project, n)
        expect(performance.now() - rung).toBeLessThan(1_500)
      }
      await daemon.stop()
      // Broken: nobody NOTIFYs. Then it is thirty seconds.
    })

    test('is not lost with a writer that looked while the daemon was awake and commits when it sleeps', async () => {
      const project = await venues(major)
      const writer = await project.database.connect()
      // It finds nobody asleep, so it will not ring.
      await writer.query('begin; insert into ticket (showtime_id, price) values (1, 1)')
      const daemon = project.start({ listen: true, pollMs: 100 })
      // It may look as often as it likes.
      await atRest(project)

      await writer.query('commit')
      await taken(project, 1)

      await asleep(project)
      await daemon.stop()
      // Broken: the writer gives its share of the lock back at once, and the daemon sleeps for long as soon as it has it.
    })

    test('rings no daemon that is awake or dead: writers notify nobody', async () => {
      const project = await venues(major)
      const listener = await project.database.connect()
      const heard: string[] = []
      listener.on('notification', ({ channel }) => heard.push(channel))
      await listener.query('listen pgfresh_bell')

      await project.query('insert into ticket (showtime_id, price) values (1, 1)')
      await listener.query('select 1')
      expect(heard).toEqual([])
      const daemon = project.start({ listen: true, pollMs: 100 })
      await asleep(project)
      heard.length = 0
      await project.query('insert into ticket (showtime_id, price) values (1, 1)')
      await waitFor('a ring', () => heard.length > 0)
      await daemon.stop()
      heard.length = 0
      await project.query('insert into ticket (showtime_id, price) values (1, 1)')
      await listener.query('select 1')

      expect(heard).toEqual([])
    })

    test('is rung by one transaction for all of its changes, and by none that is rolled back', async () => {
      const project = await venues(major)
      const daemon = project.start({ listen: true, pollMs: 100 })
      await asleep(project)
      const listener = await project.database.connect()
      const heard: string[] = []
      listener.on('notification', ({ channel }) => heard.push(channel))
      await listener.query('listen pgfresh_bell')

      await project.query('begin; insert into ticket (showtime_id, price) values (1, 1); rollback')
      await project.query(
        'begin; insert into ticket (showtime_id, price) values (1, 1); insert into ticket (showtime_id, price) values (2, 1); update showtime set venue_id = 2 where id = 1; commit',
      )
      await waitFor('the ring', () => heard.length > 0)
      await project.settle()

      expect(heard).toEqual(['pgfresh_bell'])
      await project.expectFresh(venueComparison)
      await daemon.stop()
    })

    test('is not relied on where writers may not ring: with prepared transactions, which are captured too', async () => {
      const server = await startPostgres({ major, settings: { max_prepared_transactions: '10' } })
      onTestFinished(() => server.stop())
      const project = await createProjectOn(server, venueSchema)
      await project.materialize(venueDefinition)
      const daemon = project.start({ listen: true, pollMs: 100 })

      for (let n = 1; n <= 3; n += 1) {
        await atRest(project)
        await project.query('insert into ticket (showtime_id, price) values (2, 1)')
        await waitFor(
          'the change to be computed',
          async () =>
            (await project.query('select from venue where id = 2 and taken = $1', [n])).length === 1,
          { timeoutMs: 5_000 },
        )
      }
      const writer = await project.database.connect()
      await writer.query(
        `begin; insert into ticket (showtime_id, price) values (1, 1); prepare transaction 'one'`,
      )
      await project.query('insert into ticket (showtime_id, price) values (3, 1)')
      await project.settle()
      await project.query(`commit prepared 'one'`)
      await waitFor(
        'the prepared change to be computed',
        async () => (await project.query('select from venue where id = 1 and taken = 1')).length === 1,
        { timeoutMs: 5_000 },
      )

      await project.expectFresh(venueComparison)
      await daemon.stop()
      // Broken: the daemon sleeps for half a minute with its bell armed, and nobody rings.
    })

    test('is given up with its connection, and taken again', async () => {
      const project = await venues(major)
      const daemon = project.start({ listen: true, pollMs: 100 })
      await asleep(project)

      for (const session of ['pgfresh listener', 'pgfresh bell']) {
        await project.query(
          'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = $1',
          [session],
        )
        await project.query('insert into ticket (showtime_id, price) values (3, 1)')
        await project.settle(5_000)
        await asleep(project)
        await project.query('insert into ticket (showtime_id, price) values (3, 1)')
        await project.settle(3_000)
      }

      await project.expectFresh(venueComparison)
      await daemon.stop()
    })
  })

  describe('connections', () => {
    test('that are cut at any moment are made anew, and nothing is lost', async () => {
      const project = await venues(major)
      const proxy = await proxyTo(major)
      const daemon = project.start({ url: proxy.url(project.database.url), listen: true, pollMs: 20 })
      await waitFor('its connections', () => proxy.connections >= 3)

      for (let cuts = 0; cuts < 6; cuts += 1) {
        for (let n = 0; n < 10; n += 1)
          await project.query('insert into ticket (showtime_id, price) values ($1, 1)', [(n % 3) + 1])
        proxy.cut()
        await project.query('update showtime set venue_id = 4 - venue_id where id = 1')
        if (cuts % 2 === 0) await project.settle()
      }
      await project.settle()

      await project.expectFresh(venueComparison)
      await daemon.stop()
    })

    test('that fall silent hold nobody up: another daemon does everything, and the first goes on once they answer', async () => {
      const project = await venues(major)
      const proxy = await proxyTo(major)
      const silent = project.start({ url: proxy.url(project.database.url), pollMs: 10, workers: 3 })
      const writer = await project.database.connect()
      let writes = true
      const writing = (async () => {
        for (let n = 0; writes; n += 1) {
          await writer.query('insert into ticket (showtime_id, price) values ($1, 1)', [(n % 3) + 1])
          await writer.query('update venue set name = $1 where id = $2', [`n${n}`, (n % 3) + 1])
        }
      })()
      await waitFor(
        'it to be busy',
        async () => (await project.query('select from venue where taken > 5')).length > 0,
      )

      // In the middle of a round: it has the turn, and its client will never know.
      const holder = await project.database.connect()
      await holder.query('begin; lock table pgfresh.state in exclusive mode')
      await waitForLock(project, 'pgfresh planner')
      proxy.freeze()
      await holder.query('commit')
      const other = project.start({ pollMs: 10 })
      const [{ n } = { n: 0 }] = await project.query<{ n: number }>('select count(*)::int as n from ticket')
      await waitFor(
        'the other one to have caught up with what was there',
        async () => (await project.query('select from venue having sum(taken) >= $1', [n])).length === 1,
        { timeoutMs: 12_000 },
      )
      writes = false
      await writing
      await project.settle()
      await project.expectFresh(venueComparison)

      await other.stop()
      proxy.thaw()
      await project.query('insert into ticket (showtime_id, price) values (2, 100)')
      await project.settle()
      await project.expectFresh(venueComparison)
      await silent.stop()
      // Broken: no idle_in_transaction_session_timeout: a round that lost its client keeps its turn for ever.
    })

    test('whose sessions are terminated one by one are made anew', async () => {
      const project = await venues(major)
      const daemon = project.start({ listen: true, pollMs: 20 })
      await waitFor(
        'it to be there',
        async () => (await project.query('select from pgfresh.daemon')).length > 0,
      )
      for (let n = 0; n < 12; n += 1) {
        await project.query('insert into ticket (showtime_id, price) values ($1, 1)', [(n % 3) + 1])
        await project.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and application_name like 'pgfresh%' order by md5(pid || $1::text) limit 2`,
          [n],
        )
      }

      await project.settle()

      await project.expectFresh(venueComparison)
      await daemon.stop()
    })
  })
})

async function venues(major: Major): Promise<Project> {
  const project = await createProject(major, venueSchema)
  await project.materialize(venueDefinition)
  await project.drain()
  return project
}

async function proxyTo(major: Major): Promise<TcpProxy> {
  const { host, port } = sharedServer(major)
  const proxy = await startProxy({ target: { host, port } })
  onTestFinished(() => proxy.stop())
  return proxy
}

async function taken(project: Project, sum: number): Promise<void> {
  await waitFor(
    `venue 1 to have taken ${sum}`,
    async () => (await project.query('select from venue where id = 1 and taken = $1', [sum])).length === 1,
    { timeoutMs: 8_000, everyMs: 5 },
  )
}

async function bellIsHeld(project: Project): Promise<boolean> {
  const rows = await project.query(
    `select from pg_locks l join pg_database d on d.oid = l.database
     where l.locktype = 'advisory' and l.classid = 7331001 and l.mode = 'ExclusiveLock' and l.granted and d.datname = current_database()`,
  )
  return rows.length > 0
}

/** When the planner looked last. */
async function planned(project: Project): Promise<string> {
  const [row] = await project.query<{ at: string }>(
    `select max(state_change)::text as at from pg_stat_activity where datname = current_database() and application_name = 'pgfresh planner'`,
  )
  return row?.at ?? ''
}

/** Either way of resting has begun: it has looked a dozen times in vain, or it has not looked for far longer than it would by polling. */
async function atRest(project: Project): Promise<void> {
  const looks = new Set<string>()
  await waitFor('the planner to rest', async () => {
    looks.add(await planned(project))
    return looks.size > 12 || (await sleeps(project))
  })
}

async function sleeps(project: Project): Promise<boolean> {
  const rows = await project.query(
    `select from pg_stat_activity where datname = current_database() and application_name = 'pgfresh planner'
       and state = 'idle' and state_change < clock_timestamp() - interval '600 ms'`,
  )
  return rows.length > 0
}

/** The bell is held, and the planner has not looked for far longer than it would without. */
async function asleep(project: Project): Promise<void> {
  await waitFor('the daemon to sleep', async () => (await sleeps(project)) && (await bellIsHeld(project)))
}
