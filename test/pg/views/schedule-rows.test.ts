/**
 * Rows that people put into the refresh schedule by SQL, for views that no definition declares.
 */
import { describe, expect, test } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { waitFor } from '../../support/wait-for.ts'
import { executions, type ViewProject, viewProject } from './view-project.ts'

const schema = `
  create table event (id int primary key, venue int, starts_at timestamptz);
  insert into event select n, n % 10, now() + (n - 500) * interval '1 hour' from generate_series(1, 1000) n;
  create materialized view future_event as select * from event where starts_at > now();
  create materialized view per_venue as select venue, count(*) as events from event group by venue;
  create unique index on per_venue (venue)`

const count = (project: ViewProject, sql: string) =>
  project.query<{ n: number }>(`select (${sql})::int as n`).then(([row]) => row?.n)

forEachMajor((major) => {
  describe('a row', () => {
    test('that somebody inserts is acted on within the poll interval, and says what happened', async () => {
      const project = await viewProject(major, schema)
      project.start()
      await project.query(`insert into event select n, 3, now() from generate_series(1001, 1010) n;
        insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval) values ('per_venue', '1 hour')`)

      await waitFor('the refresh', async () => (await executions(project, 'per_venue')).length === 1)
      expect(await count(project, 'select sum(events) from per_venue')).toBe(1010)
      expect(await executions(project, 'per_venue')).toMatchObject([
        { outcome: 'refreshed', triggered_by: 'schedule', concurrent: true, error: null },
      ])
      await waitFor('the row to be told', () =>
        count(project, 'select count(last_refreshed_at) from pgfresh.materialized_view_refresh_schedule'),
      )
      const [row] = await project.query(
        `select last_attempted_at <= last_refreshed_at as attempted_first, last_error, enabled, declared_by,
           next_refresh_at - last_refreshed_at = interval '1 hour' as counts_from_the_end
         from pgfresh.materialized_view_refresh_schedule`,
      )
      expect(row).toEqual({
        attempted_first: true,
        last_error: null,
        enabled: true,
        declared_by: null,
        counts_from_the_end: true,
      })
    })

    test('with a cron text waits for its tick if the view holds something already', async () => {
      const project = await viewProject(major, schema)
      await project.query(`insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, cron, time_zone)
        values ('per_venue', '0 0 1 1 *', 'Europe/London')`)
      project.start()

      await waitFor('the next refresh', async () =>
        count(project, `select count(next_refresh_at) from pgfresh.materialized_view_refresh_schedule`),
      )
      const [row] = await project.query<{ month: string; soon: boolean }>(
        `select to_char(next_refresh_at at time zone 'Europe/London', 'MM-DD HH24:MI') as month, next_refresh_at < now() + interval '1 minute' as soon
         from pgfresh.materialized_view_refresh_schedule`,
      )
      expect(row).toEqual({ month: '01-01 00:00', soon: false })
      expect(await executions(project, 'per_venue')).toEqual([])
    })

    test('that is changed counts from then on: another interval, another moment, disabled, deleted', async () => {
      const project = await viewProject(major, schema)
      await project.query(
        `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval) values ('per_venue', '1 day')`,
      )
      project.start()
      const refreshes = async () => (await executions(project, 'per_venue')).length
      await waitFor('the first refresh', async () => (await refreshes()) === 1)

      await project.query(`update pgfresh.materialized_view_refresh_schedule set next_refresh_at = now()`)
      await waitFor('the second refresh', async () => (await refreshes()) === 2)

      await project.query(`update pgfresh.materialized_view_refresh_schedule set refresh_interval = '100 ms'`)
      await waitFor('more refreshes', async () => (await refreshes()) >= 5)

      await project.query(
        `update pgfresh.materialized_view_refresh_schedule set refresh_interval = null, cron = '* * * * * *'`,
      )
      await waitFor('ticks', async () =>
        count(
          project,
          `select count(*) from pgfresh.materialized_view_refresh_schedule where next_refresh_at between now() and now() + interval '2 s'`,
        ),
      )

      await project.query(`update pgfresh.materialized_view_refresh_schedule set enabled = false`)
      await project.query(`delete from pgfresh.materialized_view_refresh_schedule_execution`)
      await project.query(`select pg_sleep(1.5)`)
      expect(await refreshes()).toBeLessThanOrEqual(1)
    })

    test.each([
      [
        'no_such_view',
        `refresh_interval, time_zone) values ('no_such_view', '1 s', 'UTC')`,
        'there is no materialized view no_such_view',
      ],
      [
        'a b c',
        `refresh_interval, time_zone) values ('a b c', '1 s', 'UTC')`,
        'there is no materialized view a b c',
      ],
      [
        'event',
        `refresh_interval, time_zone) values ('event', '1 s', 'UTC')`,
        'there is no materialized view event',
      ],
      [
        'per_venue',
        `cron, time_zone) values ('per_venue', '61 * * * *', 'UTC')`,
        `cron "61 * * * *" can't be read (field value (61) is out of range): write five fields, minute hour day month weekday, as in '*/10 * * * *'`,
      ],
      [
        'per_venue',
        `cron, time_zone) values ('per_venue', '* * * * *', 'Mars/Olympus')`,
        `there is no time zone "Mars/Olympus": write an IANA name, as in 'Europe/London' or 'UTC'`,
      ],
    ])('about %s that means nothing says so, and the others go on', async (_, values, error) => {
      const project = await viewProject(major, schema)
      await project.query(`insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, ${values};
        insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval) values ('future_event', '1 hour')`)
      project.start()

      await waitFor('the other view', async () => (await executions(project, 'future_event')).length === 1)
      const said = await waitFor('the error', async () => {
        const [row] = await project.query<{ last_error: string | null }>(
          `select last_error from pgfresh.materialized_view_refresh_schedule where materialized_view_name <> 'future_event'`,
        )
        return row?.last_error ?? false
      })
      expect(said).toBe(error)

      // And once it means something, it is acted on.
      await project.query(`create materialized view no_such_view as select 1 as n;
        create materialized view "a b c" as select 1 as n;
        update pgfresh.materialized_view_refresh_schedule set time_zone = 'UTC', cron = null, refresh_interval = '1 hour',
          materialized_view_name = case materialized_view_name when 'a b c' then '"a b c"' when 'event' then 'per_venue' else materialized_view_name end
        where last_error is not null`)
      await waitFor('the refresh', async () =>
        count(
          project,
          `select count(*) from pgfresh.materialized_view_refresh_schedule where last_error is null and last_refreshed_at is not null having count(*) = 2`,
        ),
      )
    })
  })

  test('a row that somebody holds locked keeps no view from being refreshed', async () => {
    const project = await viewProject(major, schema)
    await project.query(
      `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval) values ('per_venue', '50 ms'), ('future_event', '50 ms')`,
    )
    const holder = await project.database.connect()
    await holder.query('begin; update pgfresh.materialized_view_refresh_schedule set enabled = enabled')
    project.start()

    await waitFor('refreshes', async () => (await executions(project, 'per_venue')).length > 3)
    await waitFor('refreshes', async () => (await executions(project, 'future_event')).length > 3)
    expect(
      await count(project, 'select count(last_refreshed_at) from pgfresh.materialized_view_refresh_schedule'),
    ).toBe(0)
    await holder.query('commit')
    await waitFor('the rows to be told', async () =>
      count(
        project,
        'select count(*) from pgfresh.materialized_view_refresh_schedule where last_refreshed_at is not null having count(*) = 2',
      ),
    )
  })

  test('a view without a unique index is refreshed with its readers waiting, one with it is not', async () => {
    const project = await viewProject(major, schema)
    const reader = await project.database.connect()
    await reader.query('begin; select * from future_event; select * from per_venue')
    await project.query(
      `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval) values ('per_venue', '1 hour'), ('future_event', '1 hour')`,
    )
    project.start()

    await waitFor(
      'the refresh that readers do not mind',
      async () => (await executions(project, 'per_venue')).length === 1,
    )
    const [failed] = await waitFor('the one that they do', async () => {
      const found = await executions(project, 'future_event')
      return found.length > 0 ? found : false
    })
    expect(failed).toMatchObject({
      outcome: 'failed',
      error: expect.stringMatching(
        /^its lock was not to be had in time, because of readers .* \(key\) it would be refreshed without/,
      ),
    })
    await reader.query('commit')
    await waitFor(
      'the next attempt',
      async () => (await executions(project, 'future_event')).some((one) => one.outcome === 'refreshed'),
      { timeoutMs: 15_000 },
    )
    expect((await executions(project, 'future_event')).at(-1)).toMatchObject({ triggered_by: 'retry' })
  })
})
