/**
 * Reads options that people wrote, and notes every mistake instead of stopping at the first.
 *
 * A wrong value reads as absent, so that one mistake never causes a second message. An option that is undefined counts as
 * left out. Used by the readers of options in this room; declare.ts makes one for each call.
 */
import { parseIdentifier } from '../db/identifier.ts'
import { OperatorError, type Place } from '../kernel/errors.ts'
import { describeValue } from './literal.ts'
import { nearest } from './nearest.ts'

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
  /** What stands before the names of options in messages: `refresh.` for those of an option that holds options. */
  readonly #prefix: string

  constructor(options: Options, place: Place, mistakes: OperatorError[], prefix = '') {
    this.#options = options
    this.place = place
    this.#mistakes = mistakes
    this.#prefix = prefix
  }

  /** How many mistakes the call has so far. */
  get mistakes(): number {
    return this.#mistakes.length
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

  /** An SQL identifier, as it was written, or null. */
  identifier(name: string, hint: string): string | null {
    const text = this.text(name, hint)
    return text === null ? null : this.attempt(() => parseIdentifier(text) && text, `${name}: `)
  }

  /**
   * An interval, as it was written, or null. Whether PostgreSQL reads it, plan asks PostgreSQL; a number without a unit it
   * would take for seconds.
   */
  interval(name: string, example: string): string | null {
    const hint = `It is an interval with its unit: ${name}: '${example}'.`
    const text = this.text(name, hint)
    if (text === null || (/[a-z:]/i.test(text) && /\d/.test(text))) return text
    this.wrong(name, text, hint)
    return null
  }

  /** True or false, or null. */
  boolean(name: string, hint: string): boolean | null {
    const value = this.#options[name]
    if (value === undefined || typeof value === 'boolean') return value ?? null
    this.wrong(name, value, hint)
    return null
  }

  /** A list of strings, each once, or null. */
  names(name: string, hint: string): readonly string[] | null {
    const value = this.#options[name]
    if (value === undefined) return null
    if (!Array.isArray(value) || ![...value].every((item) => typeof item === 'string')) {
      this.wrong(name, value, hint)
      return null
    }
    const names = new Set<string>(value)
    for (const item of names)
      if (value.indexOf(item) !== value.lastIndexOf(item))
        this.mistake(`${name} names ${JSON.stringify(item)} twice`, 'Name it once.')
    return Object.freeze([...names])
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

  /** The options that an option holds, or null. */
  nested(name: string, hint: string): OptionReader | null {
    const options = this.record(name, hint)
    return options && new OptionReader(options, this.place, this.#mistakes, `${this.#prefix}${name}.`)
  }

  /** Notes that an option has a value it can't have. */
  wrong(name: string, value: unknown, hint: string): void {
    this.mistake(`option ${this.#prefix}${name} is ${describeValue(value)}`, hint)
  }

  /**
   * Notes every option that isn't among the known ones, with the one that was probably meant. `misplaced` has hints for names
   * that people write elsewhere or otherwise, in lower case.
   */
  refuseUnknown(known: readonly string[], of: string, misplaced: ReadonlyMap<string, string> = new Map()) {
    for (const name of Object.keys(this.#options)) {
      if (known.includes(name)) continue
      const near = nearest(name, known)
      const guess = near === null ? `It knows ${known.join(', ')}.` : `Did you mean ${near}?`
      const hint = misplaced.get(name.toLowerCase()) ?? guess
      this.mistake(`${of} has no option ${JSON.stringify(name)}`, hint)
    }
  }
}
