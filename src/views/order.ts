/**
 * Views that read other views are refreshed after them.
 */
import { lockKey, viewLockClass } from './lock.ts'
import type { DueView } from './look.ts'

/**
 * True, as SQL, unless a view that it reads (through any number of plain views) is due itself (its tick has come, though it may still
 * wait for its jitter), or being refreshed just now, or about to be: an attempt that has left no word yet. One that fails holds up
 * nobody while it waits for its next attempt.
 */
export function mayRefreshSql({ oid }: DueView): string {
  // Most views read no other: then the schedule isn't looked through.
  return `(not exists (select from pgfresh.views_read(${BigInt(oid)})) or not exists (select from pgfresh.views_read(${BigInt(oid)}) r(view) join pgfresh.view_schedule() s on s.view = r.view
    where s.due_at <= pg_catalog.clock_timestamp() or ${inFlightSql}))`
}

/**
 * True, as SQL, if the row `s` of pgfresh.view_schedule() is being refreshed, or is about to be: an attempt that has left no word yet. One
 * whose daemon went away is taken for that for 5 s.
 */
export const inFlightSql = `(s.failures > 0 and s.attempted_at > pg_catalog.clock_timestamp() - interval '5 s' and not exists (
        select from pgfresh.materialized_view_refresh_schedule_execution e where e.materialized_view_refresh_schedule_id = s.schedule
          and e.ended_at >= s.attempted_at and e.started_at = s.attempted_at)
      or exists (select from pg_catalog.pg_locks l where l.locktype = 'advisory' and l.granted and l.objsubid = 2
        and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
        and l.classid = ${viewLockClass} and l.objid::bigint = ${lockKey('s.schedule')}))`
