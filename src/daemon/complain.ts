/**
 * How a loop's failure is logged and answered: tried again, ever louder, unless a promise of ours is broken.
 */
import { InvariantError, OperatorError } from '../kernel/errors.ts'
import type { LoopFailure } from '../kernel/lifecycle.ts'
import type { Log, LogFields } from '../kernel/log.ts'

/** Failures in a row before a failure is a warning, and before it is an error. */
const louder = { warn: 2, error: 6 } as const

/** Logs a failing turn and says whether to go on: always, but for an InvariantError. */
export function complain(log: Log, error: unknown, failure: LoopFailure, message: string): 'retry' | 'stop' {
  // The message says all there is to know of an unreachable server; a stack would only hide it.
  const fields: LogFields = {
    ...(error instanceof OperatorError ? { reason: error.message } : { error }),
    failures: failure.failures,
    retryInMs: failure.delayMs,
  }
  if (error instanceof InvariantError || failure.failures >= louder.error) log.error(fields, message)
  else if (failure.failures >= louder.warn) log.warn(fields, message)
  else log.info(fields, message)
  return error instanceof InvariantError ? 'stop' : 'retry'
}
