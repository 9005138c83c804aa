/**
 * One run of the bench: a server of its own, the cases one after another, a verdict for each.
 *
 * What it promises: a case that throws is reported and the next one runs; the server, the daemons and all files are gone at the end.
 * Called by main.ts only.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PostgresServer, startPostgres } from '../test/support/postgres.ts'
import type { Bench, BenchCase, Measured } from './case.ts'
import { cases } from './case-list.ts'
import { dropAllDatabases } from './databases.ts'
import type { BenchOptions, WriterKind } from './options.ts'
import type { CaseResult } from './print.ts'
import { findPgbench } from './writers/pgbench.ts'

/** What a run needs. */
export interface BenchRun {
  readonly options: BenchOptions
  readonly signal: AbortSignal
  readonly progress: (text: string) => void
  readonly onResult: (result: CaseResult) => void
  readonly onFailure: (name: string, error: unknown) => void
}

/** All that came out of a run. */
export interface BenchOutcome {
  readonly results: readonly CaseResult[]
  readonly failed: boolean
}

/** Above this, the two halves of an A/A pair are too far apart to say anything. */
const noisySpread = 0.1

/**
 * Durable: fsync, full_page_writes and synchronous_commit stay on. What would strike one variant and spare the next is out of the way:
 * no checkpoint and no autovacuum within a round, buffers for all that the writers touch;
 * memory enough for a hand-written aggregate not to spill.
 */
const settings = {
  shared_buffers: '1GB',
  max_wal_size: '4GB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  work_mem: '64MB',
  max_connections: '60',
  track_commit_timestamp: 'on',
}

/** Runs the cases that were asked for. */
export async function runBench({
  options,
  signal,
  progress,
  onResult,
  onFailure,
}: BenchRun): Promise<BenchOutcome> {
  const writers = chooseWriters(options.writers)
  const scratch = mkdtempSync(join(tmpdir(), 'pgfresh-bench-'))
  let server: PostgresServer | undefined
  const results: CaseResult[] = []
  let failed = false
  try {
    server = await startPostgres({ major: 18, durable: true, settings })
    const { scale, quick } = options
    const bench: Bench = { server, scale, quick, writers, scratch, signal, progress }
    for (const one of cases.filter(({ name }) => options.cases.includes(name))) {
      if (signal.aborted) break
      try {
        const result = await runCase(one, bench, options)
        results.push(result)
        onResult(result)
      } catch (error) {
        failed = true
        onFailure(one.name, error)
      }
      if (!signal.aborted) await dropAllDatabases(server)
    }
    return { results, failed }
  } finally {
    await server?.stop()
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Runs a case, a second time if the first one was too noisy, and judges it. */
async function runCase(one: BenchCase, bench: Bench, options: BenchOptions): Promise<CaseResult> {
  bench.progress(`${one.name}: ${one.title}`)
  let measured = await one.run(bench)
  if (!options.quick && measured.spread > noisySpread) {
    bench.progress(`${one.name}: A/A spread ${(measured.spread * 100).toFixed(1)} %, once more`)
    await dropAllDatabases(bench.server)
    measured = await one.run(bench)
  }
  const judged = !options.quick && options.scale === 1
  const noisy = measured.spread > noisySpread
  const met = judged ? !noisy && reaches(one, measured) : null
  return { case: one, measured, met, noisy: judged && noisy, writers: one.usesWriters ? bench.writers : null }
}

/** Half the spread is what chance alone may have cost. */
function reaches(one: BenchCase, { ratio, spread }: Measured): boolean {
  return ratio >= one.bar - spread / 2
}

function chooseWriters(wanted: WriterKind | null): WriterKind {
  const found = findPgbench() !== null
  if (wanted === 'pgbench' && !found) throw new Error('this machine has no pgbench: leave --writers away')
  return wanted ?? (found ? 'pgbench' : 'driver')
}

/** The message of whatever was thrown, with its causes. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}\n  ${messageOf(error.cause)}`
}
