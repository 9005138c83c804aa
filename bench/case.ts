/**
 * What a case of the bench is, and what it hands back.
 *
 * A case measures; whether that is enough is decided in one place (run.ts). Ratios are made so that more is better.
 */
import type { PostgresServer } from '../test/support/postgres.ts'
import type { WriterKind } from './options.ts'

/** What every case works with. */
export interface Bench {
  /** A server of the bench's own, with durable settings. */
  readonly server: PostgresServer
  /** Factor on every size. */
  readonly scale: number
  /** Fewer and shorter rounds. */
  readonly quick: boolean
  readonly writers: WriterKind
  /** A directory for scripts and definitions; removed at the end. */
  readonly scratch: string
  /** Aborted when the bench was told to stop. */
  readonly signal: AbortSignal
  /** Says what is going on, for somebody who watches. */
  readonly progress: (text: string) => void
}

/** A figure shown beside the two that are compared; not judged. */
export interface Beside {
  readonly name: string
  readonly value: number
  /** Against the peer, more is better. */
  readonly ratio: number
}

/** What a case measured: medians over its rounds. */
export interface Measured {
  readonly ours: number
  readonly peer: number
  /** More is better. The median of the rounds' own ratios, so that what drifts over time cancels out. */
  readonly ratio: number
  /** How far two runs of the same thing (A/A) lie apart, as a share of their mean: the median over the rounds. */
  readonly spread: number
  readonly rounds: number
  readonly beside: readonly Beside[]
}

/** One case. */
export interface BenchCase {
  readonly name: string
  /** One line: what is compared. */
  readonly title: string
  readonly peerName: string
  readonly unit: string
  /** The ratio to reach at scale 1. */
  readonly bar: number
  /** True: the figures depend on who plays the application (pgbench or our driver), which is then said. */
  readonly usesWriters: boolean
  /** Leaves no database, process or session behind, also when it throws. */
  readonly run: (bench: Bench) => Promise<Measured>
}
