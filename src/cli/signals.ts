/**
 * SIGINT and SIGTERM as an AbortSignal: the first asks the command to end, the second ends the process as if nobody listened.
 */

const signals = ['SIGINT', 'SIGTERM'] as const

/** Signals as something to wait for; `dispose` gives them back to the process. */
export interface Interruption {
  readonly signal: AbortSignal
  dispose(): void
}

/** Listens from now until `dispose`. */
export function abortOnSignals(): Interruption {
  const controller = new AbortController()
  const dispose = () => {
    for (const name of signals) process.off(name, heard)
  }
  const heard = (name: NodeJS.Signals) => {
    if (!controller.signal.aborted) return controller.abort(name)
    // With no listener left the signal does what it does by default, and whoever started us sees that it did.
    dispose()
    process.kill(process.pid, name)
  }
  for (const name of signals) process.on(name, heard)
  return { signal: controller.signal, dispose }
}
