/**
 * What people write after `NOTIFY pgfresh,`: a target, a target and the key of one row, or JSON. Pure.
 *
 * Only the form is read here. The JSON text itself is handed on as it was written, because a bigint or a numeric that went through
 * a JavaScript number would be another key; what it asks for is checked by the database (migrations/0004, pgfresh.refresh_each).
 */
import { parseIdentifier, quoteQualified } from '../db/identifier.ts'
import { OperatorError } from '../kernel/errors.ts'

/** A request that can be read. At most one of `key` and `json` is not null; both null: the whole target. */
export interface NotifiedRequest {
  /** The target's name as SQL, quoted. */
  readonly target: string
  /** The key of one row, of a key of one column, as people wrote it. */
  readonly key: string | null
  /** The whole payload, which is a JSON object with "target" and maybe "keys" and "columns". */
  readonly json: string | null
}

/** What a payload looks like, for messages. */
export const payloadForms = `Write NOTIFY pgfresh, 'venue', or 'venue:42' for one row, or '{"target": "venue", "keys": [[42]], "columns": ["country_id"]}' (keys and columns may be left out).`

/** Reads a payload. Throws an OperatorError that says what was found and, as its hint, what was expected. */
export function parsePayload(payload: string): NotifiedRequest {
  if (payload.trim() === '') throw refusal('it is empty')
  if (/^\s*[[{]/.test(payload)) return readJson(payload)
  const colon = colonOf(payload)
  if (colon < 0) return { target: readTarget(payload), key: null, json: null }
  const key = payload.slice(colon + 1)
  if (key.trim() === '') throw refusal('there is no key after the colon')
  return { target: readTarget(payload.slice(0, colon)), key, json: null }
}

/** Where the first colon is that is in no quoted part of a name, or -1. */
function colonOf(payload: string): number {
  let quoted = false
  for (let at = 0; at < payload.length; at += 1) {
    if (payload[at] === '"') quoted = !quoted
    else if (payload[at] === ':' && !quoted) return at
  }
  return -1
}

function readTarget(written: string): string {
  // Half a character can be written in JSON, and no database takes it.
  if (!written.isWellFormed()) throw refusal('the name of its target is no text')
  try {
    const { schema, name } = parseIdentifier(written)
    return quoteQualified(schema, name)
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error
    throw new OperatorError({
      message: error.message,
      hint: [error.hint, payloadForms].join(' '),
      cause: error,
    })
  }
}

function readJson(payload: string): NotifiedRequest {
  let value: unknown
  try {
    value = JSON.parse(payload)
  } catch (cause) {
    throw refusal(`it is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refusal('it is no JSON object')
  const { target, keys = null, columns = null, ...others } = value as Readonly<Record<string, unknown>>
  const [other] = Object.keys(others)
  if (other !== undefined)
    throw refusal(`there is no field ${JSON.stringify(other)}: the fields are "target", "keys" and "columns"`)
  if (typeof target !== 'string')
    throw refusal(target === undefined ? '"target" is missing' : '"target" is no string')
  if (keys !== null && !(Array.isArray(keys) && keys.length > 0))
    throw refusal('"keys" is no array of keys, [[42], [43]]')
  if (columns !== null && !(isTexts(columns) && columns.length > 0))
    throw refusal('"columns" is no array of column names')
  return { target: readTarget(target), key: null, json: payload }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}

function refusal(message: string): OperatorError {
  return new OperatorError({ message, hint: payloadForms })
}
