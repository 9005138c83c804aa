/**
 * What people do while a refresh runs, and views that fail, wait, and heal: what they said last counts, and nothing is hidden.
 */
import { describe, expect, test } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { waitFor } from '../../support/wait-for.ts'
import {
  aloneSql,
  closeGate,
  executions,
  gatedSchema,
  inARefresh,
  schedule,
  shown,
  underWay,
  type ViewProject,
  viewProject,
} from './view-project.ts'

const table = 'pgfresh.materialized_view_refresh_schedule'

const outcomes = async (project: ViewProject, view: string) =>
  (await executions(project, view)).map((one) => one.outcome)

const refreshed = (project: ViewProject, view: string, times = 1, timeoutMs = 10_000) =>
  waitFor(
    `${view} to be refreshed`,
    async () => (await outcomes(project, view)).filter((one) => one === 'refreshed').length >= times,
    { timeoutMs },
  )

const told = (project: ViewProject, view: string) =>
  waitFor('the row to be told', async () => {
    const row = await shown(project, view)
    const [state] = await project.query<{ at: Date | null; failures: number }>(
      'select refreshed_at as at, failures from pgfresh.view_state where refreshed_at is not null and failures = 0',
    )
    return row?.last_refreshed_at != null && row.last_refreshed_at.getTime() === state?.at?.getTime()
      ? row
      : undefined
  })

forEachMajor((major) => {
  describe('in the middle of a refresh', () => {
    test('another cron text: the next moment is one of the new text', async () => {
      const project = await viewProject(major, gatedSchema)
      const open = await closeGate(project)
      await schedule(project, 'gated', { cron: '0 0 1 1 *' })
      await project.query(`update ${table} set next_refresh_at = now()`)
      project.start()
      await inARefresh(project)

      await project.query(`update ${table} set cron = '*/5 * * * *'`)
      await waitFor('it to be read', async () => {
        const rows = await project.query('select from pgfresh.view_schedule() where not unreckoned')
        return rows.length === 1
      })
      await open()
      await refreshed(project, 'gated')
      const row = await told(project, 'gated')
      expect((row.next_refresh_at?.getTime() ?? 0) - Date.now()).toBeLessThan(301_000)
      expect(await outcomes(project, 'gated')).toEqual(['refreshed'])
      // Broken: the end of a refresh reckons with the row as it was at its beginning: a year.
    })

    test('another moment: it stands', async () => {
      const project = await viewProject(major, gatedSchema)
      const open = await closeGate(project)
      await schedule(project, 'gated', { every: '1 hour' })
      project.start()
      await inARefresh(project)

      await project.query(`update ${table} set next_refresh_at = '2100-01-01 12:00Z'`)
      await waitFor('it to be read', async () => {
        const rows = await project.query(`select from pgfresh.view_state where next_at = '2100-01-01 12:00Z'`)
        return rows.length === 1
      })
      await open()
      await refreshed(project, 'gated')
      expect((await told(project, 'gated')).next_refresh_at).toEqual(new Date('2100-01-01T12:00:00Z'))
      // Broken: the end of a refresh overwrites what people said meanwhile.
    })

    test('a wish to have it now: it is refreshed once more', async () => {
      const project = await viewProject(major, gatedSchema)
      const open = await closeGate(project)
      await schedule(project, 'gated', { every: '1 hour' })
      project.start()
      await inARefresh(project)
      await project.query('insert into event values (1001, 1)')
      await project.query(`update ${table} set next_refresh_at = now()`)
      await waitFor('it to be read', async () => {
        const rows = await project.query('select from pgfresh.view_prompt')
        return rows.length === 1
      })
      await open()
      await refreshed(project, 'gated', 2)
      expect(await project.query('select events from gated')).toEqual([{ events: 101 }])
      expect((await executions(project, 'gated')).map((one) => one.triggered_by)).toEqual([
        'schedule',
        'request',
      ])
    })

    test('disabled: this one ends, and no other begins', async () => {
      const project = await viewProject(major, gatedSchema)
      const open = await closeGate(project)
      await schedule(project, 'gated', { every: '1 ms' })
      project.start()
      await inARefresh(project)
      await project.query(`update ${table} set enabled = false`)
      await open()
      await refreshed(project, 'gated')
      expect((await told(project, 'gated')).enabled).toBe(false)
      await schedule(project, 'public.gated')
      await refreshed(project, 'public.gated')
      expect(await outcomes(project, 'gated')).toEqual(['refreshed'])
    })

    test('deleted, and inserted again', async () => {
      const project = await viewProject(major, gatedSchema)
      const open = await closeGate(project)
      const id = await schedule(project, 'gated', { every: '1 ms' })
      const daemon = project.start()
      await inARefresh(project)
      await project.query(`delete from ${table}`)
      await open()
      await waitFor('it to be done', async () => (await underWay(project)).length === 0)
      await schedule(project, 'gated', { every: '1 hour' })
      await refreshed(project, 'gated')
      expect(await outcomes(project, 'gated')).toEqual(['refreshed'])
      expect(await project.query(`select from ${table} where id = $1`, [id])).toEqual([])
      // And under the id that the first one had.
      await project.query(`delete from ${table}`)
      await project.query(
        `insert into ${table} (id, materialized_view_name, refresh_interval) values ($1, 'gated', '1 hour')`,
        [id],
      )
      await refreshed(project, 'gated', 1)
      await daemon.stop()
    })

    test('its row names another view: that one is refreshed at once', async () => {
      const project = await viewProject(
        major,
        `${gatedSchema}; create materialized view other as select count(*) as n from event`,
      )
      const open = await closeGate(project)
      await schedule(project, 'gated', { every: '1 hour' })
      project.start()
      await inARefresh(project)
      await project.query('insert into event values (1001, 1)')
      await project.query(`update ${table} set materialized_view_name = 'other'`)
      await open()
      await waitFor('the other view', async () => {
        const [row] = await project.query<{ n: string }>('select n from other')
        return row?.n === '101'
      })
    })

    test('the view is renamed or dropped as soon as can be: the row says so, and goes on once there is one', async () => {
      const project = await viewProject(major, gatedSchema)
      const open = await closeGate(project)
      await schedule(project, 'gated', { every: '10 ms' })
      project.start()
      await inARefresh(project)
      const renaming = project.query('alter materialized view gated rename to gone')
      await waitFor('it to wait', async () => {
        const rows = await project.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'alter materialized view%' and datname = current_database()`,
        )
        return rows.length === 1
      })
      await open()
      await renaming
      await waitFor(
        'the error',
        async () => (await shown(project, 'gated'))?.last_error === 'there is no materialized view gated',
      )
      const before = (await outcomes(project, 'gated')).length
      await project.query('drop materialized view gone')
      await project.query('create materialized view gated as select count(*)::int as events from event')
      await refreshed(project, 'gated', before + 1)
      await waitFor('the row to be told', async () => (await shown(project, 'gated'))?.last_error === null)
      expect((await executions(project, 'gated')).filter((one) => /went away/.test(one.error ?? ''))).toEqual(
        [],
      )
    })
  })

  describe('a view that fails', () => {
    const failingSchema = `create table event (id int primary key);
      create function public.check_it() returns int language plpgsql as $$ begin
        if exists (select from public.event where id < 0) then raise exception 'it''s broken'; end if; return 1; end $$;
      create materialized view failing as select count(*) as n, public.check_it() from event;
      create unique index on failing (n);
      create materialized view well as select count(*) as n from event;
      insert into event values (-1)`

    test('waits 5 s, twice as long each time, up to an hour; hides nothing; and heals', async () => {
      const project = await viewProject(major, failingSchema)
      await schedule(project, 'failing', { every: '1 s' })
      await schedule(project, 'well', { every: '50 ms' })
      const daemons = [project.start(), project.start()]
      const pauses: number[] = []
      for (let failures = 1; failures <= 13; failures += 1) {
        const [state] = await waitFor('the next failure', async () => {
          const rows = await project.query<{ pause: number }>(
            `select extract(epoch from v.due_at - v.attempted_at)::int as pause from pgfresh.view_schedule() v
             join pgfresh.materialized_view_refresh_schedule_execution e on e.materialized_view_refresh_schedule_id = v.schedule
               and e.started_at = v.attempted_at and e.outcome = 'failed'
             where v.name = 'failing' and v.failures = $1`,
            [failures],
          )
          return rows.length === 1 ? rows : undefined
        })
        pauses.push(state?.pause ?? 0)
        if (failures === 2) {
          await waitFor('the row to be told', async () => {
            const row = await shown(project, 'failing')
            const apart = (row?.next_refresh_at?.getTime() ?? 0) - (row?.last_attempted_at?.getTime() ?? 0)
            return row?.last_error === `it's broken` && apart === 10_000
          })
        }
        // An hour passes.
        await project.query(`with passed as (update pgfresh.materialized_view_refresh_schedule_execution set started_at = started_at - interval '1 hour')
          update pgfresh.view_state set attempted_at = attempted_at - interval '1 hour' where failures = ${failures}`)
      }
      expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600])
      const rows = await executions(project, 'failing')
      expect(rows.filter((one) => one.error !== `it's broken`)).toEqual([])
      expect(rows[0]).toMatchObject({ triggered_by: 'schedule' })
      expect(rows[1]).toMatchObject({ triggered_by: 'retry' })

      // The others went on all the time, and it heals.
      const well = (await outcomes(project, 'well')).length
      expect(well).toBeGreaterThan(2)
      await refreshed(project, 'well', well + 2)
      await project.query('delete from event')
      await project.query(`update pgfresh.view_state set attempted_at = attempted_at - interval '1 hour'`)
      await refreshed(project, 'failing', 2)
      await waitFor('the row to be told', async () => (await shown(project, 'failing'))?.last_error === null)
      await Promise.all(daemons.map((daemon) => daemon.stop()))
    })

    test('is tried when somebody asks, but not all the time when somebody asks all the time', async () => {
      const project = await viewProject(major, failingSchema)
      const id = await schedule(project, 'failing', { every: '1 day' })
      project.start({ pollMs: 5 })
      const until = performance.now() + 4_000
      while (performance.now() < until) {
        await project.query(
          `insert into pgfresh.view_prompt (schedule, reason) values ($1, 'request') on conflict do nothing`,
          [id],
        )
        await project.query('select pg_sleep(0.01)')
      }
      const { length } = await executions(project, 'failing')
      expect(length).toBeGreaterThanOrEqual(2)
      expect(length).toBeLessThanOrEqual(6)
    })

    test('takes too long: cut off at its maximum_execution_duration', async () => {
      const project = await viewProject(
        major,
        'create materialized view slow as select pg_sleep(5)::text as n with no data',
      )
      await schedule(project, 'slow')
      await project.query(`update ${table} set maximum_execution_duration = '200 ms'`)
      project.start()
      const [run] = await waitFor('the attempt', async () => {
        const rows = await executions(project, 'slow')
        return rows.length > 0 ? rows : undefined
      })
      expect(run).toMatchObject({
        outcome: 'failed',
        error: 'took longer than its maximum_execution_duration of 00:00:00.2, and was cancelled',
      })
      expect((run?.ended_at.getTime() ?? 0) - (run?.started_at.getTime() ?? 0)).toBeLessThan(1_500)
    })
  })

  test('two rows that mean one view: both refresh it, never at once, and neither fails for the other', async () => {
    const project = await viewProject(
      major,
      `create table event (id int primary key); ${aloneSql}
       create materialized view v as select count(*) as n, public.alone(1), pg_sleep(0.2)::text as slept from event;
       create unique index on v (n)`,
    )
    const daemons = [1, 2, 3, 4].map(() => project.start())
    await schedule(project, 'v', { every: '20 ms' })
    await schedule(project, 'public.v', { every: '20 ms' })
    await refreshed(project, 'v', 6, 20_000)
    await refreshed(project, 'public.v', 6, 20_000)
    await Promise.all(daemons.map((daemon) => daemon.stop()))
    for (const view of ['v', 'public.v'])
      expect((await executions(project, view)).filter((one) => one.outcome === 'failed')).toEqual([])
    // Broken: one refresh at a time per row of the schedule, not per view: the other one fails for its lock.
  })
})
