/**
 * The bell: how a writer wakes a sleeping daemon. The only session state of pgfresh, and optional.
 *
 * While it sleeps the daemon holds a lock (7331001, 0); a writer tries to share it, and NOTIFYs only if the try fails. So
 * an awake or dead daemon costs writers next to nothing. A try that succeeds holds to the end of the writer's
 * transaction: once the daemon gets the lock, whoever didn't ring has ended, and one more look sees what they committed.
 * Until it gets the lock it goes on polling; it only ever tries.
 */
import type { DatabaseAddress, Session } from '../db/session.ts'
import type { Log } from '../kernel/log.ts'
import { Connection } from './connection.ts'
import type { Listener } from './listener.ts'

/** The channel on which capture rings. */
export const bellChannel = 'pgfresh_bell'

/** Holds the lock while the daemon sleeps. What rings is heard by the listener, which wakes the planner. */
export class Bell {
  readonly #lock: Connection
  readonly #listener: Listener
  readonly #log: Log
  /** The lock is held in this session. */
  #armedIn: Session | null = null

  /** `listener` hears the bell's channel. */
  constructor(address: DatabaseAddress, listener: Listener, log: Log) {
    this.#log = log
    this.#lock = new Connection(address, 'bell')
    this.#listener = listener
  }

  /** False: writers don't ring here, and the daemon polls. */
  async start(): Promise<boolean> {
    try {
      const [settings] = await this.#lock.use((session) =>
        session.rows(`select pg_catalog.current_setting('max_prepared_transactions') as prepared`),
      )
      if (settings?.prepared === '0') return true
      // A transaction that NOTIFYed can't be PREPAREd, so writers don't ring here (migrations/0002).
      this.#log.info({}, 'prepared transactions are allowed here, so writers do not ring: polling instead')
    } catch (error) {
      this.#log.warn({ error }, 'the bell can not be had: polling instead')
    }
    await this.stop()
    return false
  }

  /**
   * Takes the lock if it is free. `armed`: every writer whose commit the last look didn't see will ring. `settled`: look
   * once more, then it will be. `open`: transactions from before are still open, or the lock is somebody else's: poll.
   */
  async arm(): Promise<'armed' | 'settled' | 'open'> {
    if (!this.#listener.connected) {
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
    this.#armedIn = null
    await this.#lock.close()
  }
}
