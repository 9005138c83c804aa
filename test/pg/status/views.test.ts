/**
 * What the report says of views in states that are made one by one, and that it reads bookkeeping only.
 */
import { expect, test } from 'vitest'
import { Session } from '../../../src/db/session.ts'
import { report } from '../../../src/status/read-report.ts'
import type { Report } from '../../../src/status/report.ts'
import type { ViewReport } from '../../../src/status/view-report.ts'
import { forEachMajor, freshDatabase, type Major, type TestDatabase } from '../../support/database.ts'
import { addExecution, makeEvents, makeView, setState } from './views.ts'

forEachMajor((major) => {
  test('a view that was refreshed and is not due is fresh, with when, how long, how much and what comes', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database, { declared: true })
    await addExecution(database, id, { outcome: 'refreshed', ago: '3 minutes', took: '1500 ms', rows: 10 })

    const view = await look()
    expect(view).toMatchObject({
      project: 'default',
      name: 'big_event definition',
      view: 'big_event',
      state: 'fresh',
      paused: false,
      rebuild: false,
      running: null,
      failures: 0,
      every: '00:10:00',
      cron: null,
      timeZone: 'UTC',
      lastRefreshMs: 1500,
      lastExecution: { outcome: 'refreshed', triggeredBy: 'schedule', concurrent: true },
      rowsEstimated: 10,
      bytes: 1000,
      lastError: null,
    })
    expect(view.lastRefreshedAgeMs).toBeGreaterThanOrEqual(180_000)
    expect(view.nextRefreshInMs).toBeGreaterThan(400_000)
    expect(view.nextRefreshInMs).toBeLessThanOrEqual(420_000)
    expect(Date.parse(view.nextRefreshAt ?? '') - Date.parse(view.lastRefreshedAt ?? '')).toBe(600_000)
  })

  test("people's own rows are there with no project, and not in the report of one", async () => {
    const { database, all } = await prepared(major)
    await makeView(database, { name: 'own' })
    await makeView(database, { name: 'declared', declared: true, project: 'films' })

    expect((await all()).views.map(({ view, project }) => [view, project])).toEqual([
      ['declared', 'films'],
      ['own', null],
    ])
    expect((await all('films')).views).toMatchObject([{ view: 'declared' }])
  })

  test('the duration is that of the last refresh, the outcome that of the last execution', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database)
    await addExecution(database, id, { outcome: 'refreshed', ago: '30 minutes', took: '2 s', rows: 7 })
    await addExecution(database, id, { outcome: 'skipped', ago: '3 minutes', took: '0 s' })

    expect(await look()).toMatchObject({
      lastRefreshMs: 2000,
      lastExecution: { outcome: 'skipped' },
      rowsEstimated: 7,
    })
  })

  test('without a history rows and size are those of the catalog, and none if it has none', async () => {
    const { database, look } = await prepared(major)
    await makeView(database)
    expect(await look()).toMatchObject({ rowsEstimated: null, bytes: null })

    await database.query('analyze big_event')
    expect(await look()).toMatchObject({ rowsEstimated: 10, bytes: 8192 })
  })

  test('a view whose time has come is due, one that somebody asked for too', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database)
    await setState(database, id, `next_at = now() - interval '2 s'`)
    const due = await look()
    expect(due.state).toBe('due')
    expect(due.nextRefreshInMs).toBeLessThanOrEqual(-2000)

    await setState(database, id, `next_at = now() + interval '1 hour'`)
    expect(await look()).toMatchObject({ state: 'fresh' })
    await database.query(`insert into pgfresh.view_prompt (schedule, reason) values ($1, 'request')`, [id])
    expect(await look()).toMatchObject({ state: 'due' })
  })

  test('a view is being refreshed while a session holds its lock, whatever else is true', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database)
    await setState(database, id, 'failures = 1, attempted_at = now()')
    const refresher = await database.connect()
    await refresher.query('begin')
    await refresher.query('select pg_advisory_xact_lock(7331003, $1)', [id])
    const [own] = (await refresher.query<{ pid: number }>('select pg_backend_pid() as pid')).rows

    const view = await look()
    expect(view).toMatchObject({
      state: 'refreshing',
      running: { pid: own?.pid },
      failures: 0,
      nextRefreshAt: null,
    })
    expect(view.running?.ageMs).toBeGreaterThanOrEqual(0)
    expect(Date.parse(view.running?.since ?? '')).not.toBeNaN()

    await refresher.query('rollback')
    expect((await look()).state).not.toBe('refreshing')
  })

  test('a lock of the same number in another database, or of another kind, is no refresh', async () => {
    const { database, look } = await prepared(major)
    const other = await freshDatabase(major)
    const id = await makeView(database)
    const elsewhere = await other.connect()
    await elsewhere.query('select pg_advisory_lock(7331003, $1)', [id])
    const here = await database.connect()
    await here.query('select pg_advisory_lock((7331003::bigint << 32) | $1)', [id])

    expect(await look()).toMatchObject({ state: 'fresh', running: null })
  })

  test('failed attempts are counted, with the error and when the next try comes', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database)
    await setState(
      database,
      id,
      `failures = 3, attempted_at = now() - interval '8 s', error = 'division by zero'`,
    )
    await addExecution(database, id, { outcome: 'failed', ago: '7 s', error: 'division by zero' })

    const view = await look()
    expect(view).toMatchObject({ state: 'failing', failures: 3, lastExecution: { outcome: 'failed' } })
    expect(view.lastError?.error).toBe('division by zero')
    expect(view.lastError?.ageMs).toBeLessThan(8000)
    // 5 s, 10 s, 20 s after the attempt.
    expect(view.nextRefreshInMs).toBeGreaterThan(8_000)
    expect(view.nextRefreshInMs).toBeLessThanOrEqual(12_000)
  })

  test('an attempt that a crash ended is a failure that nobody noted', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database)
    await setState(database, id, `failures = 1, attempted_at = now() - interval '1 s'`)

    expect(await look()).toMatchObject({
      state: 'failing',
      failures: 1,
      lastError: { error: 'the daemon or its connection went away in the middle' },
    })
  })

  test('an attempt that a stopping daemon gave back is no failure', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database)
    await setState(database, id, 'failures = 1, attempted_at = null')

    expect(await look()).toMatchObject({ state: 'due', failures: 0, lastError: null })
  })

  test('a row that is not enabled is paused, and has no next refresh', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database)
    await setState(database, id, `next_at = now() - interval '1 hour'`)
    await database.query('update pgfresh.materialized_view_refresh_schedule set enabled = false')

    expect(await look()).toMatchObject({
      state: 'paused',
      paused: true,
      nextRefreshAt: null,
      nextRefreshInMs: null,
    })
  })

  test('a changed query is to be rebuilt at once', async () => {
    const { database, look, at } = await prepared(major)
    await makeView(database, { declared: true })
    await database.query('update pgfresh.view set rebuild = true')

    const view = await look()
    expect(view).toMatchObject({ state: 'rebuild pending', rebuild: true, nextRefreshInMs: 0 })
    expect(view.nextRefreshAt).toBe(at())
  })

  test('a row that no daemon has looked at was never refreshed', async () => {
    const { database, look } = await prepared(major)
    await makeView(database, { refreshed: null })

    expect(await look()).toMatchObject({
      state: 'never refreshed',
      lastRefreshedAt: null,
      lastExecution: null,
    })
  })

  test('a cron text that a daemon could not read is said, with its error', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database, { timing: { cron: 'often', timeZone: 'Europe/London' } })
    await setState(database, id, `error = 'cron "often" can''t be read'`)

    expect(await look()).toMatchObject({
      state: 'cron unreadable',
      cron: 'often',
      timeZone: 'Europe/London',
      nextRefreshAt: null,
      lastError: { error: `cron "often" can't be read`, ageMs: null },
    })
  })

  test.each([
    ['nothing', 'nowhere'],
    ['a table', 'event'],
    ['a schema that is not there', 'sales.nowhere'],
    ['another database', 'a.b.c'],
    ['no name', 'two words'],
    ['nothing at all', ''],
  ])('a row that names %s says so, and the report is there all the same', async (_, name) => {
    const { database, look } = await prepared(major)
    await database.query(
      'insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name) values ($1)',
      [name],
    )

    expect(await look()).toMatchObject({ view: name, state: 'missing' })
  })

  test('names are read as SQL reads them, and printed as it would write them', async () => {
    const { database, look } = await prepared(major)
    await database.query('create schema "Sales"')
    await makeView(database, { name: '"Sales"."Big ""Event"""' })

    expect(await look()).toMatchObject({ view: '"Sales"."Big ""Event"""', state: 'fresh' })
  })

  test('no view and no source is read or waited for', async () => {
    const { database, look } = await prepared(major)
    await makeView(database)
    const owner = await database.connect()
    await owner.query('begin')
    // ACCESS EXCLUSIVE on the view and its table, as a refresh that is not concurrent and somebody's migration have.
    await owner.query('refresh materialized view big_event')
    await owner.query('lock table event in access exclusive mode')

    expect(await look()).toMatchObject({ view: 'big_event' })
    await owner.query('rollback')
  })

  test('a paused materialization of columns is paused, with when', async () => {
    const { database, all } = await prepared(major)
    await database.query(
      `insert into pgfresh.materialization (project, kind, name, target, stamp, fingerprint, compiled, error, paused_at)
       values ('default', 'columns', 'event', 'event'::regclass, 'materialized_at', 'f', $1, 'division by zero', '2026-03-01 10:00+00')`,
      [
        JSON.stringify({
          name: 'event',
          target: { schema: 'public', name: 'event' },
          columns: [],
          routes: [],
        }),
      ],
    )

    const [found] = (await all()).materializations
    expect(found).toMatchObject({ state: 'paused', lastError: { error: 'division by zero' } })
    expect(Date.parse(found?.pausedAt ?? '')).toBe(Date.parse('2026-03-01T10:00:00Z'))
  })

  test('a view whose id is more than a lock can hold is seen to be refreshed, too', async () => {
    const { database, look } = await prepared(major)
    const id = await makeView(database)
    await database.query(
      'update pgfresh.materialized_view_refresh_schedule set id = 3000000000 where id = $1',
      [id],
    )
    const refresher = await database.connect()
    await refresher.query('select pg_advisory_lock(7331003, (3000000000 & 2147483647)::integer)')

    expect(await look()).toMatchObject({ state: 'refreshing' })
  })

  test('a role that may read our schema alone gets the report, without what sessions of others do', async () => {
    const { database } = await prepared(major)
    const id = await makeView(database)
    const role = await database.createRole()
    await database.query(`grant usage on schema pgfresh to ${role.name}`)
    await database.query(`grant select on all tables in schema pgfresh to ${role.name}`)
    const refresher = await database.connect()
    await refresher.query('select pg_advisory_lock(7331003, $1)', [id])

    const session = await Session.open({ url: role.url }, 'test')
    const { views } = await report(session, null).finally(() => session.close())

    expect(views).toMatchObject([{ state: 'refreshing', running: { since: null, ageMs: null } }])
  })
})

interface Prepared {
  readonly database: TestDatabase
  readonly all: (project?: string) => Promise<Report>
  readonly look: () => Promise<ViewReport>
  /** The moment of the last report. */
  readonly at: () => string
}

async function prepared(major: Major): Promise<Prepared> {
  const database = await freshDatabase(major)
  await makeEvents(database)
  let at = ''
  const all = async (project?: string) => {
    const session = await Session.open({ url: database.url }, 'test')
    const found = await report(session, project ?? null).finally(() => session.close())
    at = found.at
    return found
  }
  const look = async () => {
    const [found] = (await all()).views
    if (found === undefined) throw new Error('no view is reported')
    return found
  }
  return { database, all, look, at: () => at }
}
