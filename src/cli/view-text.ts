/**
 * Views of the refresh schedule as people read them: a line each, and below what went wrong. Pure. Used by status and verify.
 */
import type { ViewReport, ViewState } from '../status/view-report.ts'
import { count, counted, duration, inColour, size, table } from './print.ts'

/** A line for each view; empty without any. */
export function viewsTable(rows: readonly ViewReport[], { colour }: { readonly colour: boolean }): string {
  const projects = new Set(rows.flatMap((one) => one.project ?? []))
  const many = projects.size > 1 || (projects.size === 1 && !projects.has('default'))
  return table<ViewReport>(
    [
      ...(many ? [{ title: 'PROJECT', cell: (one: ViewReport) => one.project ?? '-' }] : []),
      { title: 'VIEW', cell: (one) => one.view },
      {
        title: 'STATE',
        cell: (one) => (colour ? inColour(stateText(one), colours[one.state]) : stateText(one)),
      },
      { title: 'SCHEDULE', cell: scheduleText },
      { title: 'REFRESHED', align: 'right', cell: refreshedText },
      { title: 'NEXT', align: 'right', cell: nextText },
      { title: 'TOOK', align: 'right', cell: (one) => orDash(one.lastRefreshMs, duration) },
      { title: 'OUTCOME', cell: (one) => one.lastExecution?.outcome ?? '-' },
      {
        title: 'ROWS',
        align: 'right',
        cell: (one) => orDash(one.rowsEstimated, (rows) => `~${count(rows)}`),
      },
      { title: 'SIZE', align: 'right', cell: (one) => orDash(one.bytes, size) },
    ],
    rows,
  )
}

/** What went wrong, a line each. */
export function viewErrors(views: readonly ViewReport[]): string {
  return views
    .flatMap(({ view, state, lastError }) => {
      if (lastError === null || state === 'missing') return []
      const ago = lastError.ageMs === null ? '' : ` (${duration(lastError.ageMs)} ago)`
      return [`${view}: ${lastError.error}${ago}\n`]
    })
    .join('')
}

const colours: Readonly<Record<ViewState, 'red' | 'green' | 'yellow' | 'cyan'>> = {
  missing: 'red',
  refreshing: 'cyan',
  paused: 'yellow',
  'cron unreadable': 'red',
  failing: 'red',
  'rebuild pending': 'cyan',
  'never refreshed': 'cyan',
  due: 'cyan',
  fresh: 'green',
}

function stateText({ state, running, failures }: ViewReport): string {
  switch (state) {
    case 'missing':
      return 'no such view'
    case 'refreshing':
      return running?.ageMs == null ? state : `refreshing for ${duration(running.ageMs)}`
    case 'cron unreadable':
      return "cron can't be read"
    case 'failing':
      return `failing ${counted(failures, 'time')}`
    case 'paused':
    case 'rebuild pending':
    case 'never refreshed':
    case 'due':
    case 'fresh':
      return state
    default:
      return state satisfies never
  }
}

function scheduleText({ every, cron, timeZone }: ViewReport): string {
  if (every !== null) return `every ${intervalText(every)}`
  if (cron === null) return 'on request'
  return timeZone === 'UTC' ? cron : `${cron} ${timeZone}`
}

/** `3 m 20 s ago`, or a dash. */
export function refreshedText({ lastRefreshedAgeMs }: ViewReport): string {
  return lastRefreshedAgeMs === null ? '-' : `${duration(lastRefreshedAgeMs)} ago`
}

/** `in 7 m 00 s`, `now`, or a dash. */
export function nextText({ nextRefreshInMs }: ViewReport): string {
  if (nextRefreshInMs === null) return '-'
  return nextRefreshInMs <= 0 ? 'now' : `in ${duration(nextRefreshInMs)}`
}

/** `10 minutes` from `00:10:00`, `1 day 2 hours` from `1 day 02:00:00`; what isn't of that form stays. */
export function intervalText(interval: string): string {
  const found = /^(.*?)\s*(\d+):(\d\d):(\d\d)$/.exec(interval)
  if (found === null) return interval.replace(/\bmon(s?)\b/, 'month$1')
  const [, days = '', ...clock] = found
  const units = ['hour', 'minute', 'second'] as const
  const parts = clock.flatMap((digits, at) =>
    Number(digits) === 0 ? [] : [counted(Number(digits), units[at] ?? '')],
  )
  return [intervalText(days), ...parts].filter((part) => part !== '').join(' ')
}

function orDash(value: number | null, text: (value: number) => string): string {
  return value === null ? '-' : text(value)
}
