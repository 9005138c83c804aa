/**
 * One daemon: a planner, workers, housekeeping and, if it can be had, the bell. Any number of daemons may run on one
 * database. It executes what apply stored and never reads a definition file.
 */

import type { RotationSizes } from '../capture/rotation.ts'
import { type DatabaseAddress, Session } from '../db/session.ts'
import type { Loop, LoopEnd } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { loadCatalogue } from '../materialization/store.ts'
import { Connection } from './connection.ts'
import { DaemonState } from './daemon-state.ts'
import type { Heartbeat } from './heartbeat.ts'
import { History } from './history.ts'
import { farewell, type HousekeepingOptions, housekeepingLoop } from './housekeeping.ts'
import { type Remainder, untilIdle } from './idle.ts'
import { startListening } from './listening.ts'
import { plannerLoop } from './planner-loop.ts'
import { viewLoop } from './view-loop.ts'
import { workerLoop } from './worker-loop.ts'

/** How a daemon runs. */
export interface DaemonOptions {
  readonly address: DatabaseAddress
  /** Tasks at once. */
  readonly workers: number
  /** The longest pause between two looks at the log, in ms. */
  readonly pollMs: number
  /** Use LISTEN to be woken and to be asked by NOTIFY. Without it, or where it doesn't work, the daemon polls. */
  readonly listen: boolean
  /** End once all is fresh that was committed before the start. */
  readonly untilIdle: boolean
  readonly log: Log
  /** Ends the daemon: running batches finish first. */
  readonly signal: AbortSignal
  /** This pgfresh's version, for pgfresh.daemon. */
  readonly version: string
  /** Gets a sign at each of the planner's turns. Default: nobody looks. */
  readonly heartbeat?: Heartbeat
  /** Default: rotationSizes. */
  readonly rotation?: RotationSizes
}

/** Views that one daemon refreshes at a time. */
const refresherCount = 2

/** How long running batches may take after the signal: with the rest of the way out, five seconds in all. */
const graceMs = 4_000

/** Runs until the signal, or until idle. Throws an OperatorError if the database can't be reached at the start. */
export async function runDaemon(options: DaemonOptions): Promise<Remainder> {
  const { address, log, signal } = options
  const first = await Session.open(address, 'start')
  const state = new DaemonState(await loadCatalogue(first).finally(() => first.close()))
  const history = new History(state.id)
  const connections: Connection[] = []
  const connect = (duty: string) => {
    const connection = new Connection(address, duty)
    connections.push(connection)
    return connection
  }

  let planner: Loop | undefined
  const wakePlanner = () => planner?.wake()
  // One is woken, and whoever finds a task wakes the next: as many are awake as there is work for.
  // (If none rests, the first one's next rest is cut short: a wake-up must not be lost.)
  const wakeWorker = () => (workers.find((worker) => worker.isResting) ?? workers[0])?.wake()
  const wakeRefresher = () => (refreshers.find(({ loop }) => loop.isResting) ?? refreshers[0])?.loop.wake()
  const workers: Loop[] = Array.from({ length: options.workers }, (_, at) =>
    workerLoop({
      connection: connect(`worker ${at + 1}`),
      state,
      history,
      log: log.child({ component: 'worker' }),
      onClaimed: wakeWorker,
      onSettled: wakePlanner,
      onPrompt: wakeRefresher,
    }),
  )
  const listening = options.untilIdle
    ? null
    : await startListening({
        address,
        connection: connect('requests'),
        daemon: state.id,
        log,
        listen: options.listen,
        onRing: wakePlanner,
      })
  const bell = listening?.bell ?? null
  const housekeeping: HousekeepingOptions = {
    connection: connect('housekeeping'),
    state,
    history,
    log: log.child({ component: 'housekeeping' }),
    version: options.version,
    rotation: options.rotation,
  }
  planner = plannerLoop({
    connection: connect('planner'),
    state,
    bell,
    log: log.child({ component: 'planner' }),
    pollMs: options.pollMs,
    onReady: wakeWorker,
    onPrompt: wakeRefresher,
    onTurn: () => options.heartbeat?.sign(),
  })
  const refreshers = Array.from({ length: refresherCount }, (_, at) =>
    viewLoop({
      address,
      connection: connect(`view ${at + 1}`),
      state,
      log: log.child({ component: 'view' }),
      pollMs: options.pollMs,
      onRefreshed: wakePlanner,
    }),
  )
  const requests = listening?.requests ?? null
  const loops = [
    planner,
    ...workers,
    ...refreshers.map(({ loop }) => loop),
    housekeepingLoop(housekeeping),
    ...(requests === null ? [] : [requests]),
  ]
  const ended = loops.map((loop) => loop.start())
  log.info(
    {
      materializations: state.catalogue.materializations.length,
      workers: options.workers,
      bell: bell !== null,
    },
    'pgfresh runs',
  )
  try {
    return options.untilIdle
      ? await idle(connect('until idle'), state, signal, Promise.race(ended))
      : await stopped(signal, ended)
  } finally {
    // Planner first: nothing new is begun while the workers finish what they hold.
    for (const loop of loops) void loop.stop()
    // A refresh may take long, and leaves nothing behind: it isn't waited for.
    for (const refresher of refreshers) {
      void refresher.cancel().catch((error: unknown) => log.info({ error }, 'could not give a view back'))
    }
    const cutOff = setTimeout(() => {
      log.warn({}, 'batches that are still running are cut off: they are rolled back and their tasks stay')
      for (const connection of connections) connection.destroy()
    }, graceMs)
    await Promise.all(ended)
    clearTimeout(cutOff)
    await farewell(housekeeping).catch((error: unknown) => log.info({ error }, 'could not say farewell'))
    await Promise.all([listening?.stop(), ...connections.map((connection) => connection.close())])
    log.info({}, 'pgfresh has stopped')
  }
}

/** Waits for the signal, or for a loop that gave up: its error is thrown. */
async function stopped(signal: AbortSignal, ended: readonly Promise<LoopEnd>[]): Promise<Remainder> {
  const end = await Promise.race([aborted(signal), ...ended])
  if (end?.kind === 'failed') throw end.error
  return { quarantined: 0, failing: [], paused: [] }
}

async function idle(
  connection: Connection,
  state: DaemonState,
  signal: AbortSignal,
  ended: Promise<LoopEnd>,
): Promise<Remainder> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const failure = ended.then((end) => {
    stop.abort()
    if (end.kind === 'failed') throw end.error
    return { quarantined: 0, failing: [], paused: [] }
  })
  const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
  const finished = connection.use((session) => untilIdle(session, () => state.catalogue, sleep, either))
  return await Promise.race([finished, failure])
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null)
    else signal.addEventListener('abort', () => resolve(null), { once: true })
  })
}
