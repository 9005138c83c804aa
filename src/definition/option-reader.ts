/**
 * Reads options that people wrote, and notes every mistake instead of stopping at the first.
 *
 * A wrong value reads as absent, so that one mistake never causes a second message. An option that is undefined counts as
 * left out. Used by read-options.ts.
 */
import { OperatorError, type Place } from '../kernel/errors.ts'
import { describeValue } from './literal.ts'

/** Options by name, before anything is known of their values. */
export type Options = Readonly<Record<string, unknown>>

/** True for `{ … }`, as against arrays, dates, builders and other things with a class. */
export function isPlainObject(value: unknown): value is Options {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

/** The options of one call, with its place and its mistakes. */
export class OptionReader {
  readonly place: Place
  readonly #options: Options
  readonly #mistakes: OperatorError[]

  constructor(options: Options, place: Place, mistakes: OperatorError[]) {
    this.#options = options
    this.place = place
    this.#mistakes = mistakes
  }

  /** Notes a mistake at the call. */
  mistake(message: string, hint: string): void {
    this.#mistakes.push(new OperatorError({ message, hint, place: this.place }))
  }

  /** Runs a reader that throws an OperatorError; notes the error, at the call unless it has a place of its own. */
  attempt<T>(read: () => T, prefix = ''): T | null {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      const { message, hint, place = this.place, cause } = error
      this.#mistakes.push(new OperatorError({ message: `${prefix}${message}`, hint, place, cause }))
      return null
    }
  }

  has(name: string): boolean {
    return this.#options[name] !== undefined
  }

  /** The option as it is. */
  value(name: string): unknown {
    return this.#options[name]
  }

  /** A string with something in it, or null. */
  text(name: string, hint: string): string | null {
    const value = this.#options[name]
    if (value === undefined) return null
    if (typeof value === 'string' && value.trim() !== '') return value
    this.wrong(name, value, hint)
    return null
  }

  /** A whole number in a range, or null. */
  integer(name: string, range: { readonly from: number; readonly to: number }, hint: string): number | null {
    const value = this.#options[name]
    if (value === undefined) return null
    if (
      typeof value === 'number' &&
      Number.isSafeInteger(value) &&
      value >= range.from &&
      value <= range.to
    ) {
      return value
    }
    this.wrong(name, value, hint)
    return null
  }

  /** A plain object, or null. */
  record(name: string, hint: string): Options | null {
    const value = this.#options[name]
    if (value === undefined) return null
    if (isPlainObject(value)) return value
    this.wrong(name, value, hint)
    return null
  }

  /** Notes that an option has a value it can't have. */
  wrong(name: string, value: unknown, hint: string): void {
    this.mistake(`option ${name} is ${describeValue(value)}`, hint)
  }

  /** Notes every option that isn't among the known ones, with the one that was probably meant. */
  refuseUnknown(known: readonly string[], of: string): void {
    for (const name of Object.keys(this.#options)) {
      if (known.includes(name)) continue
      const near = known.find(
        (candidate) => distance(candidate.toLowerCase(), name.toLowerCase()) <= nearEnough,
      )
      const hint = near === undefined ? `It knows ${known.join(', ')}.` : `Did you mean ${near}?`
      this.mistake(`${of} has no option ${JSON.stringify(name)}`, hint)
    }
  }
}

/** Two slips of the finger; more, and the guess is noise. */
const nearEnough = 2

/** Levenshtein's distance. */
function distance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (const [index, sign] of [...left].entries()) {
    const next = [index + 1]
    for (const [column, other] of [...right].entries()) {
      const replaced = (row[column] ?? 0) + (sign === other ? 0 : 1)
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row[right.length] ?? 0
}
