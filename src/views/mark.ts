/**
 * The first half of an attempt: a short transaction that says, before anything is tried, that it is. One daemon of many gets through
 * (compare-and-set on what it saw). What is not worth an attempt, because nothing has changed, is said here too.
 */
import { quoteLiteral } from '../db/identifier.ts'
import type { Row, Session } from '../db/session.ts'
import { begin, tag } from '../db/transaction.ts'
import type { StoredView } from '../materialization/store.ts'
import { text } from '../materialization/store.ts'
import { tryLockSql } from './lock.ts'
import type { DueView } from './look.ts'
import { mayRefreshSql } from './order.ts'
import { moment, nextRefresh, reckonedFor } from './reckon.ts'
import { show } from './show.ts'
import { unchangedSql } from './unchanged.ts'

/** What an attempt works with. */
export interface AttemptContext {
  readonly session: Session
  readonly view: DueView
  /** What apply stored of it; undefined for a row of people's own. */
  readonly stored: StoredView | undefined
  /** The daemon's id, for the history. */
  readonly daemon: string
}

/** The attempt that the mark stands for. */
export interface Mark {
  /** The moment, as the server printed it. */
  readonly attemptedAt: string
  readonly trigger: 'schedule' | 'request' | 'definition' | 'retry'
  /** The schedule's row: maximum_execution_duration as `longest` and, in ms, `longest_ms`; what was reckoned from as `reckoned_for`. */
  readonly row: Row
}

/** What became of marking. */
export type Marked =
  | { readonly kind: 'taken' }
  | { readonly kind: 'skipped' }
  | ({ readonly kind: 'marked' } & Mark)

/** Commits that the attempt begins, unless somebody else was first or there is nothing to do. Prompts go now, before the snapshot. */
export async function mark(context: AttemptContext): Promise<Marked> {
  const { session, view } = context
  const row = await worthwhile(context)
  if (row === undefined) return { kind: 'taken' }
  const skips = row.unchanged === 't'
  const results = await session.run(`${begin()} ${skips ? skipSql(context, row) : markSql(context)}; commit`)
  const attemptedAt = results.at(-2)?.[0]?.attempted_at
  if (attemptedAt == null) return { kind: 'taken' }
  await show(session)
  return skips ? { kind: 'skipped' } : { kind: 'marked', attemptedAt, trigger: triggerOf(view), row }
}

/**
 * The schedule's row, if the view is free, enabled, and nothing comes before it. In one message: the lock is only tried, so that who has
 * marked, and waits for it, has it at once.
 */
async function worthwhile({ session, view, stored }: AttemptContext): Promise<Row | undefined> {
  const maySkip =
    stored?.compiled.skipUnchanged === true &&
    view.populated &&
    !view.rebuild &&
    !view.requested &&
    view.failures === 0
  const results = await session.run(`${begin()} ${tryLockSql(view)};
    select s.id as schedule, s.refresh_interval as every, s.cron, s.time_zone, s.maximum_execution_duration as longest,
      extract(epoch from s.maximum_execution_duration) * 1000 as longest_ms, extract(epoch from pg_catalog.clock_timestamp()) * 1000 as now_ms,
      pg_catalog.statement_timestamp() as looked_at, ${reckonedFor} as reckoned_for, ${maySkip ? unchangedSql(stored) : 'false'} as unchanged
    from pgfresh.materialized_view_refresh_schedule s where s.id = ${BigInt(view.schedule)} and s.enabled and ${mayRefreshSql(view)} ${tag('views')};
    commit`)
  return results.at(-3)?.[0]?.got === 't' ? results.at(-2)?.[0] : undefined
}

function markSql({ view, daemon }: AttemptContext): string {
  const id = BigInt(view.schedule)
  return `with before as materialized (select * from pgfresh.view_state v where ${asSeen(view)} for no key update),
      lost as (${lostSql(daemon)}),
      prompts as (delete from pgfresh.view_prompt p where p.schedule = ${id} and exists (select from before))
    update pgfresh.view_state v set attempted_at = pg_catalog.clock_timestamp(), failures = v.failures + 1
    from before where v.schedule = before.schedule returning v.attempted_at`
}

/** It was unchanged when that was looked at, which is what the history says. */
function skipSql({ view, daemon }: AttemptContext, row: Row): string {
  const { nextAt } = nextRefresh(row, Number(text(row, 'now_ms')), 'pg_catalog.statement_timestamp()')
  return `with skipped as (
      update pgfresh.view_state v set attempted_at = ${moment(text(row, 'looked_at'))}, next_at = ${nextAt}
      from pgfresh.materialized_view_refresh_schedule s where s.id = v.schedule and ${asSeen(view)} returning v.schedule, v.attempted_at)
    insert into pgfresh.materialized_view_refresh_schedule_execution
      (materialized_view_refresh_schedule_id, started_at, ended_at, outcome, triggered_by, daemon)
    select s.schedule, s.attempted_at, s.attempted_at, 'skipped', 'schedule', ${quoteLiteral(daemon)} from skipped s
    returning started_at as attempted_at`
}

/** The state is what it was when the view was found due (alias `v`). */
export function asSeen({ schedule, failures, attemptedAt, nextAt }: DueView): string {
  return `v.schedule = ${BigInt(schedule)} and v.failures = ${failures} and v.attempted_at is not distinct from ${moment(attemptedAt)}
    and v.next_at is not distinct from ${moment(nextAt)}`
}

/** Of an attempt that left no word the history hears from the next one. */
function lostSql(daemon: string): string {
  return `insert into pgfresh.materialized_view_refresh_schedule_execution
      (materialized_view_refresh_schedule_id, started_at, ended_at, outcome, triggered_by, error, daemon)
    select b.schedule, b.attempted_at, pg_catalog.clock_timestamp(), 'failed', 'schedule',
      'the daemon or its connection went away in the middle', ${quoteLiteral(daemon)}
    from before b where b.failures > 0 and b.attempted_at is not null and not exists (
      select from pgfresh.materialized_view_refresh_schedule_execution e where e.materialized_view_refresh_schedule_id = b.schedule
        and e.ended_at >= b.attempted_at and e.started_at = b.attempted_at)`
}

/** Why it is due, as the history says it. */
export function triggerOf(view: DueView): Mark['trigger'] {
  if (view.requested) return 'request'
  if (view.failures > 0) return 'retry'
  return view.rebuild ? 'definition' : 'schedule'
}
