/** Runs a workload with whatever plays the application here: pgbench or our driver. */
import type { Bench } from '../case.ts'
import { runDriver } from './driver.ts'
import { runPgbench } from './pgbench.ts'
import type { Load, Workload } from './workload.ts'

/** Transactions per second of a workload on a database. Throws if any transaction failed. */
export function runWriters(bench: Bench, database: string, workload: Workload, load: Load): Promise<number> {
  return bench.writers === 'pgbench'
    ? runPgbench(bench, database, workload, load)
    : runDriver(bench.server, database, workload, { ...load, signal: bench.signal })
}
