/**
 * The clocks of a time zone, and the moments at which they show something: pure. Called by schedule.ts.
 *
 * What a clock shows (a "reading") is written as the moment at which a clock in UTC shows the same, in ms, so that readings can be
 * added and compared. A zone is taken to change its clocks once in two days at most.
 */

const day = 86_400_000

/** When a zone's clocks were changed, in ms. */
export interface Change {
  /** The first moment with the new offset. */
  readonly at: number
  /** What is added to a moment for a reading, before and after. */
  readonly before: number
  readonly after: number
}

/** The clocks of one zone. Throws a RangeError for a zone that there isn't. */
export class WallClock {
  readonly #format: Intl.DateTimeFormat

  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  }

  /** What is shown at a moment, to the ms. */
  readingAt(moment: number): number {
    return moment + this.#offsetAt(moment)
  }

  /** The change between two moments (after the first, at the second or before), or null. */
  changeBetween(from: number, to: number): Change | null {
    const [before, after] = [this.#offsetAt(from), this.#offsetAt(to)]
    if (before === after) return null
    let [low, high] = [from, to]
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (this.#offsetAt(middle) === before) low = middle
      else high = middle
    }
    return { at: high, before, after }
  }

  /** The highest that was shown until a moment: after clocks went back it is more than what is shown now. */
  highestUntil(moment: number): number {
    const change = this.changeBetween(moment - day, moment)
    const now = this.readingAt(moment)
    return change === null ? now : Math.max(now, change.at + change.before - 1)
  }

  /** The first moment at which a reading is shown, or one beyond it where clocks jump over it. */
  firstAt(reading: number): number {
    const change = this.changeBetween(reading - day, reading + day)
    if (change === null) return reading - this.#offsetAt(reading)
    const early = reading - change.before
    return early < change.at ? early : Math.max(change.at, reading - change.after)
  }

  /** In the day after `moment`, and the one before: where clocks go back. */
  backAround(moment: number): Change | null {
    const change = this.changeBetween(moment - day, moment) ?? this.changeBetween(moment, moment + day)
    return change !== null && change.after < change.before ? change : null
  }

  #offsetAt(moment: number): number {
    const parts: Record<string, number> = {}
    for (const { type, value } of this.#format.formatToParts(moment)) parts[type] = Number(value)
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(moment / 1000) * 1000
  }
}
