/**
 * Runs one claimed task to its end, and decides what becomes of one that fails. Every outcome is one transaction, so
 * kill -9 at any moment loses nothing and repeats at most one batch (invariant 5).
 */
import type { Session } from '../db/session.ts'
import { healing, sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { begin } from '../db/transaction.ts'
import { noteFailing } from '../materialization/failing.ts'
import type { Stored } from '../materialization/store.ts'
import { text } from '../materialization/store.ts'
import { deferHalves, deferWhole, quarantineKeys, removeTask } from '../queue/defer.ts'
import { isTask, type Task } from '../queue/task.ts'
import { type BatchSummary, batchSql, existingKeysSql } from './batch-sql.ts'

/** How a batch ended. */
export type BatchOutcome =
  | { readonly kind: 'done'; readonly summary: BatchSummary }
  /** The stored definition is another one now, or it was paused: load it and claim again. */
  | { readonly kind: 'superseded' }
  /** A lock was not to be had in time: the task waits for its turn, and others go on. */
  | { readonly kind: 'held' }
  /** Nothing is wrong with the data: try again. */
  | { readonly kind: 'retry'; readonly error: unknown }
  /** Some rows fail: the batch was halved, or its one key went to quarantine. */
  | { readonly kind: 'split'; readonly error: unknown }
  /** `keys`: a JSON array with the key, or an empty one if its row is gone. */
  | { readonly kind: 'quarantined'; readonly error: unknown; readonly keys: string }
  /** It fails for every row alike: put off, and noted at the materialization. */
  | { readonly kind: 'failing'; readonly error: unknown }

/** Runs a keys or range task that this session has just claimed (its transaction is open). */
export async function runBatch(session: Session, stored: Stored, task: Task): Promise<BatchOutcome> {
  try {
    const results = await session.run(batchSql(stored, task))
    const row = results.at(-2)?.[0]
    if (row === undefined) throw new RangeError('a batch gave no summary')
    if (text(row, 'fence') !== 'held') return { kind: 'superseded' }
    const count = (column: string) => Number(text(row, column))
    const summary = {
      locked: count('locked'),
      missed: count('missed'),
      written: count('written'),
      refused: count('refused'),
    }
    return { kind: 'done', summary }
  } catch (error) {
    if (session.lost) return { kind: 'retry', error }
    await session.rollback()
    return await settleFailure(session, stored, task, error)
  }
}

/** How long a task of a failing definition waits: 1 s, doubling to 5 minutes. */
export function failingPauseMs(attempts: number): number {
  return Math.min(1000 * 2 ** attempts, 300_000)
}

/** How long a task waits for a lock that it did not get: 100 ms, doubling to 10 s. A worker that waits is one that does nothing else. */
function heldPauseMs(attempts: number): number {
  return Math.min(100 * 2 ** attempts, 10_000)
}

async function settleFailure(
  session: Session,
  stored: Stored,
  task: Task,
  error: unknown,
): Promise<BatchOutcome> {
  const held = sqlstateOf(error) === sqlstate.lockNotAvailable
  const kind = healing(error)
  if (kind === 'retry' && !held) return { kind: 'retry', error }
  // Whoever claimed it after our rollback settles it instead. What failed may have been an old definition: that says nothing.
  const mine = `select m.fingerprint from pgfresh.task t left join pgfresh.materialization m on m.id = t.materialization
    where ${isTask(task)} for update of t skip locked`
  const message = messageOf(error)
  try {
    const [claimed] = (await session.run(`${begin(stored.compiled.settings)} ${mine}`)).at(-1) ?? []
    if (claimed === undefined || claimed.fingerprint !== stored.fingerprint) {
      await session.rollback()
      return claimed === undefined ? { kind: 'retry', error } : { kind: 'superseded' }
    }
    if (held) {
      await session.run(`${deferWhole(task, heldPauseMs(task.attempts))}; commit`)
      return { kind: 'held' }
    }
    if (kind === 'definition') {
      await session.run(
        `${deferWhole(task, failingPauseMs(task.attempts))}; ${noteFailing(stored.id, message)}; commit`,
      )
      return { kind: 'failing', error }
    }
    const keys =
      task.kind === 'range'
        ? existingKeysSql(stored.compiled, task)
        : `(select t.keys from pgfresh.task t where ${isTask(task)})`
    const [row] = await session.rows(`select pg_catalog.jsonb_array_length(${keys}) as n, ${keys} as keys`)
    if (Number(row?.n ?? 0) > 1) {
      await session.run(`${deferHalves(task, keys)}; commit`)
      return { kind: 'split', error }
    }
    await session.run(
      `${quarantineKeys(task, keys, { message, sqlstate: sqlstateOf(error) })}; ${removeTask(task)}; commit`,
    )
    return { kind: 'quarantined', error, keys: row?.keys ?? '[]' }
  } catch (second) {
    await session.rollback()
    if (session.lost || healing(second) === 'retry') return { kind: 'retry', error: second }
    // Not even its keys can be read: left where it is, it would be the first thing that every worker tries.
    const put = `${deferWhole(task, failingPauseMs(task.attempts))}; ${noteFailing(stored.id, messageOf(second))}`
    await session.run(`${begin()} ${put}; commit`)
    return { kind: 'failing', error: second }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
