/**
 * The SELECT that computes: for the keys that the transaction's settings carry (refresh/key.ts), one row each with the
 * key (k1, …), the fresh values (v1, …), the stored ones (o1, …) and the stamp (s), all seen by one snapshot.
 * Batches write what differs, verify reports it; both run this very text.
 */
import { quoteIdentifier, quoteQualified } from '../db/identifier.ts'
import type { Compiled, KeyColumn, TableName, ValueColumn } from '../materialization/compiled.ts'
import { keyColumns, limitToLocked } from './key.ts'

/** Fresh and stored values of these columns (a subset of the definition's, in any order). */
export function freshSelect(compiled: Compiled, columns: readonly ValueColumn[]): string {
  return compiled.form.kind === 'columns'
    ? freshByExpression(compiled, compiled.form.expressions, columns)
    : freshByQuery(compiled, compiled.form, columns)
}

/** True when a value differs from the stored one: its image, after a cast to the column's exact type (invariant 12). */
export function differs(columns: readonly ValueColumn[], alias: string): string {
  const side = (prefix: string) => columns.map((_, at) => `${alias}.${prefix}${at + 1}`).join(', ')
  return `pg_catalog.record_image_ne(row(${side('o')}), row(${side('v')}))`
}

function freshByExpression(
  compiled: Compiled,
  expressions: Readonly<Record<string, string>>,
  columns: readonly ValueColumn[],
): string {
  // Expressions name the target by its table name, so it goes without an alias.
  const table = quoteIdentifier(compiled.target.name)
  const limit = limitToLocked(compiled.key, table)
  const values = columns.map((column, at) => {
    const expression = expressions[column.name]
    if (expression === undefined) throw new RangeError(`no expression for column ${column.name}`)
    // The line break ends a comment that the expression may end with.
    return `((${expression}\n))::${column.type} as v${at + 1}`
  })
  return `select ${keyColumns(compiled.key, table, true)}, ${values.join(', ')}, ${stored(compiled, columns, table)}
    from ${quoteQualified(compiled.target.schema, compiled.target.name)} ${limit.join} where ${limit.where}`
}

function freshByQuery(
  compiled: Compiled,
  form: { readonly sql: string; readonly keys: 'any' | 'lateral' },
  columns: readonly ValueColumn[],
): string {
  const { key } = compiled
  const first = key[0]
  if (first === undefined) throw new RangeError(`${compiled.target.name} has no key`)
  const { before, after } = keyedQuery(compiled.target, key, form.keys)
  const values = columns.map((column, at) => {
    const value = `q.${quoteIdentifier(column.name)}`
    // A row that the query returns nothing for is fresh too: it gets the default and its stamp (invariant 7).
    const whole =
      column.default === null
        ? value
        : `case when q.${quoteIdentifier(first.name)} is null then ${column.default} else ${value} end`
    return `(${whole})::${column.type} as v${at + 1}`
  })
  const twice = `case when pg_catalog.count(*) over (partition by ${keyColumns(key, 't')}) > 1
    then pgfresh.duplicate_key(pg_catalog.concat_ws(', ', ${keyColumns(key, 't')})) end as twice`
  return `select ${keyColumns(key, 't', true)}, ${values.join(', ')}, ${stored(compiled, columns, 't')}, ${twice}
    ${before}${form.sql}${after}`
}

/**
 * The FROM and WHERE that join a definition's query (between the two texts) as `q` to the locked rows of the target as
 * `t`: all keys at once, or one lateral subquery for each.
 */
export function keyedQuery(
  target: TableName,
  key: readonly KeyColumn[],
  keys: 'any' | 'lateral',
): { readonly before: string; readonly after: string } {
  const equal = (left: string, right: string) =>
    key
      .map((column) => `${left}.${quoteIdentifier(column.name)} = ${right}.${quoteIdentifier(column.name)}`)
      .join(' and ')
  const rows = limitToLocked(key, 't')
  const from = `from ${quoteQualified(target.schema, target.name)} t ${rows.join}`
  const limit = limitToLocked(key, 'query')
  return keys === 'any'
    ? {
        before: `${from} left join (select query.* from (`,
        after: `\n) query ${limit.join} where ${limit.where}) q on ${equal('q', 't')} where ${rows.where}`,
      }
    : {
        before: `${from} left join lateral (select * from (`,
        after: `\n) query where ${equal('query', 't')} offset 0) q on true where ${rows.where}`,
      }
}

function stored(compiled: Compiled, columns: readonly ValueColumn[], alias: string): string {
  const values = columns.map((column, at) => `${alias}.${quoteIdentifier(column.name)} as o${at + 1}`)
  return [...values, `${alias}.${quoteIdentifier(compiled.stamp)} as s`].join(', ')
}
