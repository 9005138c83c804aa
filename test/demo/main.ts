/**
 * `npm run demo`: watch pgfresh keep a cinema's database fresh under live writes, or (`--seconds N`) prove that it did.
 *
 * From arguments to exit code: 0 if all went well (with `--seconds`: no materialized row differs from the reference), else 1.
 * The first Ctrl-C ends everything in order, a second one at once; either way no process and no data are left behind.
 */
import { parseDemoOptions, usage } from './options.ts'
import { runDemo } from './run.ts'
import { Terminal } from './terminal.ts'

async function main(): Promise<number> {
  let options: ReturnType<typeof parseDemoOptions>
  try {
    options = parseDemoOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`demo: ${messageOf(error)}\n\n${usage}`)
    return 1
  }
  if (options.help) {
    process.stdout.write(usage)
    return 0
  }
  const stopping = new AbortController()
  const terminal = new Terminal(options.json ? process.stderr : process.stdout, () => stopping.abort())
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping.signal.aborted) {
      // No patience: end as the signal does by default; the guards end the server and the daemon.
      for (const name of signals) process.off(name, stop)
      process.kill(process.pid, signal)
    }
    stopping.abort()
  }
  for (const name of signals) process.on(name, stop)
  try {
    const outcome = await runDemo({ options, terminal, signal: stopping.signal })
    if (options.json && outcome.result !== null) process.stdout.write(`${JSON.stringify(outcome.result)}\n`)
    return outcome.ok ? 0 : 1
  } catch (error) {
    terminal.settle()
    process.stderr.write(`demo: ${messageOf(error)}\n`)
    return 1
  } finally {
    terminal.settle()
    for (const name of signals) process.off(name, stop)
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}\n  ${messageOf(error.cause)}`
}

process.exitCode = await main()
