/**
 * What people may write in defineColumns: the manual of its options, as types.
 *
 * Checked again at run time by read-columns-options.ts, since definition files run with their types stripped. Re-exported by src/index.ts.
 */
import type { Expression, Kysely } from 'kysely'
import type { AnyDatabase } from './compile.ts'
import type { LiteralValue } from './literal.ts'

/**
 * SQL: a `sql` template, a kysely expression or builder, or a function that gets a kysely `db` and returns one.
 * `db` knows tables and columns of any name; annotate it (`(db: Kysely<MyTables>) => …`) to have them checked.
 */
export type SqlSource<DB = AnyDatabase> = Expression<unknown> | ((db: Kysely<DB>) => Expression<unknown>)

/**
 * How a change of a source table finds the target rows that it makes stale.
 * - `'all'`: every row of the target.
 * - `'ignore'`: none; such changes are noticed by `expires` alone.
 * - `{ via }`: a SELECT that returns the target's key, named as in the target, from `changed`. `changed` has the source's
 *   columns and one row per image (old and new) of each changed row; the columns that the SELECT names are what is logged.
 */
export type DependsOn<DB = AnyDatabase> = 'all' | 'ignore' | { readonly via: SqlSource<DB> }

/** What both forms of defineColumns have in common. */
export interface CommonOptions<DB = AnyDatabase> {
  /** The target: an SQL identifier, qualified and quoted where it must be (`'venue'`, `'sales."Order"'`). It needs a primary key. */
  readonly table: string
  /**
   * The timestamptz column that says when the row's columns were computed. Default `'materialized_at'`.
   * A second definition on the same table needs a stamp of its own. An exact column name, not quoted.
   */
  readonly stamp?: string | undefined
  /** A row is stale once its stamp is this old: an interval as PostgreSQL reads it (`'1 day'`). Default: never by age. */
  readonly expires?: string | undefined
  /** For each table that the SQL reads (an SQL identifier): how its changes find stale rows. */
  readonly dependsOn?: Readonly<Record<string, DependsOn<DB>>> | undefined
  /** Columns (or the stamp) that exist in the table already and may be taken over. Default none: they are never overwritten. */
  readonly adopt?: readonly string[] | undefined
  /** Server settings of the transactions that compute it, as in `{ work_mem: '256MB', enable_nestloop: false }`. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  /** The most rows that one transaction computes. Default: no limit but the one that sizes find for themselves. */
  readonly batch?: number | undefined
  /** 0 (last) to 9 (first), among work of the same kind. Default 5. */
  readonly priority?: number | undefined
  /** The lateness past which `status` and metrics call it late: an interval (`'2 s'`). Default: none. */
  readonly freshness?: string | undefined
}

/** Each column by an expression of its own. */
export interface ExpressionsOptions<DB = AnyDatabase> extends CommonOptions<DB> {
  /**
   * Column name to expression over the target, which the expression names by its table name (`venue.id`).
   * A builder of a SELECT becomes a scalar subquery; in a template write the parentheses yourself. Names are exact: no
   * quotes, capitals kept, at most 63 bytes. Types come from the expressions.
   */
  readonly columns: Readonly<Record<string, SqlSource<DB>>>
  readonly query?: undefined
  readonly defaults?: undefined
}

/** All columns by one query. */
export interface QueryOptions<DB = AnyDatabase> extends CommonOptions<DB> {
  /** One SELECT that returns the target's key, named as in the target, and the columns: at most one row for a key. */
  readonly query: SqlSource<DB>
  /** Values for target rows that the query returns nothing for. Default: NULL. */
  readonly defaults?: Readonly<Record<string, LiteralValue>> | undefined
  readonly columns?: undefined
}

/** The options of defineColumns: either `columns` or `query`, and what both have in common. */
export type ColumnsOptions<DB = AnyDatabase> = ExpressionsOptions<DB> | QueryOptions<DB>
