/**
 * A project for tests of views: pgfresh's schema is there, and what ran is easily read.
 */

import type pg from 'pg'
import { migrateSchema } from '../../../src/db/migrate.ts'
import type { Major } from '../../support/database.ts'
import { createProject, type Project } from '../../support/project.ts'
import { waitFor } from '../../support/wait-for.ts'

export type ViewProject = Project

/** A project whose database has `schema` and pgfresh's own schema, and no definitions. */
export async function viewProject(major: Major, schema: string): Promise<ViewProject> {
  const project = await createProject(major, schema)
  await migrateSchema({ url: project.database.url })
  return project
}

/** A row of the history. */
export interface Execution {
  readonly outcome: string
  readonly triggered_by: string
  readonly concurrent: boolean | null
  readonly rows: string | null
  readonly error: string | null
  readonly started_at: Date
  readonly ended_at: Date
}

/** What ran for a view, oldest first. */
export async function executions(project: ViewProject, view: string): Promise<Execution[]> {
  return await project.query<Execution & Record<string, unknown>>(
    `select e.outcome, e.triggered_by, e.concurrent, e.rows, e.error, e.started_at, e.ended_at
     from pgfresh.materialized_view_refresh_schedule_execution e
     join pgfresh.materialized_view_refresh_schedule s on s.id = e.materialized_view_refresh_schedule_id
     where s.materialized_view_name = $1 order by e.id`,
    [view],
  )
}

/** A view `gated` whose refresh lasts as long as a test holds the gate, with a unique index, and its row. */
export const gatedSchema = `
  create function gate() returns int language plpgsql volatile as $$ begin
    while not pg_try_advisory_xact_lock_shared(4711) loop perform pg_sleep(0.01); end loop; return 0; end $$;
  create table event (id int primary key, venue int);
  insert into event select n, n % 10 from generate_series(1, 100) n;
  create materialized view gated as select count(*)::int as events, public.gate() as gate from event;
  create unique index on gated (events)`

/** Puts a row into the schedule; returns its id. */
export async function schedule(
  project: ViewProject,
  view: string,
  timing: { readonly every: string } | { readonly cron: string } = { every: '1 hour' },
): Promise<string> {
  const [row] = await project.query<{ id: string }>(
    `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval, cron) values ($1, $2, $3) returning id`,
    [view, 'every' in timing ? timing.every : null, 'cron' in timing ? timing.cron : null],
  )
  return row?.id ?? ''
}

/** Closes the gate; call what it returns to open it. */
export async function closeGate(project: ViewProject): Promise<() => Promise<void>> {
  const gate: pg.Client = await project.database.connect()
  await gate.query('select pg_advisory_lock(4711)')
  return async () => {
    await gate.query('select pg_advisory_unlock(4711)')
  }
}

/** Sessions of ours that are in the middle of a refresh. */
export async function refreshing(project: ViewProject): Promise<number[]> {
  const rows = await project.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and application_name like 'pgfresh view%'
       and state = 'active' and query like '%refresh materialized view%' and wait_event = 'PgSleep'`,
  )
  return rows.map(({ pid }) => pid)
}

/** The same, wherever in its query it is just now. */
export async function underWay(project: ViewProject): Promise<number[]> {
  const rows = await project.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and application_name like 'pgfresh view%'
       and state <> 'idle' and query like '%refresh materialized view%'`,
  )
  return rows.map(({ pid }) => pid)
}

/** Waits until just one is. */
export async function inARefresh(project: ViewProject): Promise<number> {
  return await waitFor('a refresh to be under way', async () => {
    const pids = await refreshing(project)
    return pids.length === 1 ? pids[0] : undefined
  })
}

/** What people see of a view. */
export interface ShownRow {
  readonly last_error: string | null
  readonly last_attempted_at: Date | null
  readonly last_refreshed_at: Date | null
  readonly next_refresh_at: Date | null
  readonly enabled: boolean
}

/** A view's row in the schedule. */
export async function shown(project: ViewProject, view: string): Promise<ShownRow | undefined> {
  const [row] = await project.query<ShownRow & Record<string, unknown>>(
    `select last_error, last_attempted_at, last_refreshed_at, next_refresh_at, enabled
     from pgfresh.materialized_view_refresh_schedule where materialized_view_name = $1`,
    [view],
  )
  return row
}

/** Pairs of refreshes of one view that ran at the same time: there must be none. */
export async function overlaps(project: ViewProject): Promise<unknown[]> {
  return await project.query(
    `with run as (
       select e.*, pgfresh.view_named(s.materialized_view_name) as view from pgfresh.materialized_view_refresh_schedule_execution e
       join pgfresh.materialized_view_refresh_schedule s on s.id = e.materialized_view_refresh_schedule_id where e.outcome = 'refreshed')
     select a.id, b.id as other, a.started_at, a.ended_at, b.started_at as other_started, b.ended_at as other_ended
     from run a join run b on a.view = b.view and a.id < b.id and a.started_at < b.ended_at and b.started_at < a.ended_at`,
  )
}

/** `public.alone(n)` in a view's query raises an error where another transaction is in the middle of the same. */
export const aloneSql = `create function public.alone(n int) returns int language plpgsql volatile as $$ begin
    if not pg_try_advisory_xact_lock(4712, n) then raise exception 'not alone'; end if; return n; end $$;`
