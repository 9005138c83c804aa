/**
 * Work that comes later: statements that put a claimed task, a part of it, or some of its keys into pgfresh.deferred.
 * Each is SQL text for the transaction that holds the task, so that work is never in neither place (invariant 5).
 */
import { quoteLiteral } from '../db/identifier.ts'
import { isTask, type Task } from './task.ts'

/** Columns that a deferred row takes from its task as they are. */
const kept = 'lane, origin, materialization, walk, columns, stamp_due, why, planned_at'

/** Past this many misses a key is tried alone, waiting for its lock. */
export const patience = 6

/** Ends a batch (pgfresh.settle, migrations/0003). Keys that somebody held are due after 5 ms, doubling to 1 s; once patience is over, alone. */
export function settle(task: Task): string {
  const misses = task.misses + 1
  const dueMs = Math.min(5 * 2 ** (misses - 1), 1000)
  return `select * from pgfresh.settle(${task.lane}::smallint, ${BigInt(task.id)}, ${dueMs}, ${misses >= patience})`
}

/** The whole task again after a pause, with one more attempt on its account. */
export function deferWhole(task: Task, pauseMs: number): string {
  return `insert into pgfresh.deferred (due_at, ${kept}, kind, keys, range_from, range_to, expand_xid, misses, attempts)
    select pg_catalog.clock_timestamp() + interval '${Math.round(pauseMs)} ms', ${columnsOf('t')}, t.kind, t.keys, t.range_from, t.range_to,
      t.expand_xid, t.misses, t.attempts + 1
    from pgfresh.task t where ${isTask(task)};
    ${removeTask(task)}`
}

/** A failed batch in two halves, due at once. `keys`: an SQL expression of its keys as a jsonb array. */
export function deferHalves(task: Task, keys: string): string {
  return `insert into pgfresh.deferred (due_at, ${kept}, kind, keys, misses, attempts)
    select pg_catalog.clock_timestamp(), ${columnsOf('t')}, 'keys', half.keys, 0, t.attempts
    from pgfresh.task t, lateral (
      select pg_catalog.jsonb_agg(e.key order by e.at) as keys
      from pg_catalog.jsonb_array_elements(${keys}) with ordinality e(key, at)
      group by e.at <= (pg_catalog.jsonb_array_length(${keys}) + 1) / 2
    ) half where ${isTask(task)};
    ${removeTask(task)}`
}

/** Puts keys of a task (an SQL expression, a jsonb array) into quarantine with their error. */
export function quarantineKeys(
  task: Task,
  keys: string,
  error: { readonly message: string; readonly sqlstate: string | null },
): string {
  const state = error.sqlstate === null ? 'null' : quoteLiteral(error.sqlstate)
  return `select pgfresh.quarantine_keys(${task.lane}::smallint, ${BigInt(task.id)}, ${keys}, ${quoteLiteral(error.message)}, ${state})`
}

/** Takes a task off the queue. */
export function removeTask(task: Task): string {
  return `delete from pgfresh.task t where ${isTask(task)}`
}

function columnsOf(alias: string): string {
  return kept
    .split(', ')
    .map((column) => `${alias}.${column}`)
    .join(', ')
}
