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
import { explainFailure } from './failure.ts'
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
  try {
    if (built) await rebuild(session, stored, view.oid)
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
    })
  }
  const [clock] = await session.rows(
    `select extract(epoch from pg_catalog.clock_timestamp()) * 1000 as now_ms, s.refresh_interval as every, s.cron, s.time_zone,
       ${reckonedFor} as reckoned_for
     from (values (1)) one left join pgfresh.materialized_view_refresh_schedule s on s.id = $1::bigint`,
    [view.schedule],
  )
  await session.run(
    finishSql(context, { contains, name, concurrently: built ? null : concurrently }, clock ?? {}),
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
          and i.indimmediate and i.indpred is null and i.indexprs is null) as concurrently
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
  { ms, concurrently }: { readonly ms: number; readonly concurrently: boolean },
): RefreshFailure {
  const message = explainFailure(error, {
    longest: text(row, 'longest'),
    longestMs: longestMs(row),
    ms,
    concurrently,
    mayRefresh: found.may === 't',
    role: text(found, 'role'),
    owner: text(found, 'owner'),
  })
  return new RefreshFailure(message, { cause: error })
}

interface Contents {
  readonly contains: string
  readonly name: TableName
  /** Null: it was built anew. */
  readonly concurrently: boolean | null
}

/** `clock`: what the schedule's row says now, which may not be what it said at the mark. */
function finishSql(
  { view, row, attemptedAt, trigger, daemon }: AttemptContext & Mark,
  { contains, name, concurrently }: Contents,
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
      where c.retired_at is null and c.source = pg_catalog.to_regclass(${quoteLiteral(quoteQualified(name.schema, name.name))})::oid;
    update pgfresh.view_state v set refreshed_at = pg_catalog.statement_timestamp(), failures = 0, error = ${literal(error)},
      contains = ${quoteLiteral(contains)}::pg_snapshot,
      next_at = case
        when v.reckoned_for is distinct from ${literal(clock.reckoned_for)} then v.next_at
        when v.next_at is distinct from ${moment(view.nextAt)} and v.next_at > pg_catalog.clock_timestamp()
          and v.reckoned_for = ${literal(row.reckoned_for)} then v.next_at
        else ${nextAt} end
    from pgfresh.materialized_view_refresh_schedule s where v.schedule = ${id} and s.id = ${id} and v.attempted_at = ${moment(attemptedAt)};
    insert into pgfresh.materialized_view_refresh_schedule_execution
      (materialized_view_refresh_schedule_id, started_at, ended_at, outcome, triggered_by, concurrent, daemon)
    values (${id}, ${moment(attemptedAt)}, pg_catalog.clock_timestamp(), 'refreshed', ${quoteLiteral(trigger)},
      ${concurrently === null ? 'null' : concurrently}, ${quoteLiteral(daemon)});
    commit`
}

/** Rows and bytes after it, for the history. Behind the commit, so that nobody waits for the count: where it fails they stay unknown. */
export async function measure(
  { session, view, attemptedAt }: AttemptContext & Mark,
  { name }: Refreshed,
): Promise<void> {
  const qualified = quoteQualified(name.schema, name.name)
  const counting = session.run(`${begin()} update pgfresh.materialized_view_refresh_schedule_execution e
      set rows = (select pg_catalog.count(*) from ${qualified}), bytes = pg_catalog.pg_total_relation_size(${quoteLiteral(qualified)})
    where e.materialized_view_refresh_schedule_id = ${BigInt(view.schedule)} and e.ended_at >= ${moment(attemptedAt)} and e.started_at = ${moment(attemptedAt)}; commit`)
  await counting.catch((error: unknown) => {
    if (session.lost) throw error
    return session.rollback()
  })
}
