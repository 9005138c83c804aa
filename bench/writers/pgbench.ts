/**
 * Writers by pgbench, which needs far less of the processor than any driver of ours, so that more of the server is seen.
 *
 * The extended protocol without named statements, as most drivers speak it by default.
 */
import { accessSync, constants, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Bench } from '../case.ts'
import { startCommand } from '../process.ts'
import type { Load, Workload } from './workload.ts'

/** Where pgbench is, or null. */
export function findPgbench(): string | null {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(directory, 'pgbench')
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not here.
    }
  }
  return null
}

/** Runs a workload and returns the transactions per second. Throws if any transaction failed. */
export async function runPgbench(
  bench: Bench,
  database: string,
  workload: Workload,
  { clients, seconds }: Load,
): Promise<number> {
  const file = findPgbench()
  if (file === null) throw new Error('this machine has no pgbench')
  const script = join(bench.scratch, `${workload.name}.pgbench.sql`)
  const sets = Object.entries(workload.variables).map(
    ([name, limit]) => `\\set ${name} random(1, ${limit})\n`,
  )
  writeFileSync(script, `${sets.join('')}${workload.sql};\n`)
  const { host, port } = bench.server
  const args = [
    ['-h', host, '-p', String(port), '-U', 'postgres'],
    ['-n', '-M', 'extended', '-c', String(clients), '-j', '2', '-T', String(seconds)],
    ['-f', script, database],
  ].flat()
  const output = await startCommand(bench, { file, args, marker: script }).done
  const failed = /number of failed transactions: (\d+)/.exec(output)?.[1] ?? '0'
  const tps = /^tps = ([\d.]+)/m.exec(output)?.[1]
  if (tps === undefined || failed !== '0') throw new Error(`pgbench did not get through:\n${output}`)
  return Number(tps)
}
