/**
 * The part of `run --until-idle` that is about views: those that are due have one attempt each.
 */
import type { Session } from '../db/session.ts'
import { text } from '../materialization/store.ts'
import { lookAtViews } from '../views/look.ts'

/** Between two looks. */
const lookMs = 50

/** Waits (with `sleep`) until all views that are due now were refreshed, skipped or failed. True if there were any. */
export async function dueViewsDone(
  session: Session,
  sleep: (ms: number) => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const [clock] = await session.rows('select pg_catalog.clock_timestamp() as now')
  if (clock === undefined) throw new RangeError('no clock')
  const { due } = await lookAtViews(session)
  const schedules = `{${due.map((view) => view.schedule).join(',')}}`
  // One that was disabled, renamed or deleted meanwhile is not waited for.
  const open = `select exists (select from pgfresh.view_schedule() s where s.schedule = any ($1::bigint[]) and s.due_at is not null
    and not exists (select from pgfresh.materialized_view_refresh_schedule_execution e
      where e.materialized_view_refresh_schedule_id = s.schedule and e.ended_at >= $2::timestamptz and e.outcome <> 'cancelled')) as found`
  const isDone = async () => (await session.rows(open, [schedules, text(clock, 'now')]))[0]?.found === 'f'
  while (!signal.aborted && !(await isDone())) await sleep(lookMs)
  return due.length > 0
}
