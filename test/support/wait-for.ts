/**
 * Waiting in tests: for a condition with a deadline, never for a time.
 * A wait that fails says what it saw last, so that the log of a failed run is enough to understand it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'

/** How long and how often `waitFor` looks. */
export interface WaitOptions {
  /** Default 10,000. */
  readonly timeoutMs?: number
  /** Default 20. */
  readonly everyMs?: number
}

/**
 * Calls `look` until it returns something truthy, and returns that. An error that `look` throws counts as "not yet" (a server may be
 * on its way up). At the deadline it throws, naming `description` and what the last look returned or threw.
 */
export async function waitFor<T>(
  description: string,
  look: () => T | Promise<T>,
  { timeoutMs = 10_000, everyMs = 20 }: WaitOptions = {},
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const seen = await lookOnce(look, deadline)
    if (seen.value) return seen.value as Exclude<T, false | null | undefined | 0 | ''>
    if (Date.now() >= deadline) {
      const last =
        'error' in seen ? `it threw ${inspect(seen.error)}` : `it was ${inspect(seen.value, { depth: 6 })}`
      throw new Error(`Waited ${timeoutMs} ms for ${description}; last, ${last}.`, { cause: seen.error })
    }
    await sleep(everyMs)
  }
}

// A look that hangs (a question to a frozen connection) must not outlast the deadline either.
async function lookOnce<T>(
  look: () => T | Promise<T>,
  deadline: number,
): Promise<{ value?: T; error?: unknown }> {
  const timer = new AbortController()
  const hung = sleep(Math.max(deadline - Date.now(), 1000), undefined, { signal: timer.signal }).then(
    () => ({ error: new Error('no answer') }),
    () => ({}),
  )
  try {
    return await Promise.race([Promise.resolve(look()).then((value) => ({ value })), hung])
  } catch (error) {
    return { error }
  } finally {
    timer.abort()
  }
}
