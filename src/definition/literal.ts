/**
 * A JavaScript value as SQL text.
 *
 * A scratch view and a stored definition hold no `$1`, so every value that people interpolate becomes a literal, and one
 * that has no exact literal form is a mistake, never a guess. Texts mean the same under standard_conforming_strings on
 * and off. Called by literal-compiler.ts for values in SQL and by read-columns-options.ts for `defaults`.
 */
import { quoteLiteral } from '../db/identifier.ts'

/** Half of a character: no UTF-8 has it. With the u flag whole pairs don't match. */
export const loneSurrogate = /\p{Surrogate}/u

/** What has a literal form. Dates become timestamptz, byte arrays bytea, arrays an array literal typed by its context. */
export type LiteralValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Date
  | Uint8Array
  | readonly LiteralValue[]

/** The text, or why there is none and what to write instead. */
export type Literal =
  | { readonly sql: string; readonly problem?: undefined; readonly hint?: undefined }
  | { readonly sql?: undefined; readonly problem: string; readonly hint: string }

/**
 * The literal of a value, complete in itself: it can stand wherever an operand can.
 * Negative numbers come in parentheses (`a -${-1}` would otherwise begin a comment). Strings stay untyped, as bound text
 * would be, so that they become what their context wants (`'open'` an enum, `'{1,2}'` an array).
 */
export function literal(value: unknown): Literal {
  if (value === null) return { sql: 'null' }
  if (typeof value === 'string') return textLiteral(value)
  if (typeof value === 'boolean') return { sql: String(value) }
  if (typeof value === 'bigint') return { sql: numeral(String(value)) }
  if (typeof value === 'number') return numberLiteral(value)
  if (value instanceof Date) {
    const text = dateText(value)
    return typeof text === 'string' ? { sql: `timestamptz '${text}'` } : text
  }
  if (value instanceof Uint8Array)
    return { sql: `bytea${quoteLiteral(`\\x${Buffer.from(value).toString('hex')}`)}` }
  if (Array.isArray(value)) {
    const text = arrayText(value)
    return typeof text === 'string' ? textLiteral(text) : text
  }
  return noLiteral(value)
}

/** How a message names a value: short, and never its whole content. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > shownLength ? `${value.slice(0, shownLength)}…` : value)
  }
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array'
  if (typeof value !== 'object' || value === null) return String(value)
  if ('toOperationNode' in value) return 'SQL'
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null || prototype === Object.prototype) return 'a plain object'
  const maker = value.constructor?.name
  return maker === undefined || maker === '' ? 'an object' : `${/^[AEIOU]/.test(maker) ? 'an' : 'a'} ${maker}`
}

/** Long enough to recognise a text in a message. */
const shownLength = 60

function textLiteral(text: string): Literal {
  const problem = textProblem(text)
  return problem ?? { sql: quoteLiteral(text) }
}

function textProblem(text: string): Literal | null {
  if (text.includes('\0')) {
    return {
      problem: `the string ${describeValue(text)} has no literal form: it holds a NUL character`,
      hint: "PostgreSQL's text can't hold U+0000; store bytes as bytea instead: Buffer.from(…).",
    }
  }
  if (loneSurrogate.test(text)) {
    return {
      problem: `the string ${describeValue(text)} has no literal form: it holds half of a surrogate pair`,
      hint: 'Cut strings between characters, as [...text] does, not between code units.',
    }
  }
  return null
}

function numeral(digits: string): string {
  return digits.startsWith('-') ? `(${digits})` : digits
}

function numberLiteral(value: number): Literal {
  if (Number.isFinite(value)) return { sql: numeral(String(value)) }
  return {
    problem: `${value} has no literal form`,
    hint: `If it is meant, write it in SQL: sql\`'${value}'::float8\`.`,
  }
}

/** In UTC and with milliseconds. Years of other than four digits would need another form than ISO's. */
function dateText(value: Date): string | Literal {
  const year = value.getUTCFullYear()
  if (year >= 1 && year <= 9999) return value.toISOString().replace('T', ' ').replace('Z', '+00')
  return Number.isNaN(year)
    ? { problem: 'an invalid Date has no literal form', hint: 'Check what the Date was made of.' }
    : {
        problem: `a Date in the year ${year} has no literal form`,
        hint: "Write it in SQL: sql`timestamptz '…'`; for an end that never comes, 'infinity'.",
      }
}

/** `{1,NULL,"a\"b"}`: PostgreSQL's own text of an array. */
function arrayText(values: readonly unknown[]): string | Literal {
  const items: string[] = []
  for (const value of values) {
    const item = arrayItem(value)
    if (typeof item !== 'string') return item
    items.push(item)
  }
  return `{${items.join(',')}}`
}

function arrayItem(value: unknown): string | Literal {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return textProblem(value) ?? quotedItem(value)
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  if (Array.isArray(value)) return arrayText(value)
  if (value instanceof Uint8Array) return quotedItem(`\\x${Buffer.from(value).toString('hex')}`)
  if (value instanceof Date) {
    const text = dateText(value)
    return typeof text === 'string' ? quotedItem(text) : text
  }
  return literal(value)
}

function quotedItem(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

function noLiteral(value: unknown): Literal {
  return { problem: `${describeValue(value)} has no literal form`, hint: hintFor(value) }
}

function hintFor(value: unknown): string {
  if (value === undefined) return 'Check where the value comes from; for an SQL NULL write null.'
  if (typeof value === 'function') return 'Call it, and interpolate what it returns.'
  if (value instanceof Promise) return 'Await it first: definition files may use await at their top level.'
  if (typeof value === 'symbol') return 'Interpolate its description, a string.'
  return `For json write \${JSON.stringify(value)}::jsonb; else interpolate its parts.`
}
