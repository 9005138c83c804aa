/**
 * The one connection of a daemon that LISTENs: the bell is heard on it, and what people ask for by NOTIFY.
 *
 * What is sent while it is not connected is lost, and everybody is told when that may be: at each loss, and when it is back.
 * Through a transaction pooler nothing arrives, so at the start it is proved that something does.
 */
import pgListen from 'pg-listen'
import type { DatabaseAddress } from '../db/session.ts'
import type { Log } from '../kernel/log.ts'
import { Connection } from './connection.ts'

/** On which the start proves that something arrives. */
const proofChannel = 'pgfresh_proof'

/** How long the proof may take before listening is given up. */
const proofMs = 3_000

/** Between two questions whether the connection is still there: a half-open one is noticed after this and query_timeout. */
const checkMs = 30_000

type Subscriber = ReturnType<typeof pgListen.default>

/** Who listens. */
export interface ListenerOptions {
  readonly address: DatabaseAddress
  readonly log: Log
  /** By channel: called with each payload, in the order they were sent in. */
  readonly channels: Readonly<Record<string, (payload: string) => void>>
  /** It is connected, or it is no longer. Something may have been lost. */
  readonly onChange: () => void
}

/** Hears notifications. */
export class Listener {
  readonly #options: ListenerOptions
  readonly #subscriber: Subscriber
  #connected = false

  constructor(options: ListenerOptions) {
    const { address, log, channels, onChange } = options
    this.#options = options
    this.#subscriber = pgListen.default(
      {
        ...(address.url === null ? {} : { connectionString: address.url }),
        application_name: 'pgfresh listener',
        connectionTimeoutMillis: 10_000,
        query_timeout: 10_000,
        // pg-listen listens to all channels at once when it has connected again.
        pipeline: true,
      },
      {
        parse: (payload: string) => payload,
        paranoidChecking: checkMs,
        retryTimeout: 0,
        retryInterval: (attempt: number) =>
          Math.min(100 * 2 ** Math.min(attempt, 8), 30_000) * (0.5 + Math.random() / 2),
      },
    )
    for (const [channel, hear] of Object.entries(channels)) {
      // pg-listen hands on an empty payload as undefined.
      this.#subscriber.notifications.on(channel, (payload: string | undefined) => hear(payload ?? ''))
    }
    const changed = (connected: boolean) => {
      this.#connected = connected
      onChange()
    }
    this.#subscriber.events.on('connected', () => changed(true))
    this.#subscriber.events.on('reconnect', (attempt: number) => {
      if (attempt === 1) log.info({}, 'the listener lost its connection')
      changed(false)
    })
    this.#subscriber.events.on('error', (error: Error) => {
      log.info({ error }, 'the listener could not connect again')
      changed(false)
    })
  }

  /** It hears what is sent now. */
  get connected(): boolean {
    return this.#connected
  }

  /** Connects. False: listening can't work here, and the log says why. */
  async start(): Promise<boolean> {
    const { address, log, channels } = this.#options
    const sender = new Connection(address, 'proof')
    try {
      // pg-listen goes on retrying a refused first connect for ever: see first whether one can be had.
      await sender.use((session) => session.rows('select'))
      await this.#subscriber.connect()
      for (const channel of [...Object.keys(channels), proofChannel]) await this.#subscriber.listenTo(channel)
      const heard = new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), proofMs)
        this.#subscriber.notifications.once(proofChannel, () => {
          clearTimeout(timer)
          resolve(true)
        })
      })
      await sender.use((session) => session.rows(`select pg_catalog.pg_notify('${proofChannel}', '')`))
      if (await heard) return true
      log.warn({}, 'NOTIFY does not arrive here (a connection pooler?): polling instead')
    } catch (error) {
      log.warn({ error }, 'listening is not possible: polling instead')
    } finally {
      await sender.close()
    }
    await this.stop()
    return false
  }

  /** Disconnects. */
  async stop(): Promise<void> {
    this.#connected = false
    await Promise.allSettled([this.#subscriber.close()])
  }
}
