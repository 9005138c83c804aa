/**
 * The demo from nothing to the last line: server, data, plan, apply, daemon, writers, and with `--seconds` the proof.
 *
 * Whatever happens, and whenever it is stopped, what was started is stopped again in reverse order. main.ts calls it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { counted, duration } from '../../src/cli/print.ts'
import type { DemoOptions } from './options.ts'
import { type Probes, startProbes } from './probes.ts'
import { type Daemon, pgfresh, startDaemon } from './product.ts'
import { compareWithReference } from './reference.ts'
import { type DemoResult, report } from './report.ts'
import { deploy, fillDatabase, type StageContext, startDatabase, stopwatch, unlessStopped } from './stages.ts'
import { Watch } from './watch.ts'
import { startWriters, type Writers } from './writers.ts'

/** What the demo works with. */
export interface DemoContext extends StageContext {
  readonly options: DemoOptions
}

/** How the demo ended. */
export interface DemoOutcome {
  /** False if a row differs, or if a timed run was stopped before its end. */
  readonly ok: boolean
  /** Of a timed run that came to its end. */
  readonly result: DemoResult | null
}

/** Everything that runs at the same time. */
interface Live {
  readonly url: string
  readonly daemon: Daemon
  readonly watch: Watch
  readonly writers: Writers
  readonly probes: Probes
}

type Close = () => Promise<unknown>

/** The writers' choices can be repeated, as far as concurrency lets them be. */
const seed = 22
const backfillLookMs = 300
const liveLookMs = 1_000
/** A machine that is hopelessly behind must fail, not hang. */
const arrivalLimitMs = 60_000

/** Runs the demo. Rejects with what went wrong, after everything was stopped. */
export async function runDemo(context: DemoContext): Promise<DemoOutcome> {
  const { options, terminal, signal } = context
  const closes: Close[] = []
  try {
    const live = await goLive(context, closes)
    terminal.say(
      options.seconds === null
        ? 'The writers are at work. Ctrl-C stops everything.\n'
        : `The writers are at work for ${options.seconds} s.\n`,
    )
    await watchWrites(context, live)
    const result = await prove(context, live)
    return { ok: result.drift === 0, result }
  } catch (error) {
    if (!signal.aborted) throw error
    return { ok: options.seconds === null, result: null }
  } finally {
    terminal.settle()
    if (signal.aborted) terminal.say('Stopping.')
    // What can't be closed any more has ended by itself; what went wrong first has been thrown above.
    for (const close of closes.reverse()) await close().catch(() => undefined)
  }
}

async function goLive(context: DemoContext, closes: Close[]): Promise<Live> {
  const { options, terminal, signal } = context
  const database = await startDatabase(context)
  closes.push(() => database.stop())
  const { url } = database
  await fillDatabase(context, url)
  await deploy(context, url)

  const elapsed = stopwatch()
  const watch = await Watch.open(url)
  closes.push(() => watch.close())
  const daemon = startDaemon(url)
  closes.push(() => daemon.stop())
  terminal.say('\n$ pgfresh run')
  for (;;) {
    const view = await watch.backfill()
    if (view.done) {
      terminal.say(`Backfilled ${counted(view.rows, 'row')} in ${elapsed()}.\n`)
      break
    }
    terminal.show(view)
    await pause(context, backfillLookMs, daemon.ended)
  }
  const writers = await startWriters({ url, rate: options.rate, seed })
  closes.push(() => writers.stop())
  const probes = await startProbes(url)
  closes.push(() => probes.stop(0))
  signal.throwIfAborted()
  return { url, daemon, watch, writers, probes }
}

/** Shows what happens until the time is over, or for ever. */
async function watchWrites(context: DemoContext, { watch, writers, probes, daemon }: Live): Promise<void> {
  const { options, terminal } = context
  const started = performance.now()
  const end = options.seconds === null ? Number.POSITIVE_INFINITY : started + options.seconds * 1000
  while (performance.now() < end) {
    const elapsedMs = performance.now() - started
    terminal.show(await watch.live({ ...writers.counts(), latencies: probes.latencies(), elapsedMs }))
    const untilEnd = Math.max(0, end - performance.now())
    await pause(
      context,
      Math.min(liveLookMs, untilEnd),
      Promise.race([writers.ended, probes.ended, daemon.ended]),
    )
  }
  terminal.settle()
}

/** Stops the writers, lets pgfresh catch up, and compares everything. */
async function prove(context: DemoContext, { url, writers, probes, daemon }: Live): Promise<DemoResult> {
  const { terminal, signal } = context
  const { changes } = await unlessStopped(signal, writers.stop())
  const elapsed = stopwatch()
  const lost = await unlessStopped(signal, probes.stop(arrivalLimitMs))
  if (lost > 0) {
    const limit = duration(arrivalLimitMs)
    throw new Error(`${counted(lost, 'ticket')} sold by the probe did not reach the totals within ${limit}`)
  }
  await drain(url, daemon, signal)
  // The views are as of their last refresh: one more, now that all that they read is fresh.
  for (const view of ['last_week_event', 'future_event']) await pgfresh(url, ['refresh', view], { signal })
  await drain(url, daemon, signal)
  terminal.say(`\nThe writers have stopped; ${elapsed()} later pgfresh had caught up.`)
  terminal.say('Comparing every materialized row with what hand-written SQL makes of the same data:\n')
  const tables = await unlessStopped(signal, compareWithReference(url))
  // It must leave as it promises; later, when all is closed, nobody would hear of it.
  await daemon.stop()
  return report(terminal, { tables, changes: changes + probes.tickets(), latencies: probes.latencies() })
}

/** Returns when all that was committed so far is fresh: a second replica beside the daemon helps, and says when. */
async function drain(url: string, daemon: Daemon, signal: AbortSignal): Promise<void> {
  const ending = new AbortController()
  const drained = pgfresh(url, ['run', '--until-idle'], { signal: AbortSignal.any([signal, ending.signal]) })
  try {
    await unlessStopped(signal, Promise.race([drained, daemon.ended]))
  } finally {
    ending.abort()
  }
}

/** Waits, but not past Ctrl-C, and throws if one of those that must go on has ended. */
async function pause(context: DemoContext, milliseconds: number, ended: Promise<void>): Promise<void> {
  const running = new AbortController()
  try {
    await unlessStopped(
      context.signal,
      Promise.race([sleep(milliseconds, undefined, { signal: running.signal }), ended]),
    )
  } finally {
    running.abort()
  }
}
