/**
 * A worker's loop: claims a task, runs it to its end, and the next; rests until somebody says that there is work.
 */
import type { Session } from '../db/session.ts'
import { Loop } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import type { Stored } from '../materialization/store.ts'
import { expand } from '../planner/expand.ts'
import { setAside } from '../queue/aside.ts'
import { claim } from '../queue/claim.ts'
import { removeTask } from '../queue/defer.ts'
import { kindOfLane, type Task } from '../queue/task.ts'
import { type BatchOutcome, runBatch } from '../refresh/batch.ts'
import { complain } from './complain.ts'
import type { Connection } from './connection.ts'
import type { DaemonState } from './daemon-state.ts'
import type { History } from './history.ts'

/** What the loop works with. */
export interface WorkerOptions {
  readonly connection: Connection
  readonly state: DaemonState
  readonly history: History
  readonly log: Log
  /** A task was found: there may be another one for somebody else. */
  readonly onClaimed: () => void
  /** The queue may want more: deferred work was made, or a range was used up. */
  readonly onSettled: () => void
  /** Views may have been asked for. */
  readonly onPrompt: () => void
}

type FailedBatch = Extract<BatchOutcome, { kind: 'split' | 'quarantined' | 'failing' }>

/** Makes the loop; the caller starts it, and closes the connection after it ended. */
export function workerLoop(options: WorkerOptions): Loop {
  const worker = new Worker(options)
  return new Loop({
    body: () => options.connection.use((session) => worker.turn(session)),
    onError: (error, failure) => complain(options.log, error, failure, 'a task failed for now'),
    backoff: { minMs: 5, maxMs: 10_000 },
  })
}

class Worker {
  readonly #options: WorkerOptions
  constructor(options: WorkerOptions) {
    this.#options = options
  }

  /** One task: 0, there may be more; Infinity, there is none. */
  async turn(session: Session): Promise<number> {
    const { state, onSettled } = this.#options
    const task = await claim(session, state.floor)
    if (task === null) return Number.POSITIVE_INFINITY
    this.#options.onClaimed()
    if (task.kind === 'expand') return await this.#expand(session, task)
    const stored = state.stored(task.materialization)
    if (stored === undefined) return await this.#unknown(session, task)
    if (stored.paused) return await this.#setAside(session, task)
    const startedAt = performance.now()
    const outcome = await runBatch(session, stored, task)
    const ms = performance.now() - startedAt
    switch (outcome.kind) {
      case 'done':
        state.pace.learn(stored.id, outcome.summary.locked, ms)
        this.#options.history.done(stored.id, task.why, outcome.summary, ms)
        if (outcome.summary.missed > 0 || kindOfLane(task.lane) === 'backfill') onSettled()
        return 0
      case 'superseded':
        await state.reload(session)
        return 0
      case 'retry':
        throw outcome.error
      case 'held':
        onSettled()
        return 0
      case 'split':
      case 'quarantined':
      case 'failing':
        this.#failed(stored, task, outcome)
        onSettled()
        return 0
    }
  }

  #failed(stored: Stored, task: Task, outcome: FailedBatch): void {
    const { history, log } = this.#options
    const keys = outcome.kind === 'quarantined' ? outcome.keys : null
    const fields = { materialization: stored.compiled.name, why: task.why, keys, error: outcome.error }
    // Halves of a batch that failed tell no more than their last key will.
    if (outcome.kind === 'split') {
      log.debug(fields, 'a batch failed and was halved')
      return
    }
    history.failed({ materialization: stored.id, why: task.why, error: outcome.error, keys })
    if (outcome.kind === 'quarantined') log.warn(fields, 'a key fails and is in quarantine')
    else log.error(fields, 'the definition fails for every row')
  }

  async #expand(session: Session, task: Task): Promise<number> {
    const { state, log, onSettled, onPrompt } = this.#options
    const failed = await expand(session, state.catalogue, task, state.chunkOf, state.walks)
    if (failed === null) await state.reload(session)
    for (const { stored, attempt, error } of failed ?? []) {
      log.error(
        { materialization: stored.compiled.name, attempt, error },
        'a route failed: all keys are computed instead',
      )
    }
    onSettled()
    onPrompt()
    return 0
  }

  /** A task of what is paused waits until that is resumed; if it is by now, the next claim finds it. */
  async #setAside(session: Session, task: Task): Promise<number> {
    const results = await session.run(`${setAside(task)}; commit`)
    if (results[0]?.length === 0) await this.#options.state.reload(session)
    return 0
  }

  /** A task of a materialization that this daemon doesn't know: stored since, or removed since. */
  async #unknown(session: Session, task: Task): Promise<number> {
    const { state } = this.#options
    await session.rollback()
    await state.reload(session)
    if (state.stored(task.materialization) === undefined) {
      await session.run(
        `${removeTask(task)} and not exists (select from pgfresh.materialization m where m.id = t.materialization)`,
      )
    }
    return 0
  }
}
