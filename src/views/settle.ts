/**
 * What people's rows of the schedule say, settled into view_state: the moment of the next refresh, and what is wrong with the row.
 * Compare-and-set on what was seen, so that what was settled or refreshed meanwhile stands. Called by look.ts.
 */
import { quoteLiteral } from '../db/identifier.ts'
import type { Row } from '../db/session.ts'
import { text } from '../materialization/store.ts'
import { moment, nameReckonedFor, nextRefresh, reckonedForOf } from './reckon.ts'

/** What settleSql needs of view_schedule()'s row `s`, the schedule's row `r` and view_state's `v`, if it is there. */
export const settleColumns = `r.refresh_interval as every, r.cron, r.time_zone, r.next_refresh_at, v.shown_next, v.reckoned_for,
    v.view as recorded, ${reckonedForOf('r')} as reckons,
    extract(epoch from pg_catalog.clock_timestamp()) * 1000 as now_ms`

/** Statements that settle one row; none where there is nothing to settle. */
export function settleSql(row: Row): string[] {
  const missing = `there is no materialized view ${text(row, 'name')}`
  const said = row.error ?? null
  if (row.unreckoned === 't') return reckonSql(row)
  return [
    ...((row.view ?? null) === (row.recorded ?? null) ? [] : [setSql(row, 'view', row.view)]),
    ...(row.view == null && said !== missing ? [setSql(row, 'error', missing)] : []),
    ...(row.view != null && said === missing ? [setSql(row, 'error', null)] : []),
  ]
}

/** All of it is about the row as it was read: where it says something else by now, it is settled once more. */
function reckonSql(row: Row): string[] {
  const id = BigInt(text(row, 'schedule'))
  const before = nameReckonedFor(row.reckoned_for ?? null)
  const isAnother = before !== null && before !== row.name
  const from = isAnother ? 'null' : literal(row.refreshed_at)
  const theirs = row.next_refresh_at != null && row.next_refresh_at !== (row.shown_next ?? null)
  const { nextAt, error } = theirs
    ? { nextAt: moment(text(row, 'next_refresh_at')), error: null }
    : nextRefresh(row, Number(text(row, 'now_ms')), from)
  // About another view nothing is known, and nothing that has become of this one is to be told of it.
  const forget = isAnother
    ? ', failures = 0, error = excluded.error, attempted_at = null, refreshed_at = null, contains = null'
    : ', error = case when v.failures > 0 then coalesce(excluded.error, v.error) else excluded.error end'
  return [
    `insert into pgfresh.view_state as v (schedule, view, next_at, reckoned_for, shown_next, error)
      select s.id, ${literal(row.view)}::oid, ${nextAt}, ${literal(text(row, 'reckons'))}, ${moment(row.next_refresh_at ?? null)}, ${literal(error)}
      from pgfresh.materialized_view_refresh_schedule s where s.id = ${id}
      on conflict (schedule) do update set view = excluded.view, next_at = excluded.next_at, reckoned_for = excluded.reckoned_for, shown_next = excluded.shown_next${forget}
      where v.reckoned_for is not distinct from ${literal(row.reckoned_for)} and v.shown_next is not distinct from ${moment(row.shown_next ?? null)}
        and v.refreshed_at is not distinct from ${moment(row.refreshed_at ?? null)}`,
    // A moment of people's own that is past is a wish to have it now: a view that waits after a failure has it too.
    ...(theirs
      ? [
          `insert into pgfresh.view_prompt (schedule, reason) select s.id, 'request' from pgfresh.materialized_view_refresh_schedule s
            where s.id = ${id} and ${moment(text(row, 'next_refresh_at'))} <= pg_catalog.clock_timestamp() on conflict do nothing`,
        ]
      : []),
    ...(isAnother
      ? [`insert into pgfresh.view_prompt (schedule, reason) values (${id}, 'change') on conflict do nothing`]
      : []),
  ]
}

function setSql(row: Row, column: 'view' | 'error', value: string | null | undefined): string {
  return `update pgfresh.view_state set ${column} = ${literal(value)} where schedule = ${BigInt(text(row, 'schedule'))}`
}

function literal(value: string | null | undefined): string {
  return value == null ? 'null' : quoteLiteral(value)
}
