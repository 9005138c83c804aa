/**
 * One materialization while it is verified: what was read, what is drift, what may still settle.
 *
 * A row that differs while anything is pending waits behind a gate (settle.ts) and is then compared again; it is drift once nothing
 * is pending, or once it has not moved over several openings of the gate. Called by verify.ts.
 */
import type { Session } from '../../db/session.ts'
import { healing, sqlstateOf } from '../../db/sqlstate.ts'
import type { Stored } from '../../materialization/store.ts'
import {
  type Comparison,
  compare,
  type Difference,
  estimateRows,
  type KeyText,
  pageOfKeys,
  sampleOfKeys,
} from './compare.ts'
import { Gate } from './settle.ts'
import type { Failure, Verification, VerifyOptions } from './verification.ts'

/** Past this many rows that differ a materialization is not read further. */
const mostDifferences = 1000

/** Batches adapt to take this long: short snapshots, few round trips. */
const batchMs = { least: 150, most: 600 } as const
const batchRows = { first: 200, most: 5000 } as const

/** Rows that did not move over this many openings of the gate are drift: once more than needed, against values that go and come back. */
const unmovedRounds = 2

/** One materialization while it is verified. */
export class Reading {
  readonly #session: Session
  readonly #stored: Stored
  #checked = 0
  #rows = 0
  #drift: Difference[] = []
  /** Rows that differed with something pending, and for how many openings of the gate they have not moved. */
  #moving = new Map<KeyText, { readonly difference: Difference; readonly unmoved: number }>()
  #failed: Failure[] = []
  #quarantined = 0
  #error: string | null = null
  #stoppedEarly = false
  gate: Gate

  constructor(session: Session, stored: Stored) {
    this.#session = session
    this.#stored = stored
    this.gate = new Gate(stored.id, '1:1:')
  }

  /** True while rows may still settle. */
  get isOpen(): boolean {
    return this.#moving.size > 0
  }

  get isPaused(): boolean {
    return this.#stored.paused
  }

  async readAll({ rows, onProgress }: VerifyOptions): Promise<void> {
    try {
      const batches = rows === 'all' ? this.#pages() : this.#sample(rows)
      for await (const keys of batches) {
        await this.#compareFirst(keys)
        onProgress?.(this.#stored, this.#checked, this.#rows)
        this.#stoppedEarly = this.#drift.length + this.#moving.size >= mostDifferences
        if (this.#stoppedEarly) return
      }
    } catch (error) {
      this.#giveUp(error)
    }
  }

  /** Compares what differed in a new snapshot; whatever the last gate let through and did not move is drift in the end. */
  async lookAgain(): Promise<void> {
    const before = this.#moving
    this.#moving = new Map()
    try {
      await this.#compareSplit([...before.keys()], (comparison) => {
        for (const difference of comparison.differences) {
          const last = before.get(difference.key)
          const unmoved = last !== undefined && isSame(last.difference, difference) ? last.unmoved + 1 : 0
          if (comparison.quiet || unmoved >= unmovedRounds) this.#drift.push(difference)
          else this.#wait(difference, unmoved, comparison)
        }
      })
    } catch (error) {
      this.#giveUp(error)
    }
  }

  async countQuarantined(): Promise<void> {
    const [row] = await this.#session.rows(
      'select pg_catalog.count(*) as keys from pgfresh.quarantine where materialization = $1::integer',
      [this.#stored.id],
    )
    this.#quarantined = Number(row?.keys ?? 0)
  }

  result(): Verification {
    return {
      stored: this.#stored,
      checked: this.#checked,
      rows: Math.max(this.#rows, this.#checked),
      drift: this.#drift,
      unsettled: [...this.#moving.values()].map(({ difference }) => difference),
      failed: this.#failed,
      quarantined: this.#quarantined,
      error: this.#error,
      stoppedEarly: this.#stoppedEarly,
    }
  }

  async *#pages(): AsyncGenerator<readonly KeyText[]> {
    this.#rows = await estimateRows(this.#session, this.#stored.compiled)
    let after: KeyText | null = null
    let limit: number = batchRows.first
    for (;;) {
      const keys: readonly KeyText[] = await pageOfKeys(this.#session, this.#stored, { after, limit })
      const started = performance.now()
      if (keys.length > 0) yield keys
      if (keys.length < limit) {
        // All were read: no need to guess.
        this.#rows = this.#checked
        return
      }
      after = keys.at(-1) ?? null
      limit = nextLimit(limit, performance.now() - started)
    }
  }

  async *#sample(wanted: number): AsyncGenerator<readonly KeyText[]> {
    const { keys, rows } = await sampleOfKeys(this.#session, this.#stored, wanted)
    this.#rows = rows
    let limit: number = batchRows.first
    for (let at = 0; at < keys.length; ) {
      const started = performance.now()
      const batch = keys.slice(at, at + limit)
      yield batch
      at += batch.length
      limit = nextLimit(limit, performance.now() - started)
    }
  }

  #compareFirst(keys: readonly KeyText[]): Promise<void> {
    return this.#compareSplit(keys, (comparison) => {
      this.#checked += comparison.checked
      for (const difference of comparison.differences) {
        if (comparison.quiet) this.#drift.push(difference)
        else this.#wait(difference, 0, comparison)
      }
    })
  }

  #wait(difference: Difference, unmoved: number, { snapshot }: Comparison): void {
    this.#moving.set(difference.key, { difference, unmoved })
    // Snapshots of later comparisons cover those of earlier ones: the gate of the last is the gate of all.
    this.gate = new Gate(this.#stored.id, snapshot)
  }

  /** Compares; keys that can't be computed are found by halving, as a batch does it. */
  async #compareSplit(keys: readonly KeyText[], found: (comparison: Comparison) => void): Promise<void> {
    if (keys.length === 0) return
    let comparison: Comparison
    try {
      comparison = await compare(this.#session, this.#stored, keys)
    } catch (error) {
      const [key] = keys
      if (this.#session.lost || healing(error) !== 'data' || key === undefined) throw error
      if (keys.length === 1) {
        this.#failed.push({ key, error: messageOf(error) })
        return
      }
      const half = Math.ceil(keys.length / 2)
      await this.#compareSplit(keys.slice(0, half), found)
      await this.#compareSplit(keys.slice(half), found)
      return
    }
    found(comparison)
  }

  /** A failure of all keys alike ends this materialization, not the others; one of the connection ends all. */
  #giveUp(error: unknown): void {
    if (this.#session.lost || sqlstateOf(error) === null) throw error
    this.#error = messageOf(error)
    this.#moving = new Map()
  }
}

function nextLimit(limit: number, tookMs: number): number {
  if (tookMs < batchMs.least) return Math.min(limit * 2, batchRows.most)
  return tookMs > batchMs.most ? Math.max(Math.floor(limit / 2), 1) : limit
}

function isSame(a: Difference, b: Difference): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
