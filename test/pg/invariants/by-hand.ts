/**
 * The engine by hand: one planner and as many workers as a test wants, each step at the moment that the test chooses. So an
 * interleaving that chance finds once in a thousand rounds happens every time.
 *
 * The steps are the daemon's own functions; nothing is imitated. Sessions are closed at the end of the test.
 */
import { onTestFinished } from 'vitest'
import { Session } from '../../../src/db/session.ts'
import { type Catalogue, loadCatalogue, type Stored } from '../../../src/materialization/store.ts'
import { look } from '../../../src/planner/look.ts'
import { planRound, type RoundOutcome } from '../../../src/planner/round.ts'
import { claim } from '../../../src/queue/claim.ts'
import type { Task } from '../../../src/queue/task.ts'
import { type BatchOutcome, runBatch } from '../../../src/refresh/batch.ts'
import type { Project } from '../../support/project.ts'
import { waitFor } from '../../support/wait-for.ts'

/** A task that a worker has claimed; its transaction is open. */
export interface ClaimedTask {
  readonly task: Task
  /** Runs the batch to its commit. */
  run(): Promise<BatchOutcome>
  /** What a killed worker leaves behind: the claim is given up. */
  abandon(): Promise<void>
}

/** Planner and workers of one project. */
export class ByHand {
  readonly #project: Project
  readonly #url: string
  readonly #planner: Session
  #catalogue: Catalogue
  /** Keys in one task. */
  chunk = 200

  private constructor(project: Project, url: string, planner: Session, catalogue: Catalogue) {
    this.#project = project
    this.#url = url
    this.#planner = planner
    this.#catalogue = catalogue
  }

  /** Begins as a daemon does, after `apply`; as superuser unless `url` is somebody else's. */
  static async open(project: Project, url = project.database.url): Promise<ByHand> {
    const planner = await openSession(url, 'planner')
    return new ByHand(project, url, planner, await loadCatalogue(planner))
  }

  /** What this planner knows of what apply stored: as of `open` or the last `reload`. */
  get catalogue(): Catalogue {
    return this.#catalogue
  }

  /** Loads what apply stored since. */
  async reload(): Promise<void> {
    this.#catalogue = await loadCatalogue(this.#planner)
  }

  /** One look and one round; `between` is called after the look, with no transaction open. */
  async round(between: () => Promise<void> = async () => {}): Promise<RoundOutcome> {
    const seen = await look(this.#planner)
    await between()
    const { catalogue } = this
    const chunkOf = () => this.chunk
    return await planRound({
      session: this.#planner,
      catalogue,
      look: seen,
      chunkOf,
      sweeps: [],
      careful: false,
    })
  }

  /** Waits until the planner's statement waits for a lock. */
  async plannerWaits(): Promise<void> {
    await waitForLock(this.#project, 'pgfresh planner')
  }

  /** Claims the next task in a session of its own, or returns null. */
  async claim(): Promise<ClaimedTask | null> {
    const session = await openSession(this.#url, 'worker')
    const task = await this.#claimIn(session)
    if (task === null) {
      await session.close()
      return null
    }
    const stored = this.#storedOf(task)
    return {
      task,
      run: async () => {
        const outcome = await runBatch(session, stored, task)
        await session.close()
        return outcome
      },
      abandon: () => session.close(),
    }
  }

  /** Runs ready tasks, one after the other, until there is none or one has to be tried again; returns what became of each. */
  async work(): Promise<BatchOutcome[]> {
    const outcomes: BatchOutcome[] = []
    for (let claimed = await this.claim(); claimed !== null; claimed = await this.claim()) {
      const outcome = await claimed.run()
      outcomes.push(outcome)
      if (outcome.kind === 'retry') break
    }
    return outcomes
  }

  /** Rounds and tasks until nothing is pending: deferred work is waited for. */
  async finish(): Promise<void> {
    for (let turn = 0; turn < 200; turn += 1) {
      await this.round()
      await this.work()
      const { news, tasks, deferred, walks } = await this.#project.pending()
      if (!news && tasks + deferred + walks === 0) return
    }
    throw new Error(`not at rest after 200 rounds:\n${await this.#project.pendingText()}`)
  }

  async #claimIn(session: Session): Promise<Task | null> {
    const { floor } = await look(this.#planner)
    return await claim(session, floor)
  }

  #storedOf(task: Task): Stored {
    const stored = this.#catalogue.materializations.find((one) => one.id === task.materialization)
    if (stored === undefined)
      throw new Error(`task ${task.id} (${task.kind}) belongs to no known materialization`)
    return stored
  }
}

/** Waits until a session of this application waits for a lock. */
export async function waitForLock(project: Project, application: string): Promise<void> {
  await waitFor(`${application} to wait for a lock`, async () => {
    const rows = await project.query(
      `select from pg_stat_activity where datname = current_database() and application_name = $1 and wait_event_type = 'Lock'`,
      [application],
    )
    return rows.length > 0
  })
}

async function openSession(url: string, duty: string): Promise<Session> {
  const session = await Session.open({ url }, duty)
  onTestFinished(() => session.close())
  return session
}
