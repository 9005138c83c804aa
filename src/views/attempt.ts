/**
 * One attempt to refresh a view that is due: mark it, refresh it, say how it went.
 *
 * The mark is committed first and counted until the attempt succeeds, so that after a crash the view is due again, a little later
 * each time. One daemon marks (compare-and-set on what it saw), and one refreshes at a time (advisory locks that end with the
 * transaction): nothing that a crash leaves behind blocks a view. Called by daemon/view-loop.ts.
 */
import { quoteLiteral } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { sqlstateOf } from '../db/sqlstate.ts'
import { begin } from '../db/transaction.ts'
import { explainFailure } from './failure.ts'
import type { DueView } from './look.ts'
import { type AttemptContext, asSeen, type Mark, type Marked, mark, triggerOf } from './mark.ts'
import { Superseded } from './rebuild.ts'
import { moment } from './reckon.ts'
import { type Refreshed, RefreshFailure, refresh } from './refresh.ts'
import { show } from './show.ts'

/** How it ended. */
export type AttemptOutcome =
  /** Somebody else has it, it is no longer what it was, or another view comes first. */
  | { readonly kind: 'taken' }
  /** Nothing that it reads has changed. */
  | { readonly kind: 'skipped' }
  | Refreshed
  /** What apply stored has changed meanwhile: load it, and the view is due at once. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'failed'; readonly error: unknown; readonly message: string }

/**
 * Makes one attempt; `onMarked` hears when it begins, which is what giveBack needs to know. Throws if the session is lost: then nobody
 * knows how it ended, and the view is due again.
 */
export async function attempt(
  context: AttemptContext,
  onMarked: (mark: Mark) => void,
): Promise<AttemptOutcome> {
  const { session, view, daemon } = context
  let marked: Marked
  try {
    marked = await mark(context)
  } catch (error) {
    return await failed(context, null, error)
  }
  if (marked.kind !== 'marked') return marked
  onMarked(marked)
  try {
    const outcome = await refresh({ ...context, ...marked })
    if (outcome.kind === 'busy') await yieldTurn(context, marked)
    if (outcome.kind !== 'refreshed') return { kind: 'taken' }
    await show(session)
    return outcome
  } catch (error) {
    if (!(error instanceof Superseded)) return await failed(context, marked, error)
    await session.rollback()
    await giveBack(session, view, marked, daemon)
    return { kind: 'superseded' }
  }
}

/** Says that it failed. Without a mark (what a view's own rows say made even that fail) it counts all the same: others go on. */
async function failed(context: AttemptContext, marked: Mark | null, error: unknown): Promise<AttemptOutcome> {
  const { session } = context
  if (session.lost) throw error
  await session.rollback()
  const message = explainFailure(error, null)
  const state = sqlstateOf(error instanceof RefreshFailure ? error.cause : error)
  await session.run(`${begin()} ${failedSql(context, marked, { message, state })}; commit`)
  await show(session)
  return { kind: 'failed', error, message }
}

function failedSql(
  { view, daemon }: AttemptContext,
  marked: Mark | null,
  { message, state }: { readonly message: string; readonly state: string | null },
): string {
  const error = quoteLiteral(message)
  const mine =
    marked === null
      ? `update pgfresh.view_state v set error = ${error}, attempted_at = pg_catalog.clock_timestamp(), failures = v.failures + 1
         where ${asSeen(view)} returning v.attempted_at`
      : `update pgfresh.view_state v set error = ${error}
         where v.schedule = ${BigInt(view.schedule)} and v.attempted_at = ${moment(marked.attemptedAt)} returning v.attempted_at`
  return `with mine as (${mine})
    insert into pgfresh.materialized_view_refresh_schedule_execution
      (materialized_view_refresh_schedule_id, started_at, ended_at, outcome, triggered_by, error, sqlstate, daemon)
    select ${BigInt(view.schedule)}, at, pg_catalog.clock_timestamp(), 'failed', ${quoteLiteral(marked?.trigger ?? triggerOf(view))},
      ${error}, ${state === null ? 'null' : quoteLiteral(state)}, ${quoteLiteral(daemon)}
    from (${marked === null ? 'select attempted_at from mine' : `select ${moment(marked.attemptedAt)}`}) attempt(at)`
}

/** The view is due again at once, and nothing is said of an attempt. What was asked for counts still: with failures it isn't skipped. */
async function yieldTurn({ session, view }: AttemptContext, { attemptedAt }: Mark): Promise<void> {
  await session.run(`${begin()} update pgfresh.view_state v set attempted_at = null
    where v.schedule = ${BigInt(view.schedule)} and v.attempted_at = ${moment(attemptedAt)}; commit`)
}

/**
 * The attempt was cut off, because the daemon was told to stop or apply stored another query: the view is due again at once, for whoever
 * runs then. Nothing happens where it has ended meanwhile.
 */
export async function giveBack(
  session: Session,
  view: DueView,
  { attemptedAt, trigger }: Mark,
  daemon: string,
): Promise<void> {
  const id = BigInt(view.schedule)
  const at = moment(attemptedAt)
  await session.run(`${begin()} with mine as (
      update pgfresh.view_state v set attempted_at = null
      where v.schedule = ${id} and v.attempted_at = ${at} and v.failures > 0 and not exists (
        select from pgfresh.materialized_view_refresh_schedule_execution e where e.materialized_view_refresh_schedule_id = ${id}
          and e.ended_at >= ${at} and e.started_at = ${at}) returning v.schedule)
    insert into pgfresh.materialized_view_refresh_schedule_execution
      (materialized_view_refresh_schedule_id, started_at, ended_at, outcome, triggered_by, daemon)
    select mine.schedule, ${at}, pg_catalog.clock_timestamp(), 'cancelled', ${quoteLiteral(trigger)}, ${quoteLiteral(daemon)} from mine; commit`)
}
