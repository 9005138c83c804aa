/**
 * `npm run bench`: how fast pgfresh is, as ratios against the same without it or against what one would write by hand.
 *
 * From arguments to exit code: 0 if every case ran and none missed its bar, else 1. A case that fails says so and the rest goes on.
 * The first Ctrl-C ends everything in order, a second one at once; either way no process and no data are left behind.
 */
import { type BenchOptions, parseBenchOptions, usage } from './options.ts'
import { jsonFailure, jsonLine, table } from './print.ts'
import { messageOf, runBench } from './run.ts'

async function main(): Promise<number> {
  let options: BenchOptions
  try {
    options = parseBenchOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n\n${usage()}`)
    return 1
  }
  if (options.help) {
    process.stdout.write(usage())
    return 0
  }
  const stopping = new AbortController()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping.signal.aborted) {
      // No patience: end as the signal does by default; guards end the server and the daemon.
      for (const name of signals) process.off(name, stop)
      process.kill(process.pid, signal)
    }
    stopping.abort(new Error(`stopped by ${signal}`))
  }
  for (const name of signals) process.on(name, stop)
  try {
    const outcome = await runBench({
      options,
      signal: stopping.signal,
      progress: (text) => process.stderr.write(`${text}\n`),
      onResult: (result) => {
        if (options.json) process.stdout.write(`${jsonLine(result)}\n`)
      },
      onFailure: (name, error) => {
        process.stderr.write(`${name}: failed: ${messageOf(error)}\n`)
        if (options.json) process.stdout.write(`${jsonFailure(name, messageOf(error))}\n`)
      },
    })
    if (!options.json && outcome.results.length > 0) process.stdout.write(`\n${table(outcome.results)}`)
    const missed = outcome.results.some(({ met }) => met === false)
    return outcome.failed || missed || stopping.signal.aborted ? 1 : 0
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n`)
    return 1
  } finally {
    for (const name of signals) process.off(name, stop)
  }
}

process.exitCode = await main()
