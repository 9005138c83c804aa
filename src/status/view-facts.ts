/**
 * What the bookkeeping says of each view in the refresh schedule, as a select that other statements hold: all from one snapshot.
 *
 * When a view is due is said by pgfresh.view_schedule(), as daemons have it. No view is read, nor locked: rows and size are those that
 * its last refresh left, or the catalog's. Called by facts.ts, and by verify/ for the view that it compares.
 */
import { lockKey, viewLockClass } from '../views/lock.ts'

/** One row of the schedule. Ids are text, moments ISO 8601, ages in milliseconds as of the snapshot. */
export interface ViewFacts {
  readonly schedule: string
  /** Null: no definition declares it. */
  readonly project: string | null
  /** The definition's name. */
  readonly definition: string | null
  /** As the row names it. */
  readonly written: string
  /** As this session would write it; null: there is no such materialized view. */
  readonly view: string | null
  readonly oid: string | null
  readonly populated: boolean
  readonly enabled: boolean
  readonly rebuild: boolean
  readonly appliedAgeMs: number | null
  readonly every: string | null
  readonly cron: string | null
  readonly timeZone: string
  readonly maximumMs: number
  readonly attemptedAt: string | null
  readonly attemptedAgeMs: number | null
  readonly refreshedAt: string | null
  readonly refreshedAgeMs: number | null
  readonly failures: number
  readonly error: string | null
  /** True: a moment for its next refresh is known. */
  readonly reckoned: boolean
  /** When it is refreshed next, a request or a wait after a failure counted in; null: not by itself, or since ever. */
  readonly dueAt: string | null
  /** Of dueAt; negative: that long ago. */
  readonly dueInMs: number | null
  readonly due: boolean
  /** The session that refreshes it now; what others may not see of a session is null. */
  readonly running: {
    readonly pid: number
    readonly since: string | null
    readonly ageMs: number | null
  } | null
  readonly lastExecution: ExecutionFacts | null
  readonly lastRefresh: ExecutionFacts | null
  /** From the catalog; null: it has no statistics. */
  readonly rowsEstimated: number | null
  readonly bytesEstimated: number | null
}

/** One row of the history. */
export interface ExecutionFacts {
  readonly startedAt: string
  readonly endedAt: string
  readonly endedAgeMs: number
  readonly ms: number
  readonly outcome: 'refreshed' | 'skipped' | 'failed' | 'cancelled'
  readonly triggeredBy: 'schedule' | 'request' | 'definition' | 'retry'
  readonly concurrent: boolean | null
  readonly rows: number | null
  readonly bytes: number | null
  readonly error: string | null
}

const ms = (interval: string) => `(extract(epoch from ${interval}) * 1000)::float8`
const age = (moment: string) => ms(`pg_catalog.now() - ${moment}`)

const execution = (where: string) => `(
    select pg_catalog.jsonb_build_object('startedAt', x.started_at, 'endedAt', x.ended_at, 'endedAgeMs', ${age('x.ended_at')},
      'ms', ${ms('x.ended_at - x.started_at')}, 'outcome', x.outcome, 'triggeredBy', x.triggered_by, 'concurrent', x.concurrent,
      'rows', x.rows, 'bytes', x.bytes, 'error', x.error)
    from pgfresh.materialized_view_refresh_schedule_execution x
    where x.materialized_view_refresh_schedule_id = s.schedule ${where} order by x.ended_at desc, x.id desc limit 1)`

/** The select of ViewFacts over the rows `s` of pgfresh.view_schedule() and `d` of pgfresh.view that `where` leaves. */
export function viewsSelect(where: string): string {
  return `
  select s.schedule::text as schedule, d.project, d.name as definition, s.name as written,
    case when s.view is not null then s.view::pg_catalog.regclass::text end as view, s.view::text as oid,
    coalesce(s.populated, false) as populated, s.enabled, s.rebuild, ${age('d.applied_at')} as "appliedAgeMs",
    r.refresh_interval::text as every, r.cron, r.time_zone as "timeZone", ${ms('r.maximum_execution_duration')} as "maximumMs",
    s.attempted_at as "attemptedAt", ${age('s.attempted_at')} as "attemptedAgeMs",
    s.refreshed_at as "refreshedAt", ${age('s.refreshed_at')} as "refreshedAgeMs",
    s.failures, s.error, s.next_at is not null as reckoned,
    case when pg_catalog.isfinite(s.due_at) then s.due_at end as "dueAt",
    case when pg_catalog.isfinite(s.due_at) then -${age('s.due_at')} end as "dueInMs",
    coalesce(s.due_at <= pg_catalog.now(), false) as due,
    case when l.pid is not null then
      pg_catalog.jsonb_build_object('pid', l.pid, 'since', a.xact_start, 'ageMs', ${age('a.xact_start')}) end as running,
    ${execution('')} as "lastExecution", ${execution(`and x.outcome = 'refreshed'`)} as "lastRefresh",
    case when c.reltuples >= 0 then c.reltuples::float8 end as "rowsEstimated",
    case when c.reltuples >= 0 then c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint end as "bytesEstimated"
  from pgfresh.view_schedule() s
  join pgfresh.materialized_view_refresh_schedule r on r.id = s.schedule
  left join pgfresh.view d on d.schedule = s.schedule
  left join pg_catalog.pg_class c on c.oid = s.view
  left join pg_catalog.pg_locks l on l.locktype = 'advisory' and l.classid = ${viewLockClass} and l.objid::bigint = ${lockKey('s.schedule')} and l.objsubid = 2
    and l.granted and l.database = (select b.oid from pg_catalog.pg_database b where b.datname = pg_catalog.current_database())
  left join pg_catalog.pg_stat_activity a on a.pid = l.pid
  where ${where}
  order by d.project nulls last, 5, s.name`
}
