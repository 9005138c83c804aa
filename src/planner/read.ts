/**
 * The first half of a round: its turn, and what is new in the log.
 *
 * pgfresh.take_turn (migrations/0003) locks the state row in one statement (SKIP LOCKED: whoever has it plans, nobody waits)
 * and reads the log together with pg_current_snapshot() in the next: never in one, never with a second snapshot [A15].
 */
import { advance, formatSnapshot, parseSnapshot } from '../capture/snapshot.ts'
import type { Row, Session } from '../db/session.ts'
import { baseSettings, beginBare, tag } from '../db/transaction.ts'
import { text } from '../materialization/store.ts'

/** How many entries one round takes at most: a window of this size is routed in tens of milliseconds. */
export const windowLimit = 20_000

/** Sequential scans are off: statistics of tables that are truncated over and over are always wrong (326 ms against 0.06 [B1]). */
export const readSettings = { enable_seqscan: 'off' } as const

/** What a round found. Its transaction is open. */
export interface Reading {
  readonly epoch: string
  /** False if the watermark comes from another cluster, database or schema, or from the future: it is worth nothing [A12]. */
  readonly home: boolean
  readonly watermarkId: bigint
  /** The stored watermark, as text. */
  readonly seen: string
  /** The watermark that covers just what was read. */
  readonly upto: string
  /** A transaction with more entries than a window takes: it becomes one expand task [B3]. */
  readonly huge: string | null
  /** The window was cut: there is more in the log than this round takes. */
  readonly cut: boolean
  /** Captures and operations that the window holds (with a cut window: at least those). */
  readonly entries: readonly { readonly capture: string; readonly op: string }[]
}

/** Takes the turn and reads; null (and no transaction) if somebody else has it. `limit` 0 reads no entries: the queue is full. */
export async function takeTurn(session: Session, limit: number): Promise<Reading | null> {
  const results = await session.run(
    `${tag('plan')} ${beginBare} select * from pgfresh.take_turn(${baseSettings}, ${limit})`,
  )
  const row = results.at(-1)?.[0]
  if (row !== undefined) return windowOf(row, limit)
  await session.rollback()
  return null
}

function windowOf(row: Row, limit: number): Reading {
  const past = row.past_xid ?? null
  const huge = past !== null && past === row.first_xid ? past : null
  // A huge transaction is left to its task, and the window ends right behind it.
  const cut =
    past === null ? null : { late: row.past_late === 't', before: BigInt(past) + (huge === null ? 0n : 1n) }
  const seen = parseSnapshot(text(row, 'seen'))
  const now = parseSnapshot(text(row, 'upto'))
  const own = BigInt(text(row, 'own'))
  return {
    epoch: text(row, 'epoch'),
    home: text(row, 'home') === 't' && seen.xmax <= now.xmax,
    watermarkId: BigInt(text(row, 'id')),
    seen: formatSnapshot(seen),
    upto: formatSnapshot(limit === 0 ? seen : advance({ seen, now, own, cut })),
    huge,
    cut: past !== null,
    entries: huge === null ? (JSON.parse(text(row, 'entries')) as Reading['entries']) : [],
  }
}
