/**
 * Views of the refresh schedule put together by hand, as apply and daemons would leave them: with no daemon, so that a test decides
 * itself what was refreshed and when.
 */
import { migrateSchema } from '../../../src/db/migrate.ts'
import type { Route } from '../../../src/materialization/compiled.ts'
import type { CompiledView } from '../../../src/materialization/compiled-view.ts'
import type { TestDatabase } from '../../support/database.ts'

/** What a view may have otherwise. */
export interface ViewOptions {
  /** Default `big_event`. */
  readonly name?: string
  readonly query?: string
  /** Default false: a row of people's own. */
  readonly declared?: boolean
  /** Default `default`. */
  readonly project?: string
  readonly skipUnchanged?: boolean
  readonly routes?: readonly Route[]
  readonly settings?: Readonly<Record<string, string>>
  /** Default every 10 minutes. */
  readonly timing?: { readonly every: string } | { readonly cron: string; readonly timeZone?: string } | null
  /** How long ago it was refreshed last; null: never by a daemon. Default 3 minutes. */
  readonly refreshed?: string | null
}

/** Tables and our schema. */
export async function makeEvents(database: TestDatabase): Promise<void> {
  await database.query('create table event (id bigint primary key, name text, price numeric)')
  await database.query(`insert into event select n, 'event ' || n, n + 0.10 from generate_series(1, 20) n`)
  await migrateSchema({ url: database.url })
}

/** Makes a view and its row in the schedule, as after a refresh; returns the row's id. */
export async function makeView(database: TestDatabase, options: ViewOptions = {}): Promise<string> {
  const { name = 'big_event', query = 'select id, name, price from event where id > 10' } = options
  const { declared = false, timing = { every: '10 minutes' }, refreshed = '3 minutes' } = options
  await database.query(`create materialized view ${name} as ${query}`)
  const every = timing !== null && 'every' in timing ? timing.every : null
  const cron = timing !== null && 'cron' in timing ? timing.cron : null
  const zone = (timing !== null && 'cron' in timing ? timing.timeZone : undefined) ?? 'UTC'
  const [row] = await database.query<{ id: string }>(
    `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval, cron, time_zone, declared_by)
     values ($1, $2, $3, $4, $5) returning id::text`,
    [name, every, cron, zone, declared ? `default/${name}` : null],
  )
  const id = row?.id ?? ''
  if (declared) await declare(database, id, name, query, options)
  if (refreshed !== null) {
    await database.query(
      `insert into pgfresh.view_state (schedule, attempted_at, refreshed_at, next_at, reckoned_for, contains)
       select s.id, now() - $2::interval, now() - $2::interval, now() - $2::interval + s.refresh_interval,
         concat_ws(' | ', s.refresh_interval, s.cron, s.time_zone), pg_current_snapshot()
       from pgfresh.materialized_view_refresh_schedule s where s.id = $1`,
      [id, refreshed],
    )
  }
  return id
}

async function declare(
  database: TestDatabase,
  id: string,
  name: string,
  query: string,
  { project = 'default', skipUnchanged = false, routes = [], settings = {} }: ViewOptions,
): Promise<void> {
  const compiled: CompiledView = {
    kind: 'view',
    project,
    name: `${name} definition`,
    view: { schema: 'public', name },
    query,
    key: [],
    schedule: { every: '10 minutes', cron: null, timeZone: 'UTC', maximumExecutionDuration: '30 minutes' },
    settings: { search_path: 'public', TimeZone: 'UTC', ...settings },
    skipUnchanged,
    routes,
  }
  await database.query(
    `insert into pgfresh.view (schedule, project, name, target, fingerprint, compiled) values ($1, $2, $3, $4::regclass, 'f', $5)`,
    [id, project, `${name} definition`, name, JSON.stringify(compiled)],
  )
}

/** Changes what daemons remember of a view. */
export async function setState(database: TestDatabase, id: string, set: string): Promise<void> {
  await database.query(`update pgfresh.view_state set ${set} where schedule = $1`, [id])
}

/** A row of the history that ended so long ago. */
export async function addExecution(
  database: TestDatabase,
  id: string,
  values: {
    readonly outcome: string
    readonly ago: string
    readonly took?: string
    readonly error?: string
    readonly rows?: number
  },
): Promise<void> {
  await database.query(
    `insert into pgfresh.materialized_view_refresh_schedule_execution
       (materialized_view_refresh_schedule_id, started_at, ended_at, outcome, triggered_by, concurrent, rows, bytes, error, daemon)
     values ($1, now() - $3::interval - $4::interval, now() - $3::interval, $2, 'schedule', true, $5, $5::bigint * 100, $6, 'd1')`,
    [id, values.outcome, values.ago, values.took ?? '1 s', values.rows ?? null, values.error ?? null],
  )
}
