/**
 * When a view is refreshed next, by its row of the schedule: intervals are added by the server, cron texts are read here.
 */
import { quoteLiteral } from '../db/identifier.ts'
import type { Row } from '../db/session.ts'
import { text } from '../materialization/store.ts'
import { jitterMs, nextTicks, shareOf, UnreadableCron } from './schedule.ts'

/** When a view is due again, as SQL; `error`: the row says nothing that can be reckoned with. */
export interface NextRefresh {
  readonly nextAt: string
  readonly error: string | null
}

/**
 * The next refresh of a view that was last refreshed at `from` (SQL; `null`: never), reckoned at `nowMs`. Ticks that were missed are
 * not made up for. `timing` has `every`, `cron`, `time_zone`. A tick is the moment itself: jitter comes when it has come (startDelayMs).
 */
export function nextRefresh(timing: Row, nowMs: number, from: string): NextRefresh {
  if (timing.every != null) return { nextAt: afterInterval(timing.every, from), error: null }
  if (timing.cron == null) return { nextAt: 'null', error: null }
  try {
    const { next } = nextTicks(timing.cron, text(timing, 'time_zone'), new Date(nowMs))
    return { nextAt: `pg_catalog.to_timestamp(${next.getTime() / 1000})`, error: null }
  } catch (error) {
    if (error instanceof UnreadableCron) return { nextAt: 'null', error: error.message }
    throw error
  }
}

function afterInterval(every: string, from: string): string {
  return `case when ${from}::timestamptz is null then pg_catalog.clock_timestamp()
    else pgfresh.view_later(${from}::timestamptz, ${quoteLiteral(every)}::interval) end`
}

/**
 * What a moment was reckoned from, as SQL over the schedule's row; pgfresh.view_schedule() has the same. The name comes first:
 * about another view nothing is known that was known of this one.
 */
export function reckonedForOf(row: string): string {
  return `pg_catalog.jsonb_build_array(${row}.materialized_view_name, ${row}.refresh_interval, ${row}.cron, ${row}.time_zone)::text`
}

/** The same over the row `s`. */
export const reckonedFor = reckonedForOf('s')

/** The view's name in such a text; null where there is none. */
export function nameReckonedFor(reckoned: string | null): string | null {
  if (reckoned === null || !reckoned.startsWith('[')) return null
  return (JSON.parse(reckoned) as [string])[0]
}

/**
 * How long a view whose tick has come still waits at `nowMs`, in ms: its jitter, which the tick itself has none of, so that views of
 * one tick are due together and can be told which comes first. 0 for a moment (`next_ms`) that is no tick: people's own.
 */
export function startDelayMs(row: Row, nowMs: number): number {
  if (row.cron == null || row.next_ms == null) return 0
  const tick = Math.round(Number(row.next_ms))
  try {
    const ticks = nextTicks(row.cron, text(row, 'time_zone'), new Date(tick - 1))
    if (ticks.next.getTime() !== tick) return 0
    return Math.max(0, tick + jitterMs(ticks, shareOf(text(row, 'schedule'))) - nowMs)
  } catch (error) {
    if (error instanceof UnreadableCron) return 0
    throw error
  }
}

/** A moment as the server printed it, or null, as SQL. */
export function moment(value: string | null): string {
  return value === null ? 'null' : `${quoteLiteral(value)}::timestamptz`
}
