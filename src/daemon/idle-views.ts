/**
 * The part of `run --until-idle` that is about views: those that are due have one attempt each, and attempts that are under way end.
 *
 * When that is, is told by the schedule and not by the history: the end of an attempt that began before a view was asked for is not what
 * was asked for, and a later tick is not waited for.
 */
import type { Session } from '../db/session.ts'
import { text } from '../materialization/store.ts'
import { lookAtViews } from '../views/look.ts'
import { inFlightSql } from '../views/order.ts'

/** Between two looks. */
const lookMs = 50

/** Waits (with `sleep`) until all views that are due or being refreshed now were refreshed, skipped or failed. True if there were any. */
export async function dueViewsDone(
  session: Session,
  sleep: (ms: number) => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const { due } = await lookAtViews(session)
  const [now] = await session.rows(
    `select pg_catalog.clock_timestamp() as moment, (select pg_catalog.array_agg(s.schedule)
      from pgfresh.view_schedule() s where s.schedule = any ($1::bigint[]) or ${inFlightSql}) as schedules`,
    [`{${due.map((view) => view.schedule).join(',')}}`],
  )
  if (now === undefined) throw new RangeError('no clock')
  if (now.schedules == null) return false
  // After an attempt a view is due later than this moment, or not by itself. One that was disabled, renamed or deleted isn't due. What
  // began later and has ended is enough, however often the next one is due.
  const open = `select exists (select from pgfresh.view_schedule() s where s.schedule = any ($1::bigint[])
    and (s.due_at <= $2::timestamptz or ${inFlightSql})
    and not exists (select from pgfresh.materialized_view_refresh_schedule_execution l
      where l.materialized_view_refresh_schedule_id = s.schedule and l.started_at > $2::timestamptz and l.ended_at > $2::timestamptz
        and l.outcome <> 'cancelled')) as found`
  const isDone = async () =>
    (await session.rows(open, [now.schedules ?? null, text(now, 'moment')]))[0]?.found === 'f'
  while (!signal.aborted && !(await isDone())) await sleep(lookMs)
  return true
}
