/**
 * What a definition became once the database was asked: plan/ makes it, apply stores it (pgfresh.materialization.compiled),
 * and the daemon executes it and never the files (invariant 11). Plain JSON, so that what is stored is what is meant.
 */

/** A materialization of columns, ready to run. */
export interface Compiled {
  readonly kind: 'columns'
  readonly project: string
  /** The definition's name, for logs. */
  readonly name: string
  readonly target: TableName
  /** The primary key, in its own order. */
  readonly key: readonly KeyColumn[]
  readonly stamp: string
  /** In the order the definition gives them. */
  readonly columns: readonly ValueColumn[]
  readonly form: CompiledForm
  /** Settings of every transaction that computes it; search_path and TimeZone as they were at apply, then people's own. */
  readonly settings: Readonly<Record<string, string>>
  /** An interval as PostgreSQL reads it, or null. */
  readonly expires: string | null
  readonly batch: number | null
  readonly priority: number
  readonly freshness: string | null
  readonly routes: readonly Route[]
}

/** A table, by the name it had at apply. */
export interface TableName {
  readonly schema: string
  readonly name: string
}

/** One column of the target's primary key. `type` is what format_type prints, schema-qualified where it must be. */
export interface KeyColumn {
  readonly name: string
  readonly type: string
  /** False for types whose jsonb form depends on session settings or can't be cast back (float, bytea, interval, ranges, arrays, …): those go as text. */
  readonly json: boolean
}

/** One materialized column. */
export interface ValueColumn {
  readonly name: string
  /** The column's exact type with its typmod: values are cast to it before they are compared (invariant 12). */
  readonly type: string
  /** SQL literal for rows that a query returns nothing for; null means NULL. */
  readonly default: string | null
  /** Of what computes it: another fingerprint means that this column is backfilled (invariant 9). */
  readonly fingerprint: string
}

/** How the values come about. */
export type CompiledForm =
  /** Column name to expression over the target, named by its table name. */
  | { readonly kind: 'columns'; readonly expressions: Readonly<Record<string, string>> }
  /** One SELECT; `keys` says how a batch hands its keys in, chosen by EXPLAIN at plan (design section 7.6). */
  | { readonly kind: 'query'; readonly sql: string; readonly keys: 'any' | 'lateral' }

/** How a change of one source finds the keys that it makes stale. */
export interface Route {
  readonly source: TableName
  /** The source's oid at apply; the capture of that oid logs for this route. */
  readonly sourceOid: string
  readonly kind: 'key' | 'via' | 'all'
  /** kind via: a SELECT of the target's key (columns named as the key, in any order) from `changed`. */
  readonly via: string | null
  /** Columns of the source that the route needs logged, old and new: the key (kind key), what via names; none for all. */
  readonly logs: readonly string[]
  /** A change of any of these counts (always includes logs). */
  readonly reads: readonly string[]
  /** Changes that our own batch of the materialization makes don't count: its value and stamp columns on its target [A10]. */
  readonly unlessOurs: boolean
  /** The materialized columns that a change through here makes stale; null means all. */
  readonly columns: readonly string[] | null
}

/** What the triggers of one source log: the shape stored in pgfresh.capture. */
export interface CaptureShape {
  readonly source: TableName
  /** Logged columns in order. */
  readonly logs: readonly LoggedColumn[]
  /** Bit i of an entry's mask is set when interest i is concerned; inserts and deletes concern all. */
  readonly interests: readonly Interest[]
}

/** One logged column of a source. */
export interface LoggedColumn {
  readonly name: string
  readonly type: string
  /** True: logged as bigint in old_key/new_key (only if it is the single logged column and an integer). */
  readonly integer: boolean
  /** See KeyColumn.json. */
  readonly json: boolean
}

/** A set of columns whose change concerns somebody. */
export interface Interest {
  readonly reads: readonly string[]
  readonly unlessOurs: boolean
}
