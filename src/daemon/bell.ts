/**
 * The bell: how a writer wakes a sleeping daemon. The only session state of pgfresh, and optional.
 *
 * While it sleeps the daemon holds a lock (7331001, 0); a writer tries to share it, and NOTIFYs only if the try fails. So
 * an awake or dead daemon costs writers next to nothing. A try that succeeds holds to the end of the writer's
 * transaction: once the daemon gets the lock, whoever didn't ring has ended, and one more look sees what they committed.
 * Until it gets the lock it goes on polling; it only ever tries.
 */
import pgListen from 'pg-listen'
import type { DatabaseAddress, Session } from '../db/session.ts'
import type { Log } from '../kernel/log.ts'
import { Connection } from './connection.ts'

/** The channel on which capture rings. */
const channel = 'pgfresh_bell'

/** How long the bell's own test may take before listening is given up: through a transaction pooler nothing arrives. */
const proofMs = 3_000

type Subscriber = ReturnType<typeof pgListen.default>

/** Listens for rings, and holds the lock while the daemon sleeps. */
export class Bell {
  readonly #lock: Connection
  readonly #subscriber: Subscriber
  readonly #log: Log
  #onProof: (() => void) | null = null
  #connected = false
  /** The lock is held in this session. */
  #armedIn: Session | null = null

  /** `onRing` is called for each ring, and when the listener is connected again: what was sent in between is lost. */
  constructor(address: DatabaseAddress, log: Log, onRing: () => void) {
    this.#log = log
    this.#lock = new Connection(address, 'bell')
    this.#subscriber = pgListen.default(
      {
        ...(address.url === null ? {} : { connectionString: address.url }),
        application_name: 'pgfresh listener',
        connectionTimeoutMillis: 10_000,
        query_timeout: 10_000,
      },
      {
        parse: (payload: string) => payload,
        paranoidChecking: 30_000,
        retryTimeout: 0,
        retryInterval: (attempt: number) =>
          Math.min(100 * 2 ** Math.min(attempt, 8), 30_000) * (0.5 + Math.random() / 2),
      },
    )
    this.#subscriber.notifications.on(channel, (payload: unknown) => {
      if (payload === 'proof') this.#onProof?.()
      else onRing()
    })
    this.#subscriber.events.on('connected', () => {
      this.#connected = true
      onRing()
    })
    this.#subscriber.events.on('error', (error: Error) => {
      this.#connected = false
      onRing()
      log.info({ error }, 'the listener lost its connection')
    })
  }

  /** Connects, and proves that a ring arrives. False: listening can't work here, and the daemon polls. */
  async start(): Promise<boolean> {
    try {
      // pg-listen goes on retrying a refused first connect for ever: see first whether one can be had.
      const [settings] = await this.#lock.use((session) =>
        session.rows(`select pg_catalog.current_setting('max_prepared_transactions') as prepared`),
      )
      if (settings?.prepared !== '0') {
        // A transaction that NOTIFYed can't be PREPAREd, so writers don't ring here (migrations/0002).
        this.#log.info({}, 'prepared transactions are allowed here, so writers do not ring: polling instead')
        await this.stop()
        return false
      }
      await this.#subscriber.connect()
      await this.#subscriber.listenTo(channel)
      const heard = new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), proofMs)
        this.#onProof = () => {
          clearTimeout(timer)
          resolve(true)
        }
      })
      await this.#lock.use((session) => session.rows(`select pg_catalog.pg_notify('${channel}', 'proof')`))
      if (await heard) {
        this.#connected = true
        return true
      }
      this.#log.warn({}, 'NOTIFY does not arrive here (a connection pooler?): polling instead')
    } catch (error) {
      this.#log.warn({ error }, 'listening is not possible: polling instead')
    }
    await this.stop()
    return false
  }

  /**
   * Takes the lock if it is free. `armed`: every writer whose commit the last look didn't see will ring. `settled`: look
   * once more, then it will be. `open`: transactions from before are still open, or the lock is somebody else's: poll.
   */
  async arm(): Promise<'armed' | 'settled' | 'open'> {
    if (!this.#connected) {
      // Nobody would hear it, so writers are spared the ringing.
      await this.disarm()
      return 'open'
    }
    try {
      return await this.#lock.use((session) => this.#armIn(session))
    } catch (error) {
      this.#log.debug({ error }, 'the bell could not be armed')
      this.#armedIn = null
      return 'open'
    }
  }

  async #armIn(session: Session): Promise<'armed' | 'settled' | 'open'> {
    if (this.#armedIn !== session) {
      const [row] = await session.rows('select pg_catalog.pg_try_advisory_lock(7331001, 0) as taken')
      if (row?.taken !== 't') return 'open'
      this.#armedIn = session
      return 'settled'
    }
    return 'armed'
  }

  /** Gives the lock back: writers need not ring. */
  async disarm(): Promise<void> {
    const session = this.#armedIn
    this.#armedIn = null
    if (session === null || session.lost) return
    try {
      await session.rows('select pg_catalog.pg_advisory_unlock(7331001, 0)')
    } catch {
      // With the session the lock is gone too.
      await this.#lock.close()
    }
  }

  /** Disconnects. */
  async stop(): Promise<void> {
    this.#connected = false
    this.#armedIn = null
    await Promise.allSettled([this.#subscriber.close(), this.#lock.close()])
  }
}
