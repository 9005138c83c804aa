/**
 * The live writers: several connections that behave like a cinema's application, at a steady rate, until told to stop.
 *
 * They count the row changes they commit, exactly: rows inserted, deleted (cascades included) or changed in a column that some
 * definition reads. Only one refusal is expected, a ticket for an event that was cancelled meanwhile; any other error, above all a
 * deadlock, ends the demo, since pgfresh promises not to fail or deadlock writers. main.ts starts and stops them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { connect } from './connect.ts'
import { seededRandom } from './random.ts'
import * as programme from './writers/programme.ts'
import type { World, WriterSession } from './writers/session.ts'
import * as tickets from './writers/tickets.ts'

/** What writers have done so far. */
export interface WriterCounts {
  /** Row changes committed that some definition reads. */
  readonly changes: number
  /** Transactions run, whatever became of them. */
  readonly transactions: number
  /** Transactions refused because their event was cancelled meanwhile. */
  readonly refused: number
}

/** Writers at work. */
export interface Writers {
  counts(): WriterCounts
  /** Lets each writer end its transaction, then closes the connections. Rejects with the first unexpected error of a writer. */
  stop(): Promise<WriterCounts>
  /** Settles when the writers have stopped, by themselves (rejected: an unexpected error) or by `stop`. */
  readonly ended: Promise<void>
}

/** How often each kind of transaction runs, out of a thousand. */
const mix: readonly (readonly [share: number, run: (session: WriterSession) => Promise<number>])[] = [
  [600, tickets.sell],
  [90, tickets.refund],
  [55, tickets.discount],
  [45, tickets.exchange],
  [30, tickets.giveUp],
  [5, tickets.importTickets],
  [55, programme.reschedule],
  [15, programme.replaceFilm],
  [20, programme.changeListPrice],
  [15, programme.renameCinema],
  [3, programme.moveCinema],
  [12, programme.refitVenue],
  [1, programme.changeTimeZone],
  [28, programme.addEvents],
  [16, programme.cancelEvent],
  [1, programme.addFilm],
  [3, programme.openOrCloseCinema],
  [6, programme.saveOldRow],
]
/** The mix drawn out: a thousand transactions to choose from. */
const draws = mix.flatMap(([share, run]) => Array.from({ length: share }, () => run))

const writerCount = 4
/** What a stall may be made up for at once, in seconds of the rate: a hiccup is not turned into a storm. */
const burstSeconds = 0.5
const foreignKeyViolation = '23503'

/** Starts the writers on the database at `url`, at about `rate` row changes a second, choosing by `seed`. */
export async function startWriters(options: { url: string; rate: number; seed: number }): Promise<Writers> {
  const counts = { changes: 0, transactions: 0, refused: 0 }
  const stopping = new AbortController()
  const world: World = { addedEvents: [], addedCinemas: [] }
  const pace = pacing(options.rate, stopping.signal)
  const clients = await Promise.all(Array.from({ length: writerCount }, () => connect(options.url, 'cinema')))

  const write = async (client: pg.Client, index: number): Promise<void> => {
    const session: WriterSession = { client, random: seededRandom(options.seed + index), world }
    try {
      while (!stopping.signal.aborted) {
        const changed = await once(session)
        counts.transactions += 1
        if (changed === 'refused') counts.refused += 1
        else counts.changes += changed
        await pace(changed === 'refused' ? 0 : changed)
      }
    } finally {
      stopping.abort()
      await client.end().catch(() => undefined)
    }
  }
  const ended = Promise.allSettled(clients.map(write)).then((results) => {
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw new Error('a writer of the demo failed', { cause: failed.reason })
  })
  ended.catch(() => undefined) // whoever awaits `ended` or `stop` is told
  return {
    counts: () => ({ ...counts }),
    ended,
    stop: async () => {
      stopping.abort()
      await ended
      return { ...counts }
    },
  }
}

/** Runs one transaction of the mix. */
async function once(session: WriterSession): Promise<number | 'refused'> {
  try {
    return await session.random.oneOf(draws)(session)
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === foreignKeyViolation) return 'refused'
    throw error
  }
}

/** Returns a function to be told of changes made, which resolves when the next may be made. */
function pacing(rate: number, signal: AbortSignal): (changed: number) => Promise<void> {
  // When, on the clock, everything made so far would have been made at the rate.
  let due = performance.now()
  return async (changed) => {
    due = Math.max(due, performance.now() - burstSeconds * 1000) + (changed / rate) * 1000
    const wait = due - performance.now()
    if (wait > 0) await sleep(wait, undefined, { signal }).catch(() => undefined)
  }
}
