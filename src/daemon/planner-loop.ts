/**
 * The planner's loop: looks, makes a round when there is something to do, rests ever longer when there is nothing.
 * Every replica runs it; the state row's lock decides who plans.
 */
import type { Session } from '../db/session.ts'
import { Loop } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import type { Stored } from '../materialization/store.ts'
import { hasRoom, hasRoomForDeferred, type Look, look } from '../planner/look.ts'
import { planRound, rangesAhead } from '../planner/round.ts'
import type { Bell } from './bell.ts'
import { complain } from './complain.ts'
import type { Connection } from './connection.ts'
import type { DaemonState } from './daemon-state.ts'

/** What the loop works with. */
export interface PlannerOptions {
  readonly connection: Connection
  readonly state: DaemonState
  readonly bell: Bell | null
  readonly log: Log
  /** The longest rest between two looks while the bell is not armed. */
  readonly pollMs: number
  /** There are ready tasks. */
  readonly onReady: () => void
  /** Views may have been asked for. */
  readonly onPrompt: () => void
  /** A turn begins or ended: the loop lives. */
  readonly onTurn: () => void
}

/** The shortest rest: how long a change may wait for the next look while changes keep coming. */
const briskMs = 2

/** The rest while the queue is full, or while walks go on: it runs dry soon. */
const busyMs = 20

/** How long the sweep of a failing definition rests. */
const failingMs = 5_000

/** How long rounds are careful after one in which a definition's statement failed. */
const carefulMs = 5_000

/** With the bell armed, only what is due by time needs a look. */
const armedMs = 30_000

/** Idle for about this long (rests double): time to arm the bell. */
const quietMs = 50

/** Makes the loop; the caller starts it, and closes the connection after it ended. */
export function plannerLoop(options: PlannerOptions): Loop {
  const planner = new Planner(options)
  return new Loop({
    body: async () => {
      options.onTurn()
      return await options.connection.use((session) => planner.turn(session)).finally(options.onTurn)
    },
    onError: (error, failure) => complain(options.log, error, failure, 'planning failed'),
  })
}

class Planner {
  readonly #options: PlannerOptions
  /** When the next step of each sweep is due, by the process's clock: only pauses are measured with it. */
  readonly #sweepDue = new Map<string, number>()
  #carefulUntil = 0
  #restMs = briskMs

  constructor(options: PlannerOptions) {
    this.#options = options
  }

  /** One turn: how many ms to rest after it. */
  async turn(session: Session): Promise<number> {
    const { state, onReady } = this.#options
    const seen = await look(session)
    state.floor = seen.floor
    state.walks = seen.walks
    await state.follow(session, seen.epoch)
    const isReady = Object.values(seen.ready).some((count) => count > 0)
    if (isReady) onReady()
    else if (!seen.news && seen.walks.length === 0) state.caughtUpAt = seen.at
    // What the last step found comes first, else it would be found again.
    const well = state.catalogue.materializations.filter(
      (one) => !one.paused && !seen.failing.includes(one.id),
    )
    const sweeps = seen.ready.expiry === 0 ? this.#dueSweeps(well) : []
    return needsRound(seen, sweeps) ? await this.#round(session, seen, sweeps) : await this.#rest(seen)
  }

  async #round(session: Session, seen: Look, sweeps: readonly Stored[]): Promise<number> {
    const { state, bell, log, onReady, onPrompt } = this.#options
    await bell?.disarm()
    this.#restMs = briskMs
    const careful = performance.now() < this.#carefulUntil
    const { catalogue, chunkOf } = state
    const outcome = await planRound({ session, catalogue, look: seen, chunkOf, sweeps, careful })
    switch (outcome.kind) {
      case 'taken':
        return busyMs
      case 'superseded':
        return 0
      case 'rechecked':
        log.warn({}, 'the watermark was made elsewhere: every materialization is computed again')
        return 0
      case 'failed':
        this.#carefulUntil = performance.now() + carefulMs
        return 0
      case 'planned':
        for (const [id, pauseMs] of outcome.sweeps) this.#sweepDue.set(id, performance.now() + pauseMs)
        for (const { stored } of outcome.failed) this.#sweepDue.set(stored.id, performance.now() + failingMs)
        for (const { stored, attempt, error, held } of outcome.failed) {
          const fields = { materialization: stored.compiled.name, attempt, error }
          if (held) log.warn(fields, 'a lock was not to be had in time')
          else log.error(fields, 'one definition fails, the others go on')
        }
        for (const capture of outcome.strangers)
          log.warn({ capture }, 'the log has entries of an unknown capture')
        onReady()
        if (outcome.prompted) onPrompt()
        if (outcome.more) return 0
        return seen.news || seen.dueInMs === 0 ? briskMs : busyMs
    }
  }

  async #rest(seen: Look): Promise<number> {
    const { bell, pollMs } = this.#options
    this.#restMs = Math.min(this.#restMs * 2, pollMs)
    const now = performance.now()
    // What is due and has no room waits for the workers.
    const timed = [
      seen.dueInMs === 0 ? busyMs : (seen.dueInMs ?? armedMs),
      ...[...this.#sweepDue.values()].map((due) => due - now),
    ]
    const isReady = Object.values(seen.ready).some((count) => count > 0)
    if (seen.news || isReady || seen.walks.length > 0) timed.push(busyMs)
    const bellState = this.#restMs >= Math.min(pollMs, quietMs) ? await bell?.arm() : undefined
    const rest = { armed: armedMs, settled: 1, open: this.#restMs }[bellState ?? 'open']
    return Math.max(1, Math.min(rest, ...timed))
  }

  #dueSweeps(materializations: readonly Stored[]): Stored[] {
    const expiring = materializations.filter((one) => one.compiled.expires !== null)
    for (const id of this.#sweepDue.keys()) {
      if (!expiring.some((one) => one.id === id)) this.#sweepDue.delete(id)
    }
    const now = performance.now()
    return expiring.filter((one) => (this.#sweepDue.get(one.id) ?? 0) <= now)
  }
}

function needsRound(seen: Look, sweeps: readonly Stored[]): boolean {
  const walking = seen.walks.some((walk) =>
    walk.planned ? walk.done : seen.ready.backfill < rangesAhead / 2,
  )
  return (
    (hasRoom(seen) && seen.news) ||
    (hasRoomForDeferred(seen) && seen.dueInMs === 0) ||
    walking ||
    sweeps.length > 0
  )
}
