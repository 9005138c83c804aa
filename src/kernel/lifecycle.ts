/**
 * How everything that goes on and on in the daemon goes on, rests, fails and ends: planner, workers, expiry, heartbeat, listener.
 *
 * A loop runs its body turn after turn, never two at once. Its promises: a wake-up during a turn is not lost, it cancels the rest that
 * follows; a failing body is tried again ever more slowly, and no wake-up hurries that; after `stop` no turn begins, and `stop`
 * returns when the running one has ended. No database and no domain words here. Called by daemon/.
 */
import { setImmediate as letOthersRun } from 'node:timers/promises'

/** Calls back once after `ms` milliseconds; the function that it returns cancels that. Tests hand in their own. */
export type StartTimer = (ms: number, callback: () => void) => () => void

/** How delays grow. */
export interface BackoffOptions {
  /** The first delay. Default 100. */
  readonly minMs?: number
  /** No delay is longer. Default 30,000. */
  readonly maxMs?: number
  /** Returns a number from 0 up to 1. Default Math.random. */
  readonly random?: () => number
}

/** Delays that double, each shortened by up to a half at random: replicas that failed together don't come back together. */
export class Backoff {
  readonly #options: Required<BackoffOptions>
  #failures = 0

  constructor({ minMs = 100, maxMs = 30_000, random = Math.random }: BackoffOptions = {}) {
    this.#options = { minMs, maxMs, random }
  }

  /** One more failure: how many in a row these are, and the delay before the next attempt, in whole milliseconds. */
  next(): LoopFailure {
    const { minMs, maxMs, random } = this.#options
    const whole = Math.min(maxMs, minMs * 2 ** this.#failures)
    this.#failures += 1
    return { failures: this.#failures, delayMs: Math.round(whole * (1 - random() / 2)) }
  }

  /** It works again: the next delay is the first one. */
  reset(): void {
    this.#failures = 0
  }
}

/** What a loop does, and how it takes failure. */
export interface LoopOptions {
  /** One turn. Returns how many ms to rest before the next one: 0 goes on at once, Infinity rests until woken. */
  readonly body: (signal: AbortSignal) => Promise<number>
  /** A turn threw: try again after `delayMs`, or end the loop? Not asked about an AbortError after `stop`. */
  readonly onError: (error: unknown, failure: LoopFailure) => 'retry' | 'stop'
  readonly backoff?: BackoffOptions
  /** Default: the process's timers. */
  readonly startTimer?: StartTimer
}

/** How bad it is: a log may get louder with it. */
export interface LoopFailure {
  /** Failing turns in a row, this one included. */
  readonly failures: number
  /** The pause before the next attempt. */
  readonly delayMs: number
}

/** How a loop ended: by `stop`, or by an error that `onError` gave up on (or threw itself). */
export type LoopEnd = { readonly kind: 'stopped' } | { readonly kind: 'failed'; readonly error: unknown }

/** One loop. Started once, stopped once; doing either again changes nothing. */
export class Loop {
  /** Begins anew after a turn that returns. A turn that lasts (a listener's) resets it itself, once it knows that it works. */
  readonly backoff: Backoff
  readonly #options: LoopOptions
  readonly #startTimer: StartTimer
  readonly #stopping = new AbortController()
  /** Aborted by `stop`. */
  readonly signal: AbortSignal = this.#stopping.signal
  #end: Promise<LoopEnd> | undefined
  #woken = false
  #asleep = false
  #endPause = () => {}

  constructor(options: LoopOptions) {
    this.#options = options
    this.#startTimer = options.startTimer ?? startProcessTimer
    this.backoff = new Backoff(options.backoff)
  }

  /** Begins with a turn (after `stop`: with none). Returns the promise of its end, which never rejects. */
  start(): Promise<LoopEnd> {
    this.#end ??= this.#run().catch((error: unknown) => ({ kind: 'failed', error }))
    return this.#end
  }

  /** It is resting and nobody has woken it yet. */
  get isResting(): boolean {
    return this.#asleep && !this.#woken
  }

  /** Ends the sleep that it is in, or else the next one. */
  wake(): void {
    this.#woken = true
    if (this.#asleep) this.#endPause()
  }

  /** Aborts the signal, and waits for the running turn to end. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#endPause()
    await this.#end
  }

  /** Sleeps `ms`, or less: until `wake` or `stop`. For bodies that wait within a turn; between turns the loop does it itself. */
  async sleep(ms: number): Promise<void> {
    this.#asleep = true
    if (!this.#woken) await this.#pause(ms)
    this.#asleep = false
    this.#woken = false
  }

  async #run(): Promise<LoopEnd> {
    const { body, onError } = this.#options
    while (!this.signal.aborted) {
      try {
        const restMs = await body(this.signal)
        this.backoff.reset()
        // A body that never waits must still let timers and sockets have their turn.
        await (restMs > 0 ? this.sleep(restMs) : letOthersRun())
      } catch (error) {
        if (this.signal.aborted && error instanceof Error && error.name === 'AbortError') break
        const failure = this.backoff.next()
        if (onError(error, failure) === 'stop') return { kind: 'failed', error }
        await this.#pause(failure.delayMs)
      }
    }
    return { kind: 'stopped' }
  }

  async #pause(ms: number): Promise<void> {
    if (this.signal.aborted) return
    let cancel = () => {}
    await new Promise<void>((resolve) => {
      this.#endPause = resolve
      cancel = this.#startTimer(Math.min(ms, longestTimerMs), resolve)
    })
    cancel()
  }
}

// A longer timer would fire at once.
const longestTimerMs = 2 ** 31 - 1

const startProcessTimer: StartTimer = (ms, callback) => {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}
