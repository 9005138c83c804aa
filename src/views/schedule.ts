/**
 * When a cron text says that a view is due, on the clocks of its time zone: pure, from moments to moments.
 * (Intervals are added by the server, which knows what a month is.) Called by reckon.ts, and by plan/ to prove a text.
 */
import { CronTime } from 'cron'
import { WallClock } from './wall-clock.ts'

/** The moments that a cron text names. */
export interface Ticks {
  /** The first one after `after`, to the millisecond. */
  readonly next: Date
  /** The one that follows it. */
  readonly following: Date
}

/**
 * The next two moments after `after`. Five fields, or six with seconds first, or `@daily` and the like. Where clocks jump ahead, a
 * moment that is left out comes right after the jump; where they go back, one comes once, unless its hours are `*` (or `*` with a
 * step): then it comes each time that the clocks show it.
 * Throws an UnreadableCron for a text or time zone that means nothing, or that never comes.
 */
export function nextTicks(cron: string, timeZone: string, after: Date): Ticks {
  const expression = read(cron, timeZone)
  try {
    const next = nextTick(expression, after.getTime())
    return { next: new Date(next), following: new Date(nextTick(expression, next)) }
  } catch {
    throw new UnreadableCron(`cron ${JSON.stringify(cron)} never comes`)
  }
}

interface Expression {
  /** The first reading beyond a reading that the fields fit. Throws if there is none for years. */
  readonly nextReading: (reading: number) => number
  readonly clock: WallClock
  /** Its hours are `*`, or every so many. */
  readonly eachTime: boolean
}

function nextTick({ nextReading, clock, eachTime }: Expression, after: number): number {
  // What was shown before comes no more, whatever the clocks show now.
  const once = clock.firstAt(nextReading(clock.highestUntil(after)))
  const back = eachTime ? clock.backAround(after) : null
  if (back === null) return once
  // The clocks show everything from back.at + back.after to back.at + back.before a second time.
  const again = nextReading(after < back.at ? back.at + back.after - 1 : clock.readingAt(after))
  return again < back.at + back.before ? Math.min(once, again - back.after) : once
}

/** A cron text or a time zone that can't be used. The message says what was found and what to write, in one line. */
export class UnreadableCron extends Error {
  override readonly name = 'UnreadableCron'
}

/** The longest that a tick is put off, so that fifty views at one moment don't start as one. */
const mostJitterMs = 30_000

/** How long after a tick a view starts: always the same for one view (`share`: 0 to 1), at most a tenth of the way to the next tick. */
export function jitterMs({ next, following }: Ticks, share: number): number {
  return Math.round(share * Math.min(mostJitterMs, (following.getTime() - next.getTime()) / 10))
}

/** A share from 0 to 1 for a view, from its id in the schedule: neighbours are far apart (the golden ratio's multiples). */
export function shareOf(schedule: string): number {
  return (Number(schedule) * 0.618_033_988_749_894_9) % 1
}

function read(cron: string, timeZone: string): Expression {
  const clock = clockOf(timeZone)
  try {
    // The package knows readings alone: of a zone's changes of clocks it finds moments that don't fit.
    const time = new CronTime(cron, 'UTC')
    return {
      nextReading: (reading) => time.getNextDateFrom(new Date(reading), 'UTC').toMillis(),
      clock,
      eachTime:
        /^@(hourly|minutely|secondly)$/i.test(cron.trim()) ||
        cron.trim().split(/\s+/).at(-4)?.startsWith('*') === true,
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UnreadableCron(
      `cron ${JSON.stringify(cron)} can't be read (${why.charAt(0).toLowerCase()}${why.slice(1)}): write five fields, minute hour day month weekday, as in '*/10 * * * *'`,
    )
  }
}

function clockOf(timeZone: string): WallClock {
  try {
    return new WallClock(timeZone)
  } catch {
    throw new UnreadableCron(
      `there is no time zone ${JSON.stringify(timeZone)}: write an IANA name, as in 'Europe/London' or 'UTC'`,
    )
  }
}
