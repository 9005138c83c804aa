/**
 * What verify is asked and what it answers. Types only, shared by verify.ts, reading.ts and whoever prints.
 */
import type { Stored } from '../../materialization/store.ts'
import type { ViewReport } from '../view-report.ts'
import type { Difference, KeyText } from './compare.ts'

/** What is verified. */
export interface VerifyOptions {
  readonly materializations: readonly Stored[]
  /** Rows per materialization, or `all`. */
  readonly rows: number | 'all'
  /** How long rows that differ may take to settle, once all were looked at. Default 30,000. */
  readonly settleMs?: number
  readonly onProgress?: (stored: Stored, checked: number, rows: number) => void
}

/** What was found at one materialization. */
export interface Verification {
  readonly stored: Stored
  readonly checked: number
  /** About how many rows there are. */
  readonly rows: number
  readonly drift: readonly Difference[]
  /** Rows that differ and whose change may still be on its way. */
  readonly unsettled: readonly Difference[]
  /** Keys whose fresh values can't be computed. */
  readonly failed: readonly Failure[]
  /** Keys in quarantine, whether they were looked at or not; one counts as drift only if it can be computed and differs. */
  readonly quarantined: number
  /** The failure of all keys alike (a dropped column, a revoked right); what was checked until then counts. */
  readonly error: string | null
  /** True: so much differs that the rest was not looked at. */
  readonly stoppedEarly: boolean
}

/** A key that can't be computed. */
export interface Failure {
  readonly key: KeyText
  readonly error: string
}

/** Why rows stayed unsettled: nobody works, somebody paused it, or the deadline came. */
export type Unsettled = 'no daemon' | 'paused' | 'deadline' | null

/** What was found at one view. */
export interface ViewVerification {
  /** As it was when it was compared. */
  readonly view: ViewReport
  /**
   * `equal`: it holds what its query returns. `behind`: it doesn't, and a refresh is yet to come. `drift`: it doesn't, and should.
   * `failed`: it could not be compared.
   */
  readonly result: 'equal' | 'behind' | 'drift' | 'failed'
  /** Rows that it holds; null: they were not counted. */
  readonly rows: number | null
  /** Rows that its query returns and it lacks; one that it has once and should have twice counts once. */
  readonly missing: number
  /** Rows that it has and its query doesn't return. A changed row is one of each. */
  readonly extra: number
  /** Up to ten of each, as JSON, in the text the server gave it. */
  readonly missingRows: readonly string[]
  readonly extraRows: readonly string[]
  /** What makes a difference drift; null: it is none. */
  readonly why: Drift | null
  readonly error: string | null
}

/** Why a view that differs should not. */
export type Drift = 'unchanged' | 'failing' | 'never refreshed' | 'overdue'
