/**
 * What an operator may see: one report for the command line, and later for pages and metrics.
 *
 * It says what is fresh, what is on its way, what fails, and how late each is, from bookkeeping alone (facts.ts): a target is
 * never scanned. Counts are exact up to 10,000 and estimates beyond. Read-only.
 */
import type { ViewReport } from './view-report.ts'

/** The state of all materializations at one instant. Durations are in milliseconds. */
export interface Report {
  /** ISO 8601. */
  readonly at: string
  /** Since when nothing newer than the watermark was known: its own age, or less where a daemon has seen an empty log since. */
  readonly watermarkAgeMs: number
  /** Entries of the change log that are no work yet. */
  readonly pending: Count
  readonly daemons: readonly DaemonReport[]
  readonly materializations: readonly MaterializationReport[]
  /** The rows of the refresh schedule: of one project, or all with those that no definition declares. */
  readonly views: readonly ViewReport[]
  /** Tables that have a column materialized_at and no definition. */
  readonly undeclared: readonly string[]
}

/** A count that may be an estimate: at least `value` then. */
export interface Count {
  readonly value: number
  readonly estimate: boolean
}

/** A daemon that beat within 30 s. */
export interface DaemonReport {
  readonly id: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly upMs: number
  readonly beatAgeMs: number
}

/**
 * `paused`: its work waits until somebody says resume. `failing`: the definition as a whole, or some keys. `backfilling`: a walk over all keys is under way. `catching up`: changes are
 * on their way. `fresh`: nothing is.
 */
export type State = 'fresh' | 'catching up' | 'backfilling' | 'failing' | 'paused'

/** One materialization. */
export interface MaterializationReport {
  readonly project: string
  /** The definition's name. */
  readonly name: string
  /** As SQL names it; as it was at apply if the table is gone. */
  readonly target: string
  readonly stamp: string
  readonly columns: readonly string[]
  readonly state: State
  /** ISO 8601; null: it is not paused. */
  readonly pausedAt: string | null
  /** Entries of the change log that concern it and are no work yet. */
  readonly pending: Count
  readonly tasks: number
  /** Keys named in those tasks; a stretch of a backfill names none. */
  readonly keys: number
  readonly quarantined: Count
  /** How late changes are: 0 when none is on its way. */
  readonly lagMs: number
  /** Null: the definition names no freshness. */
  readonly freshnessMs: number | null
  readonly late: boolean
  readonly backfills: readonly BackfillReport[]
  /** `key`: the quarantined key it was seen at, as a JSON array; null: the definition as a whole. */
  readonly lastError: { readonly error: string; readonly key: string | null; readonly ageMs: number } | null
  /** Since the last batch that was done; null: none is remembered. */
  readonly lastSuccessAgeMs: number | null
}

/** A walk over all keys of a target. */
export interface BackfillReport {
  readonly why: string
  /** Null: all columns. */
  readonly columns: readonly string[] | null
  readonly rowsDone: number
  /** From the catalog's statistics until all is planned; null: it has none. */
  readonly rowsEstimated: number | null
  /** 0 to 1, or null. */
  readonly share: number | null
  /** Over the last two minutes; 0: nothing was done in them. */
  readonly rowsPerSecond: number
  readonly etaMs: number | null
  readonly ageMs: number
}
