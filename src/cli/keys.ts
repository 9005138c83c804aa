/**
 * The shape of `--keys`. Pure.
 *
 * Keys are checked here and handed on as they were written: a bigint or a numeric(…) that went through a JavaScript number
 * would be another key. Whether a row of that key exists is not asked: a request for a key that is gone is done at once.
 */
import { OperatorError } from '../kernel/errors.ts'
import type { KeyColumn } from '../materialization/compiled.ts'
import { counted } from './print.ts'

/** Checks `--keys` against a key. An OperatorError shows the form to write. */
export function checkKeys(written: string, key: readonly KeyColumn[]): void {
  const form = keyForm(key)
  for (const one of parse(written, form)) checkKey(one, key, form)
}

function parse(written: string, form: string): readonly unknown[] {
  let value: unknown
  try {
    value = JSON.parse(written)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new OperatorError({ message: `--keys is no JSON: ${why}`, hint: form, cause })
  }
  if (Array.isArray(value) && value.length > 0) return value
  const found = Array.isArray(value) ? 'an empty one' : JSON.stringify(value)
  throw new OperatorError({ message: `--keys takes an array of keys, not ${found}`, hint: form })
}

function checkKey(one: unknown, key: readonly KeyColumn[], form: string): void {
  const refuse = (why: string) =>
    new OperatorError({ message: `${JSON.stringify(one)} in --keys is no key: ${why}`, hint: form })
  const names = key.map((column) => column.name)
  if (Array.isArray(one)) {
    if (one.length !== key.length)
      throw refuse(`it has ${counted(one.length, 'value')}, the key has ${counted(key.length, 'column')}`)
    if (!one.every(isScalar)) throw refuse('a value of a key is a string, a number or a boolean')
  } else if (typeof one === 'object' && one !== null) {
    const missing = names.find((name) => !Object.hasOwn(one, name))
    if (missing !== undefined) throw refuse(`column ${missing} is missing`)
    const surplus = Object.keys(one).find((name) => !names.includes(name))
    if (surplus !== undefined) throw refuse(`${surplus} is no column of the key`)
    if (!Object.values(one).every(isScalar))
      throw refuse('a value of a key is a string, a number or a boolean')
  } else {
    if (key.length !== 1) throw refuse(`the key has ${counted(key.length, 'column')}`)
    if (!isScalar(one)) throw refuse('a value of a key is a string, a number or a boolean')
  }
}

function isScalar(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

/** The hint: what to write for this key, with its own column names. */
export function keyForm(key: readonly KeyColumn[]): string {
  const names = key.map((column) => column.name)
  const example = key.map(exampleOf)
  const forms = [
    `'[[${example.join(', ')}]]'`,
    ...(key.length === 1 ? [`'[${example.join(', ')}]'`] : []),
    `'[{${names.map((name, at) => `${JSON.stringify(name)}: ${example[at]}`).join(', ')}}]'`,
  ]
  const order = key.length === 1 ? '' : ` The order of an array is ${names.join(', ')}.`
  return `Write ${forms.join(' or ')}.${order}`
}

function exampleOf({ type }: KeyColumn): string {
  if (/^(smallint|integer|bigint|numeric)/.test(type)) return '42'
  if (type === 'boolean') return 'true'
  return JSON.stringify(
    type.startsWith('timestamp') ? '2026-01-31 20:15:00' : type === 'date' ? '2026-01-31' : '…',
  )
}
