/**
 * Writers by a driver of ours, for machines without pgbench: plain sessions, one statement after another.
 *
 * Node takes a good part of a core for this, so throughput is lower than with pgbench and ratios look better: the bench says
 * which of the two it was.
 */

import type { PostgresServer } from '../../test/support/postgres.ts'
import { connect } from '../databases.ts'
import type { Load, Workload } from './workload.ts'

/** Runs a workload and returns the transactions per second. Throws the first error of a statement. */
export async function runDriver(
  server: PostgresServer,
  database: string,
  workload: Workload,
  { clients, seconds, signal }: Load & { readonly signal: AbortSignal },
): Promise<number> {
  const names = Object.keys(workload.variables)
  const text = workload.sql.replaceAll(
    /(?<!:):(\w+)/g,
    (_, name: string) => `$${names.indexOf(name) + 1}::bigint`,
  )
  const limits = names.map((name) => workload.variables[name] ?? 1)
  const sessions = await Promise.all(Array.from({ length: clients }, () => connect(server, database)))
  try {
    const startedAt = performance.now()
    const until = startedAt + seconds * 1000
    const counts = await Promise.all(
      sessions.map(async (session) => {
        let count = 0
        for (; performance.now() < until && !signal.aborted; count++) {
          await session.query(
            text,
            limits.map((limit) => 1 + Math.floor(Math.random() * limit)),
          )
        }
        return count
      }),
    )
    signal.throwIfAborted()
    return (counts.reduce((sum, count) => sum + count, 0) / (performance.now() - startedAt)) * 1000
  } finally {
    await Promise.all(sessions.map((session) => session.end()))
  }
}
