/**
 * pgfresh as its users run it: definition files in a directory, and the built command line in processes of its own.
 *
 * Nothing here knows the engine: what is measured is what `npx pgfresh` does.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Bench } from './case.ts'
import { type RunningCommand, startCommand } from './process.ts'

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))

/** Workers of one daemon: a core each on the machine that the bars are for. */
const workers = '2'

/** `pgfresh apply --yes` of one definition file on a database. */
export async function applyDefinition(bench: Bench, database: string, source: string): Promise<void> {
  const definitions = mkdtempSync(join(bench.scratch, 'definitions-'))
  writeFileSync(join(definitions, 'bench.ts'), source)
  await start(bench, database, ['apply', '--yes', '--definitions', definitions]).done
}

/** `pgfresh run --until-idle`: all that was committed is made fresh. Returns how long the command took, in milliseconds. */
export async function runUntilIdle(bench: Bench, database: string): Promise<number> {
  const startedAt = performance.now()
  await start(bench, database, ['run', '--workers', workers, '--until-idle']).done
  return performance.now() - startedAt
}

/** `pgfresh run`, until it is stopped. */
export function startDaemon(bench: Bench, database: string): RunningCommand {
  return start(bench, database, ['run', '--workers', workers])
}

function start(bench: Bench, database: string, args: readonly string[]): RunningCommand {
  const env = { DATABASE_URL: bench.server.url(database), PGFRESH_LOG_LEVEL: 'warn' }
  return startCommand(bench, { file: process.execPath, args: [main, ...args], env, marker: main })
}
