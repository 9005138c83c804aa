/**
 * Refreshes of views that are cut off in the middle, in every way there is, and many daemons at once: nothing stays blocked, the view
 * is due again, the history says what happened, and no view is ever refreshed twice at a time.
 */
import { expect, onTestFinished, test } from 'vitest'
import { migrateSchema } from '../../src/db/migrate.ts'
import {
  aloneSql,
  closeGate,
  type Execution,
  executions,
  gatedSchema,
  inARefresh,
  overlaps,
  schedule,
  shown,
  underWay,
  type ViewProject,
  viewProject,
} from '../pg/views/view-project.ts'
import { forEachMajor } from '../support/database.ts'
import { startPostgres } from '../support/postgres.ts'
import { createProjectOn } from '../support/project.ts'
import { waitFor } from '../support/wait-for.ts'

const lost = {
  outcome: 'failed',
  triggered_by: 'schedule',
  error: 'the daemon or its connection went away in the middle',
}

/** Has the next attempt due now, as if its pause had passed. */
const passTime = (project: ViewProject) =>
  project.query(`update pgfresh.view_state set attempted_at = attempted_at - pgfresh.view_pause(failures)`)

/** Moves the attempts into the past, what the history says of them too. */
const backdate = (project: ViewProject) =>
  project.query(`with moved as (
      update pgfresh.materialized_view_refresh_schedule_execution set started_at = started_at - interval '1 day')
    update pgfresh.view_state set attempted_at = attempted_at - interval '1 day'`)

const ended = (project: ViewProject, view: string, is: (all: Execution[]) => boolean, timeoutMs = 15_000) =>
  waitFor(
    `executions of ${view}`,
    async () => {
      const all = await executions(project, view)
      return is(all) ? all : undefined
    },
    { timeoutMs },
  )

forEachMajor((major) => {
  test('kill -9 in a refresh: nothing is blocked, and it is due again in five seconds, which the history says', async () => {
    const project = await viewProject(major, gatedSchema)
    const open = await closeGate(project)
    await schedule(project, 'gated')
    const killed = project.startRun(['--no-listen', '--poll', '20'])
    await inARefresh(project)

    killed.child.kill('SIGKILL')
    await killed.exit
    await waitFor('its backend to be gone', async () => (await underWay(project)).length === 0, {
      timeoutMs: 2_000,
    })
    const locks = await project.query(
      `select l.* from pg_locks l join pg_database d on d.oid = l.database where d.datname = current_database() and l.locktype = 'advisory' and l.classid in (7331003, 7331005)`,
    )
    expect(locks).toEqual([])
    // Nobody's refresh by hand is in its way, nor is a reader's.
    await open()
    await project.query(`set statement_timeout = '1s'; refresh materialized view concurrently gated`)
    const [state] = await project.query<{ due: number; failures: number }>(
      `select failures, extract(epoch from due_at - attempted_at)::float8 as due from pgfresh.view_schedule()`,
    )
    expect(state).toEqual({ failures: 1, due: 5 })

    await project.query('insert into event values (1001, 1)')
    project.start()
    const all = await ended(project, 'gated', (rows) => rows.length === 2)
    expect(all).toMatchObject([lost, { outcome: 'refreshed', triggered_by: 'retry', error: null }])
    expect(await project.query('select events from gated')).toEqual([{ events: 101 }])
    await waitFor('the row to be told', async () => (await shown(project, 'gated'))?.last_refreshed_at)
    expect((await shown(project, 'gated'))?.last_error).toBe(null)
    // Broken: no client_connection_check_interval; a lock that outlives its transaction; failures counted only when they are told.
  })

  test('kill -9 in the second attempt, after one that failed, is told too', async () => {
    const project = await viewProject(major, gatedSchema)
    const open = await closeGate(project)
    const id = await schedule(project, 'gated')
    await project.query(
      `update pgfresh.materialized_view_refresh_schedule set maximum_execution_duration = '100 ms'`,
    )
    const killed = project.startRun(['--no-listen', '--poll', '20'])
    await ended(project, 'gated', (rows) => rows.length === 1)
    await project.query(
      `update pgfresh.materialized_view_refresh_schedule set maximum_execution_duration = '1 hour'`,
    )
    await backdate(project)
    await inARefresh(project)
    killed.child.kill('SIGKILL')
    await killed.exit
    await open()
    await waitFor('its backend to be gone', async () => (await underWay(project)).length === 0)
    await passTime(project)

    project.start()
    const all = await ended(project, 'gated', (rows) => rows.some((one) => one.outcome === 'refreshed'))
    expect(all.map((one) => [one.outcome, one.error])).toEqual([
      ['failed', 'took longer than its maximum_execution_duration of 00:00:00.1, and was cancelled'],
      ['failed', lost.error],
      ['refreshed', null],
    ])
    expect(id).not.toBe('')
    // Broken: an attempt without a word is told by an empty error, which the first failure has filled.
  })

  test.each([
    ['pg_terminate_backend', 'pg_terminate_backend', lost],
    [
      'pg_cancel_backend',
      'pg_cancel_backend',
      { outcome: 'failed', error: expect.stringMatching(/^was cancelled by somebody \(/) },
    ],
  ] as const)('%s in a refresh: it is due again, and others go on', async (_, end, first) => {
    const project = await viewProject(
      major,
      `${gatedSchema}; create materialized view other as select count(*) as n from event`,
    )
    const open = await closeGate(project)
    await schedule(project, 'gated')
    project.start()
    const pid = await inARefresh(project)

    await project.query(`select ${end}($1)`, [pid])
    await waitFor('it to be gone', async () => !(await underWay(project)).includes(pid))
    await schedule(project, 'other')
    await ended(project, 'other', (rows) => rows.some((one) => one.outcome === 'refreshed'))
    await open()
    const all = await ended(project, 'gated', (rows) => rows.some((one) => one.outcome === 'refreshed'))
    expect(all).toMatchObject([first, { outcome: 'refreshed', triggered_by: 'retry' }])
  })

  test('a server that crashes in a refresh and comes back: the view is due again', async () => {
    const server = await startPostgres({ major, durable: true })
    onTestFinished(() => server.stop())
    const project = await createProjectOn(server, gatedSchema)
    await migrateSchema({ url: project.database.url })
    const daemon = project.start()

    for (const mode of ['immediate', 'fast'] as const) {
      await closeGate(project)
      await project.query(
        `insert into pgfresh.materialized_view_refresh_schedule (id, materialized_view_name) values (1, 'gated') on conflict do nothing`,
      )
      await project.query(`update pgfresh.materialized_view_refresh_schedule set next_refresh_at = now()`)
      await inARefresh(project)
      const before = (await executions(project, 'gated')).length
      await server.restart(mode)
      await waitFor('a connection', () => project.query('select 1'))
      const all = await ended(project, 'gated', (rows) => rows.length === before + 2, 30_000)
      expect(all.slice(before)).toMatchObject([
        { ...lost, triggered_by: expect.anything() },
        { outcome: 'refreshed', triggered_by: 'retry' },
      ])
    }
    await daemon.stop()
  })

  test('SIGTERM in a refresh: the process is gone within five seconds, and the view is due at once for another daemon', async () => {
    const project = await viewProject(major, gatedSchema)
    const open = await closeGate(project)
    await schedule(project, 'gated')
    const leaving = project.startRun(['--no-listen', '--poll', '20'])
    await inARefresh(project)

    const asked = performance.now()
    leaving.child.kill('SIGTERM')
    const { code } = await leaving.exit
    expect(code).toBe(0)
    expect(performance.now() - asked).toBeLessThan(5_000)
    expect(await executions(project, 'gated')).toMatchObject([{ outcome: 'cancelled', error: null }])
    expect(await project.query(`select due_at <= now() as due from pgfresh.view_schedule()`)).toEqual([
      { due: true },
    ])
    await open()
    const heir = performance.now()
    project.start()
    const all = await ended(project, 'gated', (rows) => rows.length === 2)
    expect(performance.now() - heir).toBeLessThan(3_000)
    expect(all[1]).toMatchObject({ outcome: 'refreshed', triggered_by: 'retry' })
    await waitFor('the row to be told', async () => (await shown(project, 'gated'))?.last_refreshed_at)
  })

  test('kill -9 while a changed query is built: the old view is as it was, and another daemon builds the new one', async () => {
    const project = await viewProject(major, gatedSchema)
    const definition = (events: string) => `export const perVenue = defineView({
      name: 'per_venue', query: sql\`select venue, ${events} as events from event group by venue\`, key: ['venue'] })`
    await project.materialize(definition('count(*)'))
    const first = project.start()
    await ended(project, 'per_venue', (rows) => rows.length === 1)
    await first.stop()
    const open = await closeGate(project)
    await project.materialize(definition('2 * count(*) + max(public.gate())'))
    const killed = project.startRun(['--no-listen', '--poll', '20'])
    await waitFor('it to be built', async () => {
      const rows = await project.query(
        `select from pg_stat_activity where application_name like 'pgfresh view%' and query like '%create materialized view%' and wait_event = 'PgSleep' and datname = current_database()`,
      )
      return rows.length === 1
    })
    const sums = () =>
      project.query('select count(*)::int as venues, sum(events)::int as events from per_venue')
    expect(await sums()).toEqual([{ venues: 10, events: 100 }])

    killed.child.kill('SIGKILL')
    await killed.exit
    await open()
    expect(await sums()).toEqual([{ venues: 10, events: 100 }])
    project.start()
    const all = await ended(project, 'per_venue', (rows) => rows.length === 3)
    expect(all.slice(1)).toMatchObject([
      { ...lost, triggered_by: expect.anything() },
      { outcome: 'refreshed', triggered_by: 'retry', error: null },
    ])
    expect(await sums()).toEqual([{ venues: 10, events: 200 }])
    expect((await project.plan()).steps).toEqual([])
    expect(await project.query(`select from pg_class where relname like 'pgfresh_new%'`)).toEqual([])
  })

  test('twenty replicas refresh each view once per tick, never two at a time', async () => {
    const project = await viewProject(
      major,
      `create table event (id int primary key);
       insert into event select generate_series(1, 100);
       ${aloneSql}
       create materialized view ticking as select count(*) as n, public.alone(1), pg_sleep(0.2)::text as slept from event;
       create materialized view counting as select count(*) as n, public.alone(2), pg_sleep(0.1)::text as slept from event;
       create unique index on ticking (n); create unique index on counting (n)`,
    )
    const processes = [1, 2].map(() => project.startRun(['--no-listen', '--poll', '50']))
    const daemons = Array.from({ length: 18 }, () => project.start({ workers: 1, pollMs: 50 }))
    await waitFor(
      'all to be there',
      async () => (await project.query('select from pgfresh.daemon')).length === 20,
      { timeoutMs: 30_000 },
    )
    await schedule(project, 'ticking', { cron: '*/2 * * * * *' })
    await schedule(project, 'counting', { every: '1 s' })
    await ended(project, 'ticking', (rows) => rows.length >= 5, 40_000)
    await ended(project, 'counting', (rows) => rows.length >= 5, 40_000)
    await project.query(`update pgfresh.materialized_view_refresh_schedule set enabled = false`)
    await Promise.all(daemons.map((daemon) => daemon.stop()))
    for (const { child, exit } of processes) {
      child.kill('SIGTERM')
      await exit
    }

    expect(await overlaps(project)).toEqual([])
    expect(project.logged.filter((line) => line.message === 'a refresh failed for now')).toEqual([])
    for (const view of ['ticking', 'counting']) {
      const rows = await executions(project, view)
      expect(new Set(rows.map((one) => `${one.outcome} ${one.triggered_by} ${one.error ?? ''}`))).toEqual(
        new Set(['refreshed schedule ']),
      )
    }
    // Once per tick: a tick is two seconds long, and a refresh belongs to the tick that it began in.
    const ticks = (await executions(project, 'ticking')).map((one) =>
      Math.floor(one.started_at.getTime() / 2000),
    )
    expect(new Set(ticks).size).toBe(ticks.length)
    // And an interval counts from the end of one to the beginning of the next.
    const rounds = await executions(project, 'counting')
    const pauses = rounds
      .slice(1)
      .map((one, at) => one.started_at.getTime() - (rounds[at]?.ended_at.getTime() ?? 0))
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(999)
    // Broken: who only looks whether a view is free holds the lock that the one who has marked it tries: then nobody refreshes it.
  })

  test('daemons that ask for one view all the time never say of each other that they went away', async () => {
    const project = await viewProject(
      major,
      `create table event (id int primary key); create materialized view v as select count(*) as n from event;
       create unique index on v (n)`,
    )
    const id = await schedule(project, 'v', { every: '1 day' })
    const daemons = Array.from({ length: 8 }, () => project.start({ workers: 1, pollMs: 5 }))
    const until = performance.now() + 6_000
    let asked = 0
    while (performance.now() < until) {
      await project.query(
        `insert into pgfresh.view_prompt (schedule, reason) values ($1, 'request') on conflict do nothing`,
        [id],
      )
      asked += 1
    }
    await waitFor(
      'the last request to be taken',
      async () => (await project.query('select from pgfresh.view_prompt')).length === 0,
    )
    await Promise.all(daemons.map((daemon) => daemon.stop()))

    expect(asked).toBeGreaterThan(50)
    const rows = await executions(project, 'v')
    expect(rows.filter((one) => one.outcome !== 'refreshed' && one.outcome !== 'cancelled')).toEqual([])
    expect(rows.length).toBeGreaterThan(5)
    expect(await overlaps(project)).toEqual([])
  })
})
