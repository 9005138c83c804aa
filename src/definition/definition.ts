/**
 * What a definition says, after its file was loaded and checked: frozen facts with the file and line they came from.
 * No database is asked here; whether the table exists is the business of plan/.
 */
import type { Place } from '../kernel/errors.ts'

/** A materialization of extra columns on a table that people already have. */
export interface ColumnsDefinition {
  readonly kind: 'columns'
  /**
   * The export's name; of a default export the file's name without its ending, in an exported array the array's name with
   * the index (`counts[0]`). No two definitions of a folder share one. Used in logs only.
   */
  readonly name: string
  /** The call of defineColumns. Files are named relative to the working directory where they lie beneath it, else absolutely. */
  readonly place: Place
  /** The target as it was written: an SQL identifier, maybe qualified, maybe quoted (`venue`, `sales."Order"`). */
  readonly table: string
  /** The stamp column, `materialized_at` unless the definition names one. A plain column name, not quoted. */
  readonly stamp: string
  readonly form: ColumnsForm
  /** Column name to SQL literal, for rows that a `query` returns nothing for. Strings are untyped literals: cast them to the column's type. */
  readonly defaults: Readonly<Record<string, string>>
  /** Source as written (an SQL identifier) to its route. No two are one name after folding. */
  readonly dependsOn: Readonly<Record<string, DeclaredRoute>>
  /** An interval as PostgreSQL reads it (`1 day`), or null: never stale by age. Unproven until plan asks the server. */
  readonly expires: string | null
  /** Columns (maybe the stamp) that exist already and may be taken over. Of a `columns` form they are its columns or stamp. */
  readonly adopt: readonly string[]
  /** Settings of the transactions that compute this definition: names in lower case, booleans as on and off. Unproven until plan asks the server. */
  readonly settings: Readonly<Record<string, string>>
  /** Upper limit of rows in one batch, or null: sizes tune themselves. */
  readonly batch: number | null
  /** 0 (last) to 9 (first) among work of the same kind; 5 unless said. */
  readonly priority: number
  /** An interval: the lateness past which status calls it late, or null. */
  readonly freshness: string | null
}

/**
 * The two ways to write what the columns hold. Every `sql` of a definition can be put between parentheses as it is: it is not
 * empty, holds no semicolon, leaves no quote or comment open (behind a last line comment stands a line break) and no `$1` of
 * ours. Its grammar nobody has checked yet. Its place is that of its template, or of the call where a builder made it.
 */
export type ColumnsForm =
  | {
      readonly kind: 'columns'
      /** Correlated expressions over the target, which they name by its table name. In the order written. */
      readonly columns: readonly { readonly name: string; readonly sql: string; readonly place: Place }[]
    }
  | {
      readonly kind: 'query'
      /** One SELECT that returns the key and the columns. */
      readonly sql: string
      readonly place: Place
    }

/** How a change of one source finds the keys that it makes stale. */
export type DeclaredRoute =
  /** A SELECT of target keys over `changed`, which holds one row per image (old, new) of a changed source row. */
  | { readonly kind: 'via'; readonly sql: string; readonly place: Place }
  | { readonly kind: 'all' }
  | { readonly kind: 'ignore' }

/** A materialized view that is refreshed on a schedule. */
export interface ViewDefinition {
  readonly kind: 'view'
  /** As in ColumnsDefinition. */
  readonly name: string
  /** The call of defineView. */
  readonly place: Place
  /** The view as it was written: an SQL identifier, maybe qualified, maybe quoted. */
  readonly view: string
  /** One SELECT; the same promises as for the SQL of ColumnsForm. */
  readonly query: { readonly sql: string; readonly place: Place }
  /** Columns of its unique index, plain names; empty: it has none, and can't be refreshed while it is read. */
  readonly key: readonly string[]
  readonly schedule: ViewSchedule
  /** An interval: a refresh that takes longer is cancelled. `30 minutes` unless said. Unproven until plan asks the server. */
  readonly maximumExecutionDuration: string
  /** Capture what it reads, and leave out refreshes while nothing of that has changed. */
  readonly skipUnchanged: boolean
  /** A materialized view of this name that exists already may be taken over. */
  readonly adopt: boolean
  /** As in ColumnsDefinition. */
  readonly settings: Readonly<Record<string, string>>
}

/** When a view is refreshed. Intervals and cron texts are as they were written, unproven until plan looks at them. */
export type ViewSchedule =
  /** This long after its last refresh ended. */
  | { readonly kind: 'every'; readonly every: string }
  /** At these moments on the clocks of a time zone (an IANA name; `UTC` unless said). */
  | { readonly kind: 'cron'; readonly cron: string; readonly timeZone: string }
  /** Only when somebody asks. */
  | { readonly kind: 'request' }

/** Every kind of definition. */
export type Definition = ColumnsDefinition | ViewDefinition
