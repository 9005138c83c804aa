/**
 * What a view's definition became once the database was asked: plan/ makes it, apply stores it (pgfresh.view.compiled), and the
 * daemon builds and refreshes by it. Plain JSON. What people may change by SQL is not here but in the schedule's row.
 */
import type { Route, TableName } from './compiled.ts'

/** A declared view, ready to be built and refreshed. */
export interface CompiledView {
  readonly kind: 'view'
  readonly project: string
  /** The definition's name, for logs. */
  readonly name: string
  readonly view: TableName
  /** One SELECT. */
  readonly query: string
  /** Columns of its unique index; empty: none. */
  readonly key: readonly string[]
  /** As the definition says it; in the schedule's row people may have changed it by hand, which a plan shows. */
  readonly schedule: {
    readonly every: string | null
    readonly cron: string | null
    readonly timeZone: string
    readonly maximumExecutionDuration: string
  }
  /** Settings of the transaction that builds or refreshes it; search_path and TimeZone as they were at apply, then people's own. */
  readonly settings: Readonly<Record<string, string>>
  readonly skipUnchanged: boolean
  /** What it reads, each of kind `all` and with no `via`: with skipUnchanged, changes through here mean that it may not be skipped. Else empty. */
  readonly routes: readonly Route[]
}
