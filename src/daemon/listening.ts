/**
 * All that a daemon hears: one listener, which serves the bell and the requests by NOTIFY. Where it can't be had the daemon polls,
 * people ask by SQL, and the log says so.
 */
import type { DatabaseAddress } from '../db/session.ts'
import type { Loop } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { Bell, bellChannel } from './bell.ts'
import type { Connection } from './connection.ts'
import { Listener } from './listener.ts'
import { doneChannel, NotifiedRequests, requestChannel } from './requests.ts'

/** How a daemon listens. */
export interface ListeningOptions {
  readonly address: DatabaseAddress
  /** For requests; the caller closes it. */
  readonly connection: Connection
  /** This daemon's id. */
  readonly daemon: string
  readonly log: Log
  /** False: people don't want it to. */
  readonly listen: boolean
  /** Somebody rings, or the listener comes or goes. */
  readonly onRing: () => void
}

/** What came of it. */
export interface Listening {
  /** Null: the daemon polls. */
  readonly bell: Bell | null
  /** The loop of what is asked for by NOTIFY, to be started and stopped with the others; null: it is not heard. */
  readonly requests: Loop | null
  /** Ends it, after its loop. */
  stop(): Promise<void>
}

/** Starts to listen, if it is wanted and works here. */
export async function startListening(options: ListeningOptions): Promise<Listening> {
  const { address, connection, daemon, log, onRing } = options
  const unheard = { bell: null, requests: null, stop: () => Promise.resolve() }
  const advice = 'NOTIFY pgfresh is not heard by this daemon: ask with select pgfresh.refresh(…)'
  if (!options.listen) {
    log.info({}, advice)
    return unheard
  }
  const requests = new NotifiedRequests({ connection, daemon, log: log.child({ component: 'requests' }) })
  const listener = new Listener({
    address,
    log: log.child({ component: 'listener' }),
    channels: {
      [bellChannel]: onRing,
      [requestChannel]: (payload) => requests.hear(payload),
      [doneChannel]: (message) => requests.hearDone(message),
    },
    onChange: onRing,
  })
  if (!(await listener.start())) {
    log.warn({}, advice)
    return unheard
  }
  const ring = new Bell(address, listener, log.child({ component: 'bell' }))
  const bell = (await ring.start()) ? ring : null
  return {
    bell,
    requests: requests.loop,
    stop: async () => {
      await Promise.all([listener.stop(), bell?.stop()])
    },
  }
}
