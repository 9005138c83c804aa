/**
 * Keeping pgfresh's own tables small without DELETE (invariant 6): what was consumed is dropped by TRUNCATE, so that a
 * session which holds the xmin horizon for hours changes nothing for the reader.
 *
 * A part is truncated under ACCESS EXCLUSIVE taken with NOWAIT (a waiting one stalls writers), after a new statement
 * under that lock saw nothing in it above the watermark: with the lock no writer has uncommitted rows there, and locks
 * are released after commits became visible. By size, not by clock: TRUNCATE can end readers on standbys [C].
 */
import type { Session } from '../db/session.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { begin } from '../db/transaction.ts'
import { text } from '../materialization/store.ts'

/** Sizes in bytes past which something is done. */
export interface RotationSizes {
  /** The current slot of the log is left. */
  readonly logSlot: number
  /** An empty queue's table is truncated. */
  readonly queue: number
}

export const rotationSizes: RotationSizes = { logSlot: 64 * 2 ** 20, queue: 16 * 2 ** 20 }

/** How many slots the change log has. */
const logSlots = 4

/** One look over all of pgfresh's own tables; does what can be done without waiting for anybody. */
export async function rotate(session: Session, sizes: RotationSizes = rotationSizes): Promise<void> {
  const [row] =
    await session.rows(`select pgfresh.log_slot() as current, (select id from pgfresh.watermark order by id desc limit 1) as watermark,
    ${[0, 1, 2, 3].map((slot) => `pg_catalog.pg_relation_size('pgfresh.change_log_${slot}') as log_${slot}`).join(', ')},
    ${[0, 1].map((slot) => `pg_catalog.pg_relation_size('pgfresh.watermark_${slot}') as watermark_${slot}`).join(', ')},
    pg_catalog.pg_relation_size('pgfresh.task') as task, pg_catalog.pg_relation_size('pgfresh.deferred') as deferred /* pgfresh: rotation */`)
  if (row === undefined) return
  const size = (name: string) => Number(text(row, name))
  const current = Number(text(row, 'current'))
  for (let slot = 0; slot < logSlots; slot += 1) {
    if (slot !== current && size(`log_${slot}`) > 0)
      await empty(session, `pgfresh.change_log_${slot}`, unconsumed(slot))
  }
  const next = (current + 1) % logSlots
  if (size(`log_${current}`) > sizes.logSlot) await turn(session, next)
  // The slot of older watermarks, once the other one has any.
  const newest = Number((BigInt(text(row, 'watermark')) >> 14n) & 1n)
  if (size(`watermark_${newest}`) > 0 && size(`watermark_${1 - newest}`) > 0) {
    await empty(
      session,
      `pgfresh.watermark_${1 - newest}`,
      `select from pgfresh.watermark_${newest} having pg_catalog.count(*) = 0`,
    )
  }
  for (const queue of ['task', 'deferred']) {
    if (size(queue) > sizes.queue) await empty(session, `pgfresh.${queue}`, `select from pgfresh.${queue}`)
  }
}

/** Entries of a slot that the watermark doesn't cover, or that an expand task still has to read. */
function unconsumed(slot: number): string {
  return `select from (select snapshot from pgfresh.watermark order by id desc limit 1) w,
      pgfresh.unread(w.snapshot, pg_catalog.pg_current_snapshot()) r,
      lateral (select from pgfresh.change_log_${slot} l where l.xid >= r.lo and l.xid < r.hi limit 1) l
    union all select from pgfresh.task where kind = 'expand' union all select from pgfresh.deferred where kind = 'expand'`
}

/** Truncates a table if nobody uses it at this moment and `unless` finds nothing. */
async function empty(session: Session, table: string, unless: string): Promise<void> {
  try {
    await session.run(
      `${begin({ enable_seqscan: 'off' })} lock table ${table} in access exclusive mode nowait`,
    )
    const [, found] = await session.run(`select; select exists (${unless}) as found /* pgfresh: rotation */`)
    if (found?.[0]?.found === 'f') await session.run(`truncate ${table}; commit`)
    else await session.rollback()
  } catch (error) {
    await session.rollback()
    if (sqlstateOf(error) !== sqlstate.lockNotAvailable) throw error
  }
}

/** Sends writers on to the next slot, if it is empty. One replica at a time: the state row's lock. */
async function turn(session: Session, slot: number): Promise<void> {
  const results = await session.run(`${begin()} select from pgfresh.state for update skip locked;
    select pg_catalog.pg_relation_size('pgfresh.change_log_${slot}') as size, pgfresh.log_slot() as current`)
  const mine = (results.at(-2) ?? []).length > 0
  const row = results.at(-1)?.[0]
  const isNext =
    row !== undefined &&
    Number(text(row, 'size')) === 0 &&
    (Number(text(row, 'current')) + 1) % logSlots === slot
  if (mine && isNext) await session.run(`select pgfresh.turn_log(${slot}); commit`)
  else await session.rollback()
}
