/**
 * Turns what people ask for by NOTIFY into pgfresh.refresh(), once, whatever the number of daemons that hear it.
 *
 * All daemons hear all of it, in one order. Whoever holds the lock (7331004, 0) asks at once, and says in the same transaction what it
 * has taken up; the others keep what they heard until they hear that. What nobody has taken up for some seconds each of them
 * asks for itself. So nothing is lost with a daemon that was killed, cut off or stopped in the middle; a request is made twice, which
 * is harmless, only if such a daemon comes back or two lose patience at the same moment. The lock is session state, like the
 * listener: where that can't be had none of this runs.
 */
import { createHash } from 'node:crypto'
import { quoteLiteral } from '../db/identifier.ts'
import type { Row, Session } from '../db/session.ts'
import { sqlstateOf } from '../db/sqlstate.ts'
import { begin, tag } from '../db/transaction.ts'
import { OperatorError } from '../kernel/errors.ts'
import { Loop } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { text } from '../materialization/store.ts'
import { complain } from './complain.ts'
import type { Connection } from './connection.ts'
import { Misunderstood } from './misunderstood.ts'
import { type NotifiedRequest, parsePayload, payloadForms } from './payload.ts'

/** The channel on which people ask. */
export const requestChannel = 'pgfresh'

/** The channel on which daemons say what they have taken up: `<daemon> <hash>*<times> …`. */
export const doneChannel = 'pgfresh_done'

/** Between two tries for the lock. */
const tryMs = 1_000

/** What nobody has taken up for so long is asked for without the lock; not by all daemons at the same moment. */
const patienceMs = { least: 5_000, jitter: 3_000 } as const

/** How long a request is kept while the database takes none. */
const keepMs = 300_000

/** Different payloads kept at most: 8 kB each. */
const keepMost = 5_000

/** Different payloads asked for in one transaction: so that what it says of them fits one notification. */
const batch = 300

/** What the loop works with. */
export interface RequestsOptions {
  readonly connection: Connection
  /** This daemon's id. */
  readonly daemon: string
  readonly log: Log
}

/** A payload that was heard, and is yet to be taken up by somebody. */
interface Heard {
  readonly payload: string
  times: number
  /** By the process's clock: since when, and from when on this daemon asks without the lock. */
  readonly since: number
  readonly overdue: number
}

/** What one daemon has heard. */
export class NotifiedRequests {
  readonly #options: RequestsOptions
  readonly #misunderstood: Misunderstood
  readonly #heard = new Map<string, Heard>()
  /** The lock is held in this session. */
  #leadsIn: Session | null = null
  #nextTry = 0
  #isFull = false
  /** The caller starts it and closes the connection after it ended. */
  readonly loop: Loop

  constructor(options: RequestsOptions) {
    this.#options = options
    this.#misunderstood = new Misunderstood(options.log)
    this.loop = new Loop({
      body: () =>
        this.#heard.size === 0
          ? Promise.resolve(Number.POSITIVE_INFINITY)
          : options.connection.use((session) => this.#turn(session)),
      onError: (error, failure) =>
        complain(options.log, error, failure, 'what was asked for by NOTIFY could not be stored'),
    })
  }

  /** Somebody asks. */
  hear(payload: string): void {
    this.#keep(hashOf(payload), payload, 1)
    this.loop.wake()
  }

  /** A daemon says what it has taken up. */
  hearDone(message: string): void {
    const [daemon, ...taken] = message.split(' ')
    // Who holds the lock has nobody to wait for.
    if (daemon === this.#options.daemon || this.#leadsIn?.lost === false) return
    for (const one of taken) {
      const [hash = '', times] = one.split('*')
      const heard = this.#heard.get(hash)
      if (heard === undefined) continue
      // It may have been asked for once more, which the other daemon had not heard yet.
      heard.times -= Number(times)
      if (!(heard.times > 0)) this.#heard.delete(hash)
    }
  }

  async #turn(session: Session): Promise<number> {
    this.#forget()
    const leads = await this.#leads(session)
    const now = performance.now()
    const taken = [...this.#heard].filter(([, heard]) => leads || heard.overdue <= now).slice(0, batch)
    await this.#take(session, taken)
    if (this.#heard.size === 0) return Number.POSITIVE_INFINITY
    const overdue = [...this.#heard.values()].map((heard) => heard.overdue)
    return leads ? 0 : Math.max(1, Math.min(this.#nextTry, ...overdue) - performance.now())
  }

  /** True if this daemon holds the lock. It is kept as long as the session lives. */
  async #leads(session: Session): Promise<boolean> {
    if (this.#leadsIn === session) return true
    const now = performance.now()
    if (now < this.#nextTry) return false
    this.#nextTry = now + tryMs
    // The server must notice by itself that this machine is gone: no transaction with its own settings is open then.
    const [row] = await session.rows(`select pg_catalog.pg_try_advisory_lock(7331004, 0) as taken,
      pg_catalog.set_config('tcp_keepalives_idle', '10', false), pg_catalog.set_config('tcp_keepalives_interval', '5', false),
      pg_catalog.set_config('tcp_keepalives_count', '3', false)`)
    this.#leadsIn = row?.taken === 't' ? session : null
    return this.#leadsIn !== null
  }

  /** All at once; one by one where the database can't even read them: one of them must not stand in the way of the others. */
  async #take(session: Session, taken: readonly (readonly [string, Heard])[]): Promise<void> {
    const [only, ...others] = taken
    if (only === undefined) return
    for (const [hash] of taken) this.#heard.delete(hash)
    try {
      await this.#ask(session, taken)
    } catch (error) {
      if (session.lost || !isUnreadable(error)) {
        for (const [hash, heard] of taken) this.#keep(hash, heard.payload, heard.times, heard)
        throw error
      }
      await session.rollback()
      if (others.length > 0) for (const one of taken) await this.#take(session, [one])
      else this.#misunderstood.tell(only[0], only[1].payload, (error as Error).message, payloadForms)
    }
  }

  async #ask(session: Session, taken: readonly (readonly [string, Heard])[]): Promise<void> {
    const readable = taken.flatMap(([hash, { payload }]) => {
      const request = this.#read(hash, payload)
      return request === null ? [] : [{ hash, payload, request }]
    })
    const done = [this.#options.daemon, ...taken.map(([hash, { times }]) => `${hash}*${times}`)].join(' ')
    const requests = quoteLiteral(JSON.stringify(readable.map(({ request }) => request)))
    const results = await session.run(`${tag('requests')} ${begin()}
      select r.at, r.problem, r.hint, r.state from pgfresh.refresh_each(${requests}::jsonb) r;
      select pg_catalog.pg_notify('${doneChannel}', ${quoteLiteral(done)}) where pg_catalog.pg_notification_queue_usage() < 0.5;
      commit`)
    const refused = new Map((results.at(-3) ?? []).map((row) => [Number(text(row, 'at')), row]))
    for (const [at, { hash, payload, request }] of readable.entries()) {
      const row = refused.get(at + 1)
      if (row === undefined) this.#misunderstood.understood(hash)
      else this.#misunderstood.tell(hash, payload, text(row, 'problem'), expectedOf(request, row))
    }
    this.#options.log.debug({ requests: taken.length, refused: refused.size }, 'asked for by NOTIFY')
  }

  #read(hash: string, payload: string): NotifiedRequest | null {
    try {
      return parsePayload(payload)
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      this.#misunderstood.tell(hash, payload, error.message, error.hint ?? payloadForms)
      return null
    }
  }

  #keep(hash: string, payload: string, times: number, before?: Heard): void {
    const heard = this.#heard.get(hash)
    if (heard !== undefined) {
      heard.times += times
    } else if (this.#heard.size < keepMost) {
      const since = before?.since ?? performance.now()
      const overdue = before?.overdue ?? since + patienceMs.least + Math.random() * patienceMs.jitter
      this.#heard.set(hash, { payload, times, since, overdue })
      this.#isFull = false
    } else if (!this.#isFull) {
      this.#isFull = true
      this.#options.log.warn(
        { kept: keepMost },
        'more is asked for by NOTIFY than can be kept, and some of it is forgotten: pgfresh.refresh() forgets nothing',
      )
    }
  }

  #forget(): void {
    const before = performance.now() - keepMs
    const old = [...this.#heard].filter(([, heard]) => heard.since < before)
    for (const [hash] of old) this.#heard.delete(hash)
    if (old.length > 0)
      this.#options.log.warn(
        { requests: old.length },
        'requests by NOTIFY could not be stored and are forgotten',
      )
  }
}

/** What to write instead, after the database refused a request. */
function expectedOf(request: NotifiedRequest, row: Row): string {
  // What pgfresh.refresh says of a key that has not as many values as it has columns.
  const several = request.key !== null && row.state === '22023'
  return [
    ...(row.hint == null || row.hint === '' ? [] : [row.hint]),
    ...(several ? ['Only a key of one column may follow a colon; any other is written as JSON.'] : []),
    ...(row.hint == null || row.hint === '' || several ? [payloadForms] : []),
  ].join(' ')
}

/** A text that the database's encoding or its JSON has no place for. */
function isUnreadable(error: unknown): boolean {
  return sqlstateOf(error)?.startsWith('22') === true
}

function hashOf(payload: string): string {
  return createHash('sha256').update(payload).digest('base64url').slice(0, 16)
}
