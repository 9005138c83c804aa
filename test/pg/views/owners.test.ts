/**
 * Whose rights and settings a refresh works with: a view's owner runs as the owner, never as the daemon, and what people set for their
 * query changes nothing of what is stored about it.
 */
import { expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { waitFor } from '../../support/wait-for.ts'
import { executions, schedule, shown, type ViewProject, viewProject } from './view-project.ts'

const table = 'pgfresh.materialized_view_refresh_schedule'

/** A role with a schema `app` of its own, and there `noted(n)`, which says immutable and notes in app.ran who runs it. */
async function ownersProject(major: Major) {
  const project = await viewProject(
    major,
    'create table public.event (id int primary key, venue int); insert into event select n, n % 10 from generate_series(1, 100) n',
  )
  const { name, url } = await project.database.createRole()
  await project.query(`create schema app authorization ${name}; grant select on public.event to ${name}`)
  const owner = await project.database.connect({ connectionString: url })
  await owner.query(`
    create table app.ran (who text);
    create function app.note() returns void language plpgsql volatile as $$ begin insert into app.ran values (current_user); end $$;
    create function app.noted(n int) returns int language plpgsql immutable as $$ begin perform app.note(); return n; end $$`)
  const ranAs = async () =>
    (await project.query<{ who: string }>('select distinct who from app.ran')).map(({ who }) => who)
  return { project, owner, name, ranAs }
}

const refreshed = (project: ViewProject, view: string, times: number) =>
  waitFor(`${view} to be refreshed`, async () => {
    const rows = await executions(project, view)
    return rows.filter((one) => one.outcome === 'refreshed').length >= times ? rows : undefined
  })

const declared = (query: string, more = '') =>
  `export const mv = defineView({ name: 'app.mv', query: sql\`${query}\`, adopt: true${more} })`

forEachMajor((major) => {
  test('what its owner has made an index of runs as the owner when it is built anew', async () => {
    const { project, owner, name, ranAs } = await ownersProject(major)
    await owner.query(`create materialized view app.mv as select id from public.event;
      create index mv_noted on app.mv (app.noted(id)); create index mv_some on app.mv (id) where app.noted(1) > 0; delete from app.ran`)
    await project.materialize(declared('select id, venue from public.event'))
    const daemon = project.start()
    const [run] = await refreshed(project, 'app.mv', 1)
    expect(run).toMatchObject({ triggered_by: 'definition', concurrent: null, rows: '100' })
    await daemon.stop()
    expect(await ranAs()).toEqual([name])
    expect(
      await project.query(
        `select pg_get_userbyid(relowner) as owner from pg_class where oid = 'app.mv'::regclass`,
      ),
    ).toEqual([{ owner: name }])
    // Broken: the new one is given to its owner once its indexes are there.
  })

  test.each([
    { index: 'create unique index on app.mv (id)', concurrent: true, rows: null },
    { index: 'create index on app.mv (id)', concurrent: false, rows: '100' },
  ])('nothing is planned over it as the daemon (concurrently: $concurrent)', async (how) => {
    const { project, owner, name, ranAs } = await ownersProject(major)
    await owner.query(`create materialized view app.mv as select id from public.event; ${how.index};
      create index mv_some on app.mv (id) where app.noted(1) > 0; delete from app.ran`)
    await schedule(project, 'app.mv')
    const daemon = project.start()
    const [run] = await refreshed(project, 'app.mv', 1)
    expect(run).toMatchObject({ concurrent: how.concurrent, rows: how.rows })
    const [stored] = await project.query(
      'select bytes > 8192 as bytes from pgfresh.materialized_view_refresh_schedule_execution',
    )
    expect(stored).toEqual({ bytes: true })
    await daemon.stop()
    expect(await ranAs()).toEqual([name])
    // Broken: rows are counted by a query of the daemon's, which folds the constants of its indexes as the daemon.
  })

  test('what its owner puts in its place right after a refresh is not read', async () => {
    const { project, owner, ranAs } = await ownersProject(major)
    await owner.query('create materialized view app.mv as select id from public.event')
    const id = await schedule(project, 'app.mv')
    const watcher = await project.database.connect()
    await watcher.query(`begin; lock table ${table} in exclusive mode`)
    const daemon = project.start()
    // It is settled and marked, and then the row can't be shown for a while: time enough.
    await waitFor('the refresh', async () => {
      const rows = await project.query(
        `select from pgfresh.materialized_view_refresh_schedule_execution where materialized_view_refresh_schedule_id = $1`,
        [id],
      )
      return rows.length === 1
    })
    await owner.query(`begin; drop materialized view app.mv;
      create function app.seen() returns int language plpgsql as $$ begin perform app.note(); return 1; end $$;
      create view app.mv as select app.seen() as id; commit`)
    await watcher.query('commit')
    await waitFor('the row to be told', async () =>
      /there is no materialized view/.test((await shown(project, 'app.mv'))?.last_error ?? ''),
    )
    await daemon.stop()
    expect(await ranAs()).toEqual([])
    // Broken: rows are counted by name after the commit.
  })

  test('a reader whose snapshot is older than the swap finds it filled', async () => {
    const { project, owner } = await ownersProject(major)
    await owner.query('create materialized view app.mv as select id from public.event')
    const reader = await project.database.connect()
    await reader.query('begin isolation level repeatable read')
    await reader.query('select count(*) from public.event')
    await project.materialize(declared('select id, venue from public.event'))
    const daemon = project.start()
    await refreshed(project, 'app.mv', 1)
    expect((await reader.query('select count(*)::int as rows from app.mv')).rows).toEqual([{ rows: 100 }])
    await reader.query('commit')
    await daemon.stop()
    // Broken on 14: rows of `create materialized view … as` aren't visible to it.
  })

  test('its owner may not read what the new query reads: said so, and built once that is allowed', async () => {
    const { project, owner, name } = await ownersProject(major)
    await owner.query('create materialized view app.mv as select id from public.event')
    await project.query('create table public.venue (id int primary key)')
    await project.materialize(declared('select id from public.venue'))
    const daemon = project.start()
    await waitFor('the failure', async () =>
      (await shown(project, 'app.mv'))?.last_error?.endsWith(
        `(its query and its indexes run as its owner, ${name})`,
      ),
    )
    await project.query(`grant select on public.venue to ${name}`)
    await project.query(`update ${table} set next_refresh_at = now()`)
    await refreshed(project, 'app.mv', 1)
    await daemon.stop()
  })

  test('settings of its own that change how intervals and moments are written', async () => {
    const project = await viewProject(major, 'create table event (id int primary key)')
    await project.materialize(`export const odd = defineView({ name: 'odd', query: sql\`select id from public.event\`,
      refresh: { every: '1 hour' }, settings: { IntervalStyle: 'iso_8601', DateStyle: 'German' } })`)
    const daemon = project.start()
    await refreshed(project, 'odd', 1)
    await daemon.stop()
    expect(
      await project.query(`select v.reckoned_for = jsonb_build_array(s.materialized_view_name, s.refresh_interval, s.cron, s.time_zone)::text as same,
          v.next_at = v.refreshed_at + interval '1 hour' as later, (select count(*)::int from pgfresh.materialized_view_refresh_schedule_execution) as runs
        from ${table} s join pgfresh.view_state v on v.schedule = s.id`),
    ).toEqual([{ same: true, later: true, runs: 1 }])
    // Broken: the end of a refresh reckons in the style of the settings: it is due again at once, for ever.
  })

  test('building it anew takes too long: cut off at its maximum_execution_duration', async () => {
    const { project, owner } = await ownersProject(major)
    await owner.query('create materialized view app.mv as select id from public.event')
    await project.materialize(
      declared(
        'select id, pg_sleep(5)::text as slept from public.event',
        ", maximumExecutionDuration: '300 ms'",
      ),
    )
    const daemon = project.start()
    const [failed] = await waitFor('the failure', async () => {
      const rows = await executions(project, 'app.mv')
      return rows.length > 0 ? rows : undefined
    })
    expect(failed).toMatchObject({
      outcome: 'failed',
      error: 'took longer than its maximum_execution_duration of 00:00:00.3, and was cancelled',
    })
    expect((failed?.ended_at.getTime() ?? 0) - (failed?.started_at.getTime() ?? 0)).toBeLessThan(3_000)
    await daemon.stop()
  })
})
