/**
 * What people may write into the schedule, and what their roles may be set to: whatever it is, it is that row's matter alone.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { Session } from '../../../src/db/session.ts'
import { lookAtViews } from '../../../src/views/look.ts'
import { forEachMajor, type Major, sharedServer } from '../../support/database.ts'
import { findPgbouncer, startPgbouncer } from '../../support/pgbouncer.ts'
import { waitFor } from '../../support/wait-for.ts'
import { executions, schedule, shown, type ViewProject, viewProject } from './view-project.ts'

const schema = `
  create table event (id int primary key, venue int);
  insert into event select n, n % 10 from generate_series(1, 100) n;
  create materialized view odd as select count(*) as n from event;
  create unique index on odd (n);
  create materialized view other as select count(*) as n from event;
  create unique index on other (n)`

const refreshed = (project: ViewProject, view: string, times = 1) =>
  waitFor(`${view} to be refreshed`, async () => {
    const rows = await executions(project, view)
    return rows.filter((one) => one.outcome === 'refreshed').length >= times ? rows : undefined
  })

/** Inserts the row of `odd`: `values` are more columns of it. */
const insertOdd = (project: ViewProject, values: Readonly<Record<string, string>>) =>
  project.query(
    `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, ${Object.keys(values).join(', ')})
     values ('odd', ${Object.values(values)
       .map((value) => `'${value}'`)
       .join(', ')})`,
  )

const dueInMs = async (project: ViewProject): Promise<number> => {
  const session = await Session.open({ url: project.database.url }, 'test')
  try {
    return (await lookAtViews(session)).dueInMs
  } finally {
    await session.close()
  }
}

forEachMajor((major) => {
  describe('a row', () => {
    test.each([
      ['refresh_interval', '0', 'refresh_interval_check'],
      ['refresh_interval', '-1 s', 'refresh_interval_check'],
      ['refresh_interval', '1 month -30 days', 'refresh_interval_check'],
      ['refresh_interval', '1 month -29 days', 'refresh_interval_check'],
      ['refresh_interval', '1 day -23 hours', 'refresh_interval_check'],
      ['refresh_interval', '300000 years -107000000 days', 'refresh_interval_check'],
      ['maximum_execution_duration', '0', 'maximum_execution_duration_check'],
    ])('whose %s is %j is refused', async (column, value, constraint) => {
      const project = await viewProject(major, schema)
      await expect(insertOdd(project, { [column]: value })).rejects.toThrow(constraint)
    })

    test.each([
      [{ refresh_interval: '170000000 years' }, 1],
      [{ refresh_interval: '300000 years' }, 1],
      [{ refresh_interval: '1 microsecond' }, 3],
      [{ refresh_interval: '1 hour', next_refresh_at: '-infinity' }, 1],
      [{ refresh_interval: '1 hour', maximum_execution_duration: '170000000 years' }, 1],
      [{ refresh_interval: '1 hour', maximum_execution_duration: '60 days' }, 1],
      [{ refresh_interval: '1 hour', id: '3000000000' }, 1],
      [{ refresh_interval: '1 hour', id: '9223372036854775807' }, 1],
      [{ refresh_interval: '1 hour', id: '-7' }, 1],
      [{ cron: '* * * * * *', time_zone: 'Asia/Kolkata' }, 2],
      ...(major < 17 ? [] : ([[{ refresh_interval: 'infinity' }, 1]] as const)),
    ] as const)('with %j is refreshed, and is in nobody’s way', async (values, times) => {
      const project = await viewProject(major, schema)
      await insertOdd(project, values)
      await schedule(project, 'other', { every: '100 ms' })
      project.start()

      await refreshed(project, 'odd', times)
      await refreshed(project, 'other', (await executions(project, 'other')).length + 2)
      const rows = await executions(project, 'odd')
      expect(rows.filter((one) => one.outcome !== 'refreshed')).toEqual([])
      expect(await shown(project, 'odd')).toMatchObject({ last_error: null })
    })

    test.each([
      [{ enabled: 'false', refresh_interval: '1 s' }],
      [{ enabled: 'false', next_refresh_at: '-infinity' }],
      [{ next_refresh_at: 'infinity', refresh_interval: '1 s' }],
      [{ time_zone: 'UTC' }],
      [{ cron: '0 0 30 2 *' }],
    ])('with %j is not due, and nobody looks for it all the time', async (values) => {
      const project = await viewProject(major, schema)
      await insertOdd(project, values)

      expect(await dueInMs(project)).toBe(Number.POSITIVE_INFINITY)
      await schedule(project, 'other', { every: '1 hour' })
      project.start()
      await refreshed(project, 'other')
      expect(await executions(project, 'odd')).toEqual([])
      expect(await dueInMs(project)).toBeGreaterThan(3_000_000)
      // Broken: what has no moment counts as a moment that is long past.
    })

    test('whose cron text means nothing says so still after somebody asked for a refresh', async () => {
      const project = await viewProject(major, schema)
      await insertOdd(project, { cron: 'at noon' })
      project.start()
      await waitFor('the error', async () => (await shown(project, 'odd'))?.last_error)
      await project.query(`select pgfresh.refresh('odd')`)
      const [run] = await refreshed(project, 'odd')
      expect(run).toMatchObject({ triggered_by: 'request' })
      await waitFor('the row to be told', async () => (await shown(project, 'odd'))?.last_refreshed_at)
      expect((await shown(project, 'odd'))?.last_error).toMatch(/^cron "at noon" can't be read/)

      // An interval and a cron text that read alike are not alike.
      await project.query(
        `update pgfresh.materialized_view_refresh_schedule set cron = null, refresh_interval = '1 hour'`,
      )
      await waitFor('the error to go', async () => (await shown(project, 'odd'))?.last_error === null)
      await project.query(
        `update pgfresh.materialized_view_refresh_schedule set cron = '01:00:00', refresh_interval = null`,
      )
      await waitFor('the error', async () => (await shown(project, 'odd'))?.last_error)
    })

    test('whose interval leads past all timestamps is refreshed once, and stops no other', async () => {
      const project = await viewProject(major, schema)
      await project.query(
        'alter table pgfresh.materialized_view_refresh_schedule drop constraint materialized_view_refresh_schedule_refresh_interval_check',
      )
      await insertOdd(project, { refresh_interval: '300000 years -107000000 days' })
      await schedule(project, 'other', { every: '100 ms' })
      project.start()

      await refreshed(project, 'odd')
      await refreshed(project, 'other', (await executions(project, 'other')).length + 2)
      expect(await executions(project, 'odd')).toMatchObject([{ outcome: 'refreshed' }])
      // Broken: the sum is reckoned in the statement that settles all rows.
    })

    test.each([
      ['refreshed', `refreshed_at = at, attempted_at = at, next_at = at + interval '1 hour'`],
      ['tried in vain', `attempted_at = at, failures = 3`],
    ])('that a clock %s which was ahead is due now', async (_, set) => {
      const project = await viewProject(major, schema)
      const id = await schedule(project, 'odd')
      const daemon = project.start()
      await refreshed(project, 'odd')
      await daemon.stop()
      await project.query(
        `update pgfresh.view_state v set ${set} from (select now() + interval '1 year') clock (at)`,
      )
      project.start()
      await refreshed(project, 'odd', 2)
      const [state] = await project.query(
        `select v.next_at < now() + interval '61 minutes' as soon, s.due_at = v.next_at as reckoned
         from pgfresh.view_state v join pgfresh.view_schedule() s on s.schedule = v.schedule where v.schedule = $1`,
        [id],
      )
      expect(state).toEqual({ soon: true, reckoned: true })
    })

    test('that is changed while it is read is settled as it was read, and then once more', async () => {
      const project = await viewProject(major, schema)
      await insertOdd(project, { cron: '0 0 1 1 *' })
      const session = await Session.open({ url: project.database.url }, 'test')
      onTestFinished(() => session.close())
      const run = session.run.bind(session)
      session.run = async (sql) => {
        const results = await run(sql)
        session.run = run
        await project.query(
          `update pgfresh.materialized_view_refresh_schedule set cron = '* * * * *', next_refresh_at = now()`,
        )
        return results
      }
      await lookAtViews(session)
      const { due } = await lookAtViews(session)
      expect(due.map((view) => view.name)).toEqual(['odd'])
      const [state] = await project.query<{ reckoned_for: string }>(
        'select reckoned_for from pgfresh.view_state',
      )
      expect(JSON.parse(state?.reckoned_for ?? '')).toEqual(['odd', null, '* * * * *', 'UTC'])
      // Broken: what is noted as reckoned with is what the row says by then, and the moment of another row stays.
    })

    test('keeps the word of its last attempt, however old, when the history is cleaned up', async () => {
      const project = await viewProject(major, schema)
      const id = await schedule(project, 'odd')
      await project.query(`
        update pgfresh.materialized_view_refresh_schedule set enabled = false;
        insert into pgfresh.view_state (schedule, attempted_at) values (${id}, date_trunc('day', now()) - interval '3 days');
        insert into pgfresh.materialized_view_refresh_schedule_execution
          (materialized_view_refresh_schedule_id, started_at, ended_at, outcome, triggered_by, daemon)
        select ${id}, at, at, 'skipped', 'schedule', 'd' from pgfresh.view_state, lateral (values (attempted_at), (attempted_at - interval '1 day')) v (at)`)
      project.start()
      await waitFor('the other to go', async () => (await executions(project, 'odd')).length < 2)
      const [kept] = await project.query(
        `select e.started_at = v.attempted_at as last from pgfresh.materialized_view_refresh_schedule_execution e, pgfresh.view_state v`,
      )
      expect(kept).toEqual({ last: true })
    })

    test('that names another view from now on knows nothing of the first one', async () => {
      const project = await viewProject(
        major,
        `${schema}; create materialized view broken as select 1 / (count(*) - 100) as n from event with no data`,
      )
      await schedule(project, 'broken', { every: '1 day' })
      project.start()
      await waitFor('the failure', async () => (await shown(project, 'broken'))?.last_error)
      await project.query('update pgfresh.view_state set failures = 11')

      await project.query(
        `update pgfresh.materialized_view_refresh_schedule set materialized_view_name = 'odd'`,
      )
      await waitFor(
        'a refresh that waits for no pause',
        async () => (await shown(project, 'odd'))?.last_refreshed_at,
      )
      expect(await project.query('select failures from pgfresh.view_state')).toEqual([{ failures: 0 }])
      expect((await shown(project, 'odd'))?.last_error).toBe(null)
    })
  })

  describe('names', () => {
    test.each([
      ['"Per ""venue"" ü"', '"Per ""venue"" ü"'],
      ['Per_Venue', 'per_venue'],
      ['" sp.aced "', '" sp.aced "'],
      [`"it's"`, `"it's"`],
      ['"back\\slash"', '"back\\slash"'],
      ['"Odd schema"."select"', '"Odd schema"."select"'],
      ['"/* pgfresh */ -- $1"', '"/* pgfresh */ -- $1"'],
    ])('%s', async (written, created) => {
      const project = await viewProject(
        major,
        `${schema}; create schema "Odd schema"; create materialized view ${created} as select count(*) as "N" from event;
         create unique index on ${created} ("N")`,
      )
      await schedule(project, written)
      project.start()
      expect(await refreshed(project, written)).toMatchObject([{ outcome: 'refreshed', concurrent: true }])
      await project.query('insert into event values (1000, 1)')
      await project.query('update pgfresh.materialized_view_refresh_schedule set next_refresh_at = now()')
      await refreshed(project, written, 2)
      expect(await project.query(`select "N"::int as n from ${created}`)).toEqual([{ n: 101 }])
    })

    test('are looked up with the search_path of the daemon’s role', async () => {
      const project = await viewProject(
        major,
        `${schema}; create schema sales; create materialized view sales.odd as select 1 as n; create materialized view sales.mine as select 2 as n`,
      )
      const role = await project.database.createRole('superuser')
      await project.query(`alter role ${role.name} set search_path = sales, pg_catalog`)
      await schedule(project, 'mine')
      await schedule(project, 'odd')
      await schedule(project, 'other')
      const before = await project.query<{ n: string }>('select n from public.odd')
      await project.query('insert into event values (1000, 1)')
      project.start({ url: role.url })
      await refreshed(project, 'mine')
      await refreshed(project, 'odd')
      await waitFor('the error', async () => (await shown(project, 'other'))?.last_error)
      expect((await shown(project, 'other'))?.last_error).toBe('there is no materialized view other')
      expect(await project.query('select n from public.odd')).toEqual(before)
    })
  })

  describe('roles', () => {
    test.each([
      `set datestyle = 'German'`,
      `set datestyle = 'SQL, DMY'`,
      `set timezone = 'Asia/Kolkata'`,
      `set timezone = 'America/St_Johns'`,
      `set intervalstyle = 'iso_8601'`,
      `set intervalstyle = 'sql_standard'`,
      `set search_path = ''`,
      `set default_transaction_isolation = 'serializable'`,
      `set default_transaction_read_only = on`,
      `set statement_timeout = '1s'`,
      `set lock_timeout = '1ms'`,
      `set extra_float_digits = -15`,
      `set standard_conforming_strings = off`,
      `set client_encoding = 'UTF8'`,
      `set plpgsql.variable_conflict = 'use_column'`,
    ])('%s', async (setting) => {
      const project = await viewProject(
        major,
        `${schema}; create materialized view failing as select 1 / (count(*) - 100) as n from event with no data`,
      )
      const role = await project.database.createRole('superuser')
      await project.query(`alter role ${role.name} ${setting}`)
      for (const view of ['public.odd', 'public.failing']) await schedule(project, view, { every: '50 ms' })
      await schedule(project, 'public.other', { cron: '* * * * * *' })
      const daemons = [project.start({ url: role.url }), project.start()]

      await refreshed(project, 'public.odd', 6)
      await refreshed(project, 'public.other', 2)
      await waitFor('failures', async () =>
        (await executions(project, 'public.failing')).some((one) => one.outcome === 'failed'),
      )
      await Promise.all(daemons.map((daemon) => daemon.stop()))
      expect((await executions(project, 'public.odd')).filter((one) => one.outcome === 'failed')).toEqual([])
      expect(project.logged.filter((line) => line.level === 'error')).toEqual([])
      const [state] = await project.query<{ apart: boolean }>(
        `select v.next_at - v.refreshed_at = interval '50 ms' as apart from pgfresh.view_state v
         join pgfresh.materialized_view_refresh_schedule s on s.id = v.schedule where s.materialized_view_name = 'public.odd'`,
      )
      expect(state).toEqual({ apart: true })
    })

    test('a view of somebody else’s: the error says whose, and what to grant; then it heals', async () => {
      const project = await viewProject(major, schema)
      const [daemon, owner] = [await project.database.createRole(), await project.database.createRole()]
      await project.query(`
        alter materialized view odd owner to ${owner.name}; grant select on event to ${owner.name};
        alter materialized view other owner to ${daemon.name}; grant select on event to ${daemon.name};
        grant usage on schema pgfresh to ${daemon.name};
        grant all on all tables in schema pgfresh to ${daemon.name}; grant all on all sequences in schema pgfresh to ${daemon.name};
        grant execute on all functions in schema pgfresh to ${daemon.name};
        grant execute on function pg_control_system() to ${daemon.name}`)
      await schedule(project, 'odd')
      await schedule(project, 'other')
      project.start({ url: daemon.url })
      await refreshed(project, 'other')
      const said = await waitFor('the error', async () => (await shown(project, 'odd'))?.last_error)
      expect(said).toMatch(
        new RegExp(
          `^role ${daemon.name} may not refresh a view of ${owner.name} \\(.*\\): grant ${owner.name} to ${daemon.name}$`,
        ),
      )
      await project.query(`grant ${owner.name} to ${daemon.name}`)
      await project.query(`select pgfresh.refresh('odd')`)
      await refreshed(project, 'odd')
    })
  })

  test.runIf(findPgbouncer() !== undefined)(
    'through pgbouncer in transaction mode views are refreshed, one at a time, and no lock stays',
    async () => {
      const project = await viewProject(major, schema)
      const url = await pooled(major, project.database.url)
      await schedule(project, 'odd', { every: '20 ms' })
      await schedule(project, 'public.odd', { every: '20 ms' })
      await schedule(project, 'other', { cron: '* * * * * *' })
      const daemons = [1, 2, 3].map(() => project.start({ url, workers: 1 }))
      await refreshed(project, 'odd', 5)
      await refreshed(project, 'public.odd', 5)
      await refreshed(project, 'other', 2)
      await Promise.all(daemons.map((daemon) => daemon.stop()))
      const rows = await executions(project, 'odd')
      expect(rows.filter((one) => one.outcome === 'failed')).toEqual([])
      const locks = await project.query(
        `select from pg_locks l join pg_database d on d.oid = l.database where l.locktype = 'advisory' and d.datname = current_database()`,
      )
      expect(locks).toEqual([])
    },
  )
})

async function pooled(major: Major, url: string): Promise<string> {
  const bouncer = await startPgbouncer({ server: sharedServer(major), poolSize: 6 })
  if (bouncer === undefined) throw new Error('no pgbouncer')
  onTestFinished(() => bouncer.stop())
  return bouncer.url(url)
}
