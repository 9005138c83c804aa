/**
 * The option `refresh` of defineView: when a view is refreshed.
 *
 * Which moments a cron text names is read in views/, and an interval by PostgreSQL, both at plan; here they only have to look
 * like what they are. Called by read-view-options.ts.
 */
import type { ViewSchedule } from './definition.ts'
import { describeValue } from './literal.ts'
import { nearest } from './nearest.ts'
import type { OptionReader } from './option-reader.ts'
import type { ViewRefresh } from './view-options.ts'

const known = Object.keys({
  every: true,
  cron: true,
  timeZone: true,
} satisfies Record<keyof ViewRefresh, true>)

const everyExample = "{ every: '10 minutes' }"
const cronExample = "{ cron: '*/10 * * * *', timeZone: 'Europe/London' }"
const bothForms = `Write refresh: ${everyExample}, or refresh: ${cronExample}`

/** What people write from memory of the schedule's columns. */
const misplaced: ReadonlyMap<string, string> = new Map([
  ['interval', `Write refresh: ${everyExample}.`],
  ['refresh_interval', `Write refresh: ${everyExample}.`],
  ['schedule', `Write refresh: ${cronExample}.`],
])

const defaultTimeZone = 'UTC'
const onRequest: ViewSchedule = Object.freeze({ kind: 'request' })

/** The schedule; where `refresh` has a mistake, which is noted, the one of a view without `refresh`. */
export function readRefresh(reader: OptionReader): ViewSchedule {
  const refresh = reader.nested(
    'refresh',
    `${bothForms}; leave refresh out for a view that is refreshed only when somebody asks.`,
  )
  if (refresh === null) return onRequest
  refresh.refuseUnknown(known, 'refresh', misplaced)
  const [hasEvery, hasCron] = [refresh.has('every'), refresh.has('cron')]
  if (hasEvery && hasCron) {
    reader.mistake('refresh has both every and cron', 'Keep one of them.')
  } else if (!hasEvery && !hasCron) {
    reader.mistake(
      'refresh has neither every nor cron',
      `${bothForms}; leave refresh out for a view that is refreshed only when somebody asks.`,
    )
  } else if (hasEvery && refresh.has('timeZone')) {
    reader.mistake(
      'refresh has a timeZone without cron',
      'Leave timeZone out: an interval is as long on every clock.',
    )
  }
  const every = readEvery(refresh)
  const cron = readCron(refresh)
  const timeZone = readTimeZone(refresh)
  if (every !== null) return Object.freeze({ kind: 'every', every })
  if (cron !== null) return Object.freeze({ kind: 'cron', cron, timeZone })
  return onRequest
}

function readEvery(refresh: OptionReader): string | null {
  const value = refresh.value('every')
  if (typeof value !== 'string' || !value.includes('*')) return refresh.interval('every', '10 minutes')
  refresh.wrong('every', value, `A cron text goes into cron: refresh: ${cronExample}.`)
  return null
}

function readCron(refresh: OptionReader): string | null {
  const fields = "minute, hour, day of month, month, weekday: cron: '*/10 * * * *'"
  const cron = refresh.text('cron', `It has five fields, ${fields}.`)
  if (cron === null) return null
  const count = cron.trim().split(/\s+/).length
  // `@daily` and the like are whole texts.
  if (count === 5 || count === 6 || (count === 1 && cron.trim().startsWith('@'))) return cron
  refresh.mistake(
    `option refresh.cron is ${describeValue(cron)}, which has ${count} ${count === 1 ? 'field' : 'fields'}`,
    `It has five fields, ${fields}, or six with seconds in front. An interval goes into every.`,
  )
  return null
}

function readTimeZone(refresh: OptionReader): string {
  const hint = "It is a time zone by its IANA name: timeZone: 'Europe/London'."
  const timeZone = refresh.text('timeZone', hint)
  if (timeZone === null || isTimeZone(timeZone)) return timeZone ?? defaultTimeZone
  const near = nearest(timeZone, Intl.supportedValuesOf('timeZone'))
  refresh.mistake(
    `option refresh.timeZone is ${describeValue(timeZone)}, which is no time zone`,
    near === null ? hint : `Did you mean ${near}?`,
  )
  return defaultTimeZone
}

/** Also for links to a zone (`US/Eastern`), which no list of ours has. */
function isTimeZone(name: string): boolean {
  try {
    Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}
