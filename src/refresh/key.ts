/**
 * Keys in their three forms, all exact: columns of the target, a jsonb array per key (tasks, walks, quarantine, people's
 * requests), and arrays of text in transaction-local settings, which is how one statement of a batch hands the keys that
 * it locked to the next [invariant 3] without temporary tables and without a way through Node.
 */
import { quoteIdentifier } from '../db/identifier.ts'
import type { KeyColumn } from '../materialization/compiled.ts'

/** `alias."k1", alias."k2"`, each with its place's name if `as` is given (k1, k2, …). */
export function keyColumns(key: readonly KeyColumn[], alias: string, named = false): string {
  return key
    .map((column, at) => `${alias}.${quoteIdentifier(column.name)}${named ? ` as k${at + 1}` : ''}`)
    .join(', ')
}

/** `k1, k2` of an alias that uses the places' names. */
export function keyPlaces(key: readonly KeyColumn[], alias: string): string {
  return key.map((_, at) => `${alias}.k${at + 1}`).join(', ')
}

/** A key as a jsonb array; `parts` are SQL expressions in the key's order. */
export function keyJson(key: readonly KeyColumn[], parts: readonly string[]): string {
  const exact = key.map((column, at) => (column.json ? parts[at] : `${parts[at]}::text`))
  return `pg_catalog.jsonb_build_array(${exact.join(', ')})`
}

/** Columns k1, k2, … read from a jsonb expression that holds an array of keys. */
export function keysFromJson(key: readonly KeyColumn[], keys: string): string {
  const parts = key.map((column, at) => `(e.key ->> ${at})::${column.type} as k${at + 1}`)
  return `select ${parts.join(', ')} from pg_catalog.jsonb_array_elements(${keys}) e(key)`
}

/** A key in a jsonb expression as an SQL row, for comparing in key order. */
export function keyRow(key: readonly KeyColumn[], json: string): string {
  return `row(${key.map((column, at) => `((${json}) ->> ${at})::${column.type}`).join(', ')})`
}

/** The name of the setting that carries one column of the locked keys. */
function lockedSetting(at: number): string {
  return `pgfresh.locked_${at + 1}`
}

/** How a SELECT is limited to some keys: an item to join (or nothing), and a condition. */
export interface KeyLimit {
  readonly join: string
  readonly where: string
}

/**
 * Limits rows of `alias` to the locked keys. One column: `= any(array)`, which the server estimates by the real array.
 * Several: a join, since the server takes `(a, b) in (…)` for a quarter of the table and then reads all of it. The joined
 * columns have names that nobody's expression uses.
 */
export function limitToLocked(key: readonly KeyColumn[], alias: string): KeyLimit {
  const single = singleColumn(key)
  if (single !== undefined) {
    return { join: '', where: `${alias}.${quoteIdentifier(single.name)} = any(${lockedArray(single, 0)})` }
  }
  const places = key.map((_, at) => `"pgfresh key ${at + 1}"`)
  const arrays = key.map((column, at) => `pg_catalog.unnest(${lockedArray(column, at)})`)
  const same = key.map((column, at) => {
    const value = `"pgfresh locked".${places[at]}`
    return `${alias}.${quoteIdentifier(column.name)} = ${isArrayType(column) ? `${value}::${column.type}` : value}`
  })
  return {
    join: `join rows from (${arrays.join(', ')}) as "pgfresh locked"(${places.join(', ')}) on ${same.join(' and ')}`,
    where: 'true',
  }
}

/** Limits rows of `alias` to the keys of a SELECT of k1, k2, …, each of which may come twice. */
export function limitToKeys(key: readonly KeyColumn[], alias: string, keys: string): KeyLimit {
  const single = singleColumn(key)
  if (single !== undefined) {
    return { join: '', where: `${alias}.${quoteIdentifier(single.name)} = any(array(${keys}))` }
  }
  const same = key.map((column, at) => `${alias}.${quoteIdentifier(column.name)} = wanted.k${at + 1}`)
  return { join: `join (select distinct * from (${keys}) k) wanted on ${same.join(' and ')}`, where: 'true' }
}

/** Hands keys on to the statements that follow: settings, from a relation that has them as k1, k2, …. */
export function setLocked(key: readonly KeyColumn[], relation: string): string {
  return key
    .map(
      (_, at) =>
        `pg_catalog.set_config('${lockedSetting(at)}', coalesce((select pg_catalog.array_agg(k${at + 1}::text)::text from ${relation}), '{}'), true)`,
    )
    .join(', ')
}

/**
 * The locked values of one key column as an array of its type; of an array type as texts, to be cast one by one, because an
 * array of arrays would be one array of more dimensions.
 */
function lockedArray(column: KeyColumn, at: number): string {
  const text = `nullif(pg_catalog.current_setting('${lockedSetting(at)}', true), '')`
  return `${text}::${isArrayType(column) ? 'text' : column.type}[]`
}

/** The key's only column, if it has just one that can be an array's element. */
function singleColumn(key: readonly KeyColumn[]): KeyColumn | undefined {
  const [single] = key
  return key.length === 1 && single !== undefined && !isArrayType(single) ? single : undefined
}

function isArrayType(column: KeyColumn): boolean {
  return column.type.endsWith('[]')
}
