/**
 * The transaction of a refresh: lock, snapshot, refresh (or build anew and swap), entries in the log for those that read the view,
 * bookkeeping, commit. What it contains is the snapshot that was taken in the statement before it: at least that.
 */
import { quoteLiteral, quoteQualified } from '../db/identifier.ts'
import type { Row } from '../db/session.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { begin, setLocal, tag } from '../db/transaction.ts'
import type { TableName } from '../materialization/compiled.ts'
import { text } from '../materialization/store.ts'
import { explainFailure, type FailedAttempt } from './failure.ts'
import { lockSql } from './lock.ts'
import type { AttemptContext, Mark } from './mark.ts'
import { rebuild } from './rebuild.ts'
import { moment, nextRefresh, reckonedFor } from './reckon.ts'

/** How it went. */
export interface Refreshed {
  readonly kind: 'refreshed'
  readonly ms: number
  /** Its query had changed: it was built anew, and swapped. */
  readonly built: boolean
  readonly concurrently: boolean
  readonly name: TableName
}

/** Or why there was none. */
export type NotRefreshed =
  /** Somebody else's attempt is the one that counts now. */
  | { readonly kind: 'taken' }
  /** Under another row of the schedule, the same view is being refreshed: this attempt is to be given back. */
  | { readonly kind: 'busy' }

/** A refresh that failed: `message` is for people. */
export class RefreshFailure extends Error {
  override readonly name = 'RefreshFailure'
}

/** The longest that statement_timeout can say, in ms. */
const longestTimeoutMs = 2_147_483_647

/**
 * How long a refresh waits for its lock. Where that stops readers (they queue behind it) not much longer than a second, but longer than
 * the deadlock_timeout of a second, at which the server makes autovacuum give way; CONCURRENTLY stops none.
 */
const lockTimeout = { blocking: '1500ms', concurrently: '10s' } as const

/** People's settings may be others: moments and intervals are stored, and compared with what is stored, in these. */
const ourForms = { DateStyle: 'ISO, MDY', IntervalStyle: 'postgres' } as const

/** Refreshes a view whose attempt was marked. Throws a RefreshFailure, or Superseded; the caller rolls back. */
export async function refresh(context: AttemptContext & Mark): Promise<Refreshed | NotRefreshed> {
  const { session, view, stored } = context
  const startedAt = performance.now()
  const opened = await open(context)
  if (opened.kind !== 'opened') return opened
  const { found, contains } = opened
  const name: TableName = { schema: text(found, 'schema'), name: text(found, 'name') }
  const concurrently = found.concurrently === 't'
  const built = view.rebuild && stored !== undefined
  const begun = performance.now()
  let { oid } = view
  try {
    if (built) oid = await rebuild(session, stored, view.oid)
    else {
      const { settings } = stored?.compiled ?? {}
      const wait = settings?.lock_timeout ?? lockTimeout[concurrently ? 'concurrently' : 'blocking']
      const how = concurrently ? 'concurrently ' : ''
      await session.run(`${tag(`refresh ${name.schema}.${name.name}`)} ${setLocal({ lock_timeout: wait })};
        refresh materialized view ${how}${quoteQualified(name.schema, name.name)}`)
    }
  } catch (error) {
    if (sqlstateOf(error) === null) throw error
    throw failureOf(error, context, found, {
      ms: performance.now() - begun,
      concurrently: concurrently && !built,
      built,
    })
  }
  await session.run(setLocal(ourForms))
  const [clock] = await session.rows(
    `select extract(epoch from pg_catalog.clock_timestamp()) * 1000 as now_ms, s.refresh_interval as every, s.cron, s.time_zone,
       ${reckonedFor} as reckoned_for, pg_catalog.to_regclass($2)::oid = $3::oid as same
     from (values (1)) one left join pgfresh.materialized_view_refresh_schedule s on s.id = $1::bigint`,
    [view.schedule, quoteQualified(name.schema, name.name), oid],
  )
  // Renamed or dropped, and another in its place, between the look and the refresh, which goes by name.
  if (clock?.same !== 't') throw new RefreshFailure(`${view.name} became another view in the middle`)
  await session.run(
    finishSql(
      context,
      {
        contains,
        oid,
        concurrently: built ? null : concurrently,
        insertedBefore: built ? '0' : text(found, 'inserted'),
      },
      clock,
    ),
  )
  return { kind: 'refreshed', ms: performance.now() - startedAt, built, concurrently, name }
}

type Opened =
  | NotRefreshed
  | {
      readonly kind: 'opened'
      /** The view as the catalog has it. */
      readonly found: Row
      /** The snapshot: what is committed in it will be in the view. */
      readonly contains: string
    }

/** Begins the transaction, as the one that refreshes the view. */
async function open({ session, view, stored, row, attemptedAt }: AttemptContext & Mark): Promise<Opened> {
  const settings = {
    ...stored?.compiled.settings,
    lock_timeout: '1s',
    statement_timeout: `${longestMs(row)}ms`,
  }
  try {
    const results = await session.run(`${begin(settings)} ${lockSql(view)};
      select v.attempted_at = ${moment(attemptedAt)} as mine from pgfresh.view_state v where v.schedule = ${BigInt(view.schedule)};
      select n.nspname as schema, c.relname as name, pg_catalog.pg_get_userbyid(c.relowner) as owner, current_user as role,
        pg_catalog.pg_has_role(c.relowner, 'USAGE') or case when pg_catalog.current_setting('server_version_num')::integer >= 170000
          then pg_catalog.has_table_privilege(c.oid, 'MAINTAIN') else false end as may,
        c.relispopulated and exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid
          and i.indimmediate and i.indpred is null and i.indexprs is null) as concurrently,
        pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) as inserted
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = ${BigInt(view.oid)} and c.relkind = 'm';
      select pg_catalog.pg_current_snapshot() as snapshot`)
    if (results.at(-3)?.[0]?.mine !== 't') {
      await session.rollback()
      return { kind: 'taken' }
    }
    const found = results.at(-2)?.[0]
    if (found === undefined) throw new RefreshFailure(`there is no materialized view ${view.name}`)
    return { kind: 'opened', found, contains: text(results.at(-1)?.[0] ?? {}, 'snapshot') }
  } catch (error) {
    // Nothing else in it waits.
    if (sqlstateOf(error) !== sqlstate.lockNotAvailable) throw error
    await session.rollback()
    return { kind: 'busy' }
  }
}

function longestMs(row: Row): number {
  return Math.min(Math.ceil(Number(text(row, 'longest_ms'))), longestTimeoutMs)
}

function failureOf(
  error: unknown,
  { row }: AttemptContext & Mark,
  found: Row,
  how: Pick<FailedAttempt, 'ms' | 'concurrently' | 'built'>,
): RefreshFailure {
  const message = explainFailure(error, {
    longest: text(row, 'longest'),
    longestMs: longestMs(row),
    ...how,
    mayRefresh: found.may === 't',
    role: text(found, 'role'),
    owner: text(found, 'owner'),
  })
  return new RefreshFailure(message, { cause: error })
}

interface Contents {
  readonly contains: string
  /** The view's; of one that was built anew, the new one's. */
  readonly oid: string
  /** Null: it was built anew. */
  readonly concurrently: boolean | null
  /** What the session had counted as inserted into the view before, and has not handed to the server's statistics yet. */
  readonly insertedBefore: string
}

/** `clock`: what the schedule's row says now, which may not be what it said at the mark. */
function finishSql(
  { view, row, attemptedAt, trigger, daemon }: AttemptContext & Mark,
  { contains, oid, concurrently, insertedBefore }: Contents,
  clock: Row,
): string {
  const id = BigInt(view.schedule)
  const { nextAt, error } = nextRefresh(
    clock,
    Number(text(clock, 'now_ms')),
    'pg_catalog.statement_timestamp()',
  )
  const literal = (value: string | null | undefined) => (value == null ? 'null' : quoteLiteral(value))
  // What people said while it ran stands: another moment, or what is settled by now from another row than was read just now.
  return `select pgfresh.log_key(c.id, 32767::smallint, 'A', null, null) from pgfresh.capture c
      where c.retired_at is null and c.source = ${BigInt(oid)};
    update pgfresh.view_state v set refreshed_at = pg_catalog.statement_timestamp(), failures = 0, error = ${literal(error)},
      contains = ${quoteLiteral(contains)}::pg_snapshot,
      next_at = case
        when v.reckoned_for is distinct from ${literal(clock.reckoned_for)} then v.next_at
        when v.next_at is distinct from ${moment(view.nextAt)} and v.next_at > pg_catalog.clock_timestamp()
          and v.reckoned_for = ${literal(row.reckoned_for)} then v.next_at
        else ${nextAt} end
    from pgfresh.materialized_view_refresh_schedule s where v.schedule = ${id} and s.id = ${id} and v.attempted_at = ${moment(attemptedAt)};
    insert into pgfresh.materialized_view_refresh_schedule_execution
      (materialized_view_refresh_schedule_id, started_at, ended_at, outcome, triggered_by, concurrent, rows, bytes, daemon)
    values (${id}, ${moment(attemptedAt)}, pg_catalog.clock_timestamp(), 'refreshed', ${quoteLiteral(trigger)},
      ${concurrently === null ? 'null' : concurrently}, ${rowsSql({ oid, concurrently, insertedBefore })},
      pg_catalog.pg_total_relation_size(${BigInt(oid)}), ${quoteLiteral(daemon)});
    commit`
}

/**
 * How many rows it has now, without reading it: what the refresh says that it wrote. Null where that isn't all of it (CONCURRENTLY writes
 * what differs) or isn't counted (track_counts). A query over the view would be planned as the daemon, and then its owner's index
 * expressions, or what the owner has put in its place, could run as the daemon.
 */
function rowsSql({ oid, concurrently, insertedBefore }: Omit<Contents, 'contains'>): string {
  if (concurrently === true) return 'null'
  return `case when pg_catalog.current_setting('track_counts')::boolean
        then pg_catalog.pg_stat_get_xact_tuples_inserted(${BigInt(oid)}) - ${BigInt(insertedBefore)} end`
}
