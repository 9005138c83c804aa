/**
 * When a cron text says that a view is due, on the clocks of its time zone: pure, from moments to moments.
 * (Intervals are added by the server, which knows what a month is.) Called by reckon.ts, and by plan/ to prove a text.
 */
import { CronTime } from 'cron'

/** The moments that a cron text names. */
export interface Ticks {
  /** The first one after `after`, to the millisecond. */
  readonly next: Date
  /** The one that follows it. */
  readonly following: Date
}

/**
 * The next two moments after `after`. Five fields, or six with seconds first, or `@daily` and the like. Where clocks jump ahead, a
 * moment that is left out comes right after the jump; where they go back, a daily one comes once.
 * Throws an UnreadableCron for a text or time zone that means nothing, or that never comes.
 */
export function nextTicks(cron: string, timeZone: string, after: Date): Ticks {
  const time = read(cron, timeZone)
  try {
    const next = time.getNextDateFrom(after, timeZone).toJSDate()
    return { next, following: time.getNextDateFrom(next, timeZone).toJSDate() }
  } catch {
    throw new UnreadableCron(`cron ${JSON.stringify(cron)} never comes`)
  }
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

function read(cron: string, timeZone: string): CronTime {
  try {
    new Intl.DateTimeFormat('en', { timeZone })
  } catch {
    throw new UnreadableCron(
      `there is no time zone ${JSON.stringify(timeZone)}: write an IANA name, as in 'Europe/London' or 'UTC'`,
    )
  }
  try {
    return new CronTime(cron, timeZone)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UnreadableCron(
      `cron ${JSON.stringify(cron)} can't be read (${why.charAt(0).toLowerCase()}${why.slice(1)}): write five fields, minute hour day month weekday, as in '*/10 * * * *'`,
    )
  }
}
