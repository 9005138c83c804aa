/**
 * What verify is asked and what it answers. Types only, shared by verify.ts, reading.ts and whoever prints.
 */
import type { Stored } from '../../materialization/store.ts'
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

/** Why rows stayed unsettled: nobody works, or the deadline came. */
export type Unsettled = 'no daemon' | 'deadline' | null
