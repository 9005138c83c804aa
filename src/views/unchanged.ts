/**
 * Has anything changed that a view reads, since its last refresh? Exact, by the log and the watermark alone (invariant 1): a round
 * puts down a prompt in the transaction that moves the watermark, so one statement sees either the entry unread or the prompt.
 */
import { quoteLiteral } from '../db/identifier.ts'
import type { StoredView } from '../materialization/store.ts'

/**
 * True, as SQL, if nothing has changed that the view reads. A prompt goes when an attempt begins, before its snapshot is taken: if the
 * last attempt was a refresh, or was left out, none means that all that was read from the log is in the view. (A moment that is
 * yet to come was written by a clock that was ahead, and tells nothing. Of one that was left out, and is too old for the history, nobody knows: it is refreshed.)
 */
export function unchangedSql({ schedule, compiled }: StoredView): string {
  const sources = compiled.routes.map((route) => quoteLiteral(route.sourceOid))
  const captured = `select c.id from pgfresh.capture c where c.source in (${sources.join(', ')})`
  if (sources.length === 0) return 'false'
  return `(not exists (select from pgfresh.view_prompt p where p.schedule = ${BigInt(schedule)})
    and exists (select from pgfresh.view_state v where v.schedule = ${BigInt(schedule)}
      and greatest(v.refreshed_at, v.attempted_at) <= pg_catalog.now() + interval '1 minute' and (v.refreshed_at >= v.attempted_at
      or exists (select from pgfresh.materialized_view_refresh_schedule_execution e where e.materialized_view_refresh_schedule_id = v.schedule
        and e.ended_at >= v.attempted_at and e.started_at = v.attempted_at and e.outcome = 'skipped')))
    and (select pg_catalog.count(distinct c.source) from pgfresh.capture c where c.retired_at is null and c.source in (${sources.join(', ')})) = ${new Set(sources).size}
    and not exists (select from (select m.snapshot from pgfresh.watermark m order by m.id desc limit 1) w,
      pgfresh.unread(w.snapshot, pg_catalog.pg_current_snapshot()) r,
      lateral (select from pgfresh.change_log l where l.xid >= r.lo and l.xid < r.hi and l.capture in (${captured}) limit 1) l))`
}
