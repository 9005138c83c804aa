/**
 * The stages before anything is live: a server, its data, pgfresh's plan and apply. Each shows what it does. run.ts calls them in order.
 */
import { bar } from '../../src/cli/bar.ts'
import { count, duration } from '../../src/cli/print.ts'
import { startPostgres } from '../support/postgres.ts'
import { loadDataset } from './dataset/load.ts'
import { addProbeRows } from './probes.ts'
import { pgfresh, withDefinitions } from './product.ts'
import type { Terminal } from './terminal.ts'

/** What stages need. */
export interface StageContext {
  readonly terminal: Terminal
  /** Aborted when the demo is to end. */
  readonly signal: AbortSignal
}

/** A database to work with. */
export interface DemoDatabase {
  readonly url: string
  /** Ends the server and removes its data. */
  stop(): Promise<void>
}

/** Characters. */
export const barWidth = 24

const settings = {
  // Freshness is measured by the server's own commit times (probes.ts).
  track_commit_timestamp: 'on',
  shared_buffers: '256MB',
  // The load must not be held up by checkpoints.
  max_wal_size: '4GB',
}

/** Starts PostgreSQL 18 as an installation has it: what is committed is on the disk. */
export async function startDatabase({ terminal }: StageContext): Promise<DemoDatabase> {
  terminal.show({ lines: ['Starting PostgreSQL 18 …'], plain: 'Starting PostgreSQL 18' })
  const elapsed = stopwatch()
  const server = await startPostgres({ major: 18, durable: true, settings })
  await server.createDatabase('cinema')
  terminal.say(`PostgreSQL ${server.major} started in ${elapsed()}: ${server.url('cinema')}`)
  return { url: server.url('cinema'), stop: () => server.stop() }
}

/** Makes the cinema's tables and rows. */
export async function fillDatabase({ terminal, signal }: StageContext, url: string): Promise<void> {
  const elapsed = stopwatch()
  const load = loadDataset(url, (share, doing) => {
    if (signal.aborted) return
    const done = `${String(Math.floor(share * 100)).padStart(3)} %`
    terminal.show({
      lines: [`Loading the cinema  ${bar(share, barWidth)} ${done}  ${doing}`],
      plain: `Loading the cinema: ${done}, ${doing}`,
    })
  })
  const rows = await unlessStopped(signal, load)
  await addProbeRows(url)
  const of = (table: string): string => count(rows[table] ?? 0)
  terminal.say(
    `Loaded in ${elapsed()}: ${of('cinema')} cinemas with ${of('venue')} venues in ${of('territory')} countries, ` +
      `${of('film')} films, ${of('event')} events, ${of('ticket')} tickets.`,
  )
}

/** Shows `pgfresh plan`, then applies it. */
export async function deploy({ terminal, signal }: StageContext, url: string): Promise<void> {
  const changesToApply = 2
  const plan = await pgfresh(url, ['plan', ...withDefinitions], { expected: [changesToApply], signal })
  terminal.say(`\n$ pgfresh plan\n${plan.stdout.trimEnd()}`)
  const elapsed = stopwatch()
  await pgfresh(url, ['apply', '--yes', ...withDefinitions], { signal })
  terminal.say(`\n$ pgfresh apply --yes\nApplied in ${elapsed()}.`)
}

/** Returns a function that says how long ago it was made: `1.2 s`. */
export function stopwatch(): () => string {
  const start = performance.now()
  return () => duration(performance.now() - start)
}

/** What `work` comes to, or a rejection as soon as the signal is aborted; then nobody waits for the work any more. */
export async function unlessStopped<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  let onAbort: () => void = () => undefined
  const stopped = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Error('stopped'))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, stopped])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
