/**
 * A refresher's loop: finds the view that is due first, makes one attempt to refresh it, and the next; rests until one is due.
 * Every replica runs some; nothing but the database decides who refreshes what.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type DatabaseAddress, Session } from '../db/session.ts'
import { Loop } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { type AttemptOutcome, attempt, giveBack } from '../views/attempt.ts'
import { type DueView, lookAtViews } from '../views/look.ts'
import type { Mark } from '../views/mark.ts'
import { complain } from './complain.ts'
import type { Connection } from './connection.ts'
import type { DaemonState } from './daemon-state.ts'

/** What the loop works with. */
export interface ViewLoopOptions {
  readonly address: DatabaseAddress
  readonly connection: Connection
  readonly state: DaemonState
  readonly log: Log
  /** The longest rest between two looks at the schedule, in ms. */
  readonly pollMs: number
  /** A view was refreshed: what reads it has work. */
  readonly onRefreshed: () => void
}

/** A loop that refreshes, and how it is cut short. */
export interface ViewLoop {
  readonly loop: Loop
  /** Cuts a running refresh off, and gives the view back to whoever runs next. Call it after the loop was told to stop. */
  cancel(): Promise<void>
}

/** Makes the loop; the caller starts it, and closes the connection after it ended. */
export function viewLoop(options: ViewLoopOptions): ViewLoop {
  const refresher = new Refresher(options)
  const loop = new Loop({
    body: (signal) => options.connection.use((session) => refresher.turn(session, signal)),
    onError: (error, failure) =>
      loop.signal.aborted ? 'retry' : complain(options.log, error, failure, 'a refresh failed for now'),
  })
  return { loop, cancel: () => refresher.cancel() }
}

class Refresher {
  readonly #options: ViewLoopOptions
  #running: { readonly view: DueView; readonly mark: Mark } | null = null
  #cancelled: Promise<void> | undefined

  constructor(options: ViewLoopOptions) {
    this.#options = options
  }

  /** One attempt: 0, there may be more; else how many ms to rest. */
  async turn(session: Session, signal: AbortSignal): Promise<number> {
    const { pollMs } = this.#options
    try {
      const { due, dueInMs } = await lookAtViews(session)
      for (const view of due) {
        if (signal.aborted) return 0
        const outcome = await this.#attempt(session, view, signal)
        if (outcome.kind !== 'taken') return 0
      }
      return Math.min(pollMs, Math.max(dueInMs, leastMs))
    } finally {
      // The loop ends, and with it the daemon, once the view was given back.
      await this.#cancelled
      this.#running = null
    }
  }

  /** See ViewLoop. */
  cancel(): Promise<void> {
    const cancelled = this.#giveBack()
    this.#cancelled = Promise.race([cancelled.catch(() => {}), sleep(farewellMs, undefined, { ref: false })])
    return cancelled
  }

  async #giveBack(): Promise<void> {
    const { address, connection, state, log } = this.#options
    const running = this.#running
    if (running === null) return
    const { view, mark } = running
    connection.destroy()
    log.info({ view: view.name }, 'a refresh was cut off: the view is due again')
    const session = await Session.open(address, 'farewell')
    await giveBack(session, view, mark, state.id).finally(() => session.close())
  }

  async #attempt(session: Session, view: DueView, signal: AbortSignal): Promise<AttemptOutcome> {
    const { state, onRefreshed, log } = this.#options
    if (view.rebuild && state.view(view.schedule)?.rebuild !== true) await state.reload(session)
    const context = { session, view, stored: state.view(view.schedule), daemon: state.id }
    const outcome = await attempt(context, (mark) => {
      this.#running = { view, mark }
      // It was told to stop before there was anything to cut off.
      if (signal.aborted) void this.cancel().catch(() => {})
    })
    const fields = { view: view.name }
    if (outcome.kind === 'failed') {
      log.warn(
        { ...fields, failures: view.failures + 1, reason: outcome.message },
        'a view was not refreshed',
      )
    } else if (outcome.kind === 'superseded') await state.reload(session)
    else if (outcome.kind === 'refreshed') {
      log.debug({ ...fields, ms: Math.round(outcome.ms), concurrently: outcome.concurrently }, 'refreshed')
      if (outcome.built) log.info(fields, 'a view was built anew for its new query, and swapped')
      onRefreshed()
    }
    return outcome
  }
}

/** How long the farewell of a cut-off refresh may take: the daemon has five seconds in all. */
const farewellMs = 2_500

/** The shortest rest. */
const leastMs = 10
