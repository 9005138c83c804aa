/**
 * The statements that compare a view with its query. Pure. Called by view.ts.
 *
 * Rows are compared by their text, in which 1.0 and 1.00 differ and every type has one (json has no equality); as a multiset, since
 * a view may hold a row twice. Sums of two hashes tell whether there is any difference without sorting or keeping a row.
 */
import { quoteLiteral, quoteQualified } from '../../db/identifier.ts'
import { tag } from '../../db/transaction.ts'
import type { TableName } from '../../materialization/compiled.ts'

/** Rows that are shown of either side. */
const shownRows = 10

// The line break ends a comment that the query may end with.
const freshRows = (query: string) => `(${query}\n) as r`
const storedRows = (view: TableName) => `${quoteQualified(view.schema, view.name)} as r`

/** A row as its text; `r` alone would mean a column of that name. */
const image = '(r.*)::text'

// `offset 0`: each text is made once.
const summary = (from: string, view: TableName) => `select pg_catalog.count(*) as rows,
    pg_catalog.concat_ws(' ', pg_catalog.sum(pg_catalog.hashtextextended(i.image, 1)), pg_catalog.sum(pg_catalog.hashtextextended(i.image, 2))) as hash
  from (select ${image} as image from ${from} offset 0) i ${label(view)}`

/** How many rows the query returns, and a hash of them in any order. */
export function freshSummary(query: string, view: TableName): string {
  return summary(freshRows(query), view)
}

/**
 * The same of what the view holds, and before it the server's own text of its query (which locks it too), behind it isAsSeen. The lock
 * is given back at once, so that a refresh never waits for the query.
 */
export function storedSummary(view: TableName): string {
  return `savepoint stored; select pg_catalog.pg_get_viewdef(${literalName(view)}::pg_catalog.regclass) as definition;
    ${summary(storedRows(view), view)}; ${isAsSeen(view)}; rollback to savepoint stored`
}

/**
 * True if what was just read of the view is what the transaction's snapshot sees: a refresh that isn't concurrent, or a swap, puts rows
 * in place that every older snapshot sees too. Asked while the view is locked.
 */
export function isAsSeen(view: TableName): string {
  return `select exists (select from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass(${literalName(view)})
    and c.relfilenode = pg_catalog.pg_relation_filenode(c.oid))::text as as_seen`
}

/** Rows that the view lacks and rows that it has beyond, with some of each as JSON. */
export function differences(query: string, view: TableName): string {
  const some = (
    where: string,
  ) => `(select coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(s.image::${quoteQualified(view.schema, view.name)})::text), '[]')
    from (select d.image from difference d where ${where} order by d.image limit ${shownRows}) s)`
  return `with difference as materialized (
    select i.image, pg_catalog.sum(i.n) as n from (
      select ${image} collate "C" as image, 1 as n from ${freshRows(query)}
      union all select ${image} collate "C", -1 from ${storedRows(view)}) i
    group by i.image having pg_catalog.sum(i.n) <> 0)
  select (select coalesce(pg_catalog.sum(d.n), 0) from difference d where d.n > 0) as missing,
    (select coalesce(-pg_catalog.sum(d.n), 0) from difference d where d.n < 0) as extra,
    ${some('d.n > 0')} as missing_rows, ${some('d.n < 0')} as extra_rows ${label(view)}`
}

function literalName({ schema, name }: TableName): string {
  return quoteLiteral(quoteQualified(schema, name))
}

function label({ schema, name }: TableName): string {
  return tag(`verify ${schema}.${name}`)
}
