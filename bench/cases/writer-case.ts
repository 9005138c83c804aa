/**
 * The writers' cases: throughput of one statement, 8 sessions at once, with capture against without.
 *
 * What is compared is what capture costs the writers, so no daemon runs in what is judged; read and insert show beside what is left when
 * a daemon shares the machine. Each run is on a fresh copy of its database.
 */
import type { Bench, Measured } from '../case.ts'
import { copyDatabase, query } from '../databases.ts'
import { compare, type Variant } from '../measure.ts'
import { applyDefinition, runUntilIdle, startDaemon } from '../product.ts'
import { runWriters } from '../writers/run-writers.ts'
import type { Workload } from '../writers/workload.ts'
import { type CinemaSize, createCinema, scaled, venueFacts } from './cinema.ts'

/** What a writers' case does. */
export interface WriterCase {
  readonly workload: (size: CinemaSize) => Workload
  /** What one transaction counts for: 5,000 for a bulk of 5,000 rows. */
  readonly perTransaction?: number
  /** Shown beside: names and the SQL that a copy of the plain database gets before it. */
  readonly handWritten?: Readonly<Record<string, string>>
  /** Also show throughput with `pgfresh run` on the same machine. */
  readonly besideDaemon?: boolean
}

const clients = 8

/** Runs a writers' case. */
export async function compareWriters(
  bench: Bench,
  { workload, perTransaction = 1, handWritten = {}, besideDaemon = false }: WriterCase,
): Promise<Measured> {
  const { server, quick, signal } = bench
  const size = { venues: scaled(bench, 20_000), showtimes: scaled(bench, 200_000) }
  await createCinema(bench, 'plain', size)
  await copyDatabase(server, 'captured', { template: 'plain', strategy: 'wal' })
  await applyDefinition(bench, 'captured', venueFacts)
  await runUntilIdle(bench, 'captured')
  await query(server, 'captured', 'vacuum (freeze, analyze)')

  const doing = workload(size)
  const load = { clients, seconds: quick ? 1 : 5 }
  const throughput = async (template: string): Promise<number> => {
    await copyDatabase(server, 'run', { template, strategy: 'wal' })
    return perTransaction * (await runWriters(bench, 'run', doing, load))
  }
  const withDaemon: Variant = async () => {
    await copyDatabase(server, 'run', { template: 'captured', strategy: 'wal' })
    // A copy is another database: what the watermark says is checked once more before the clock starts.
    await runUntilIdle(bench, 'run')
    const daemon = startDaemon(bench, 'run')
    try {
      return perTransaction * (await runWriters(bench, 'run', doing, load))
    } finally {
      await daemon.stop()
    }
  }
  const beside: Record<string, Variant> = besideDaemon ? { 'a daemon on the same cores': withDaemon } : {}
  for (const [at, [name, sql]] of Object.entries(handWritten).entries()) {
    const template = `hand_written_${at}`
    await copyDatabase(server, template, { template: 'plain', strategy: 'wal' })
    await query(server, template, sql)
    await query(server, template, 'vacuum (freeze, analyze)')
    beside[name] = () => throughput(template)
  }
  return compare(
    { ours: () => throughput('captured'), peer: () => throughput('plain'), beside },
    { rounds: quick ? 2 : 7, signal },
  )
}
