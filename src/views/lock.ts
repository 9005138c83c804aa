/**
 * One refresh of a view at a time, over all replicas: advisory locks of the refresh's own transaction, which end with it however it ends.
 *
 * The first is on the row of the schedule (who looks for running refreshes finds it in pg_locks by that), the second on the
 * view, since two rows may name one view in two spellings.
 */
import type { DueView } from './look.ts'

/** The advisory lock class of a refresh that runs, on its schedule's id. */
export const viewLockClass = 7_331_003

/** The same, on the materialized view's oid. */
const relationLockClass = 7_331_005

/** The part of a schedule's id or an oid (SQL, a bigint) that the locks are on: as it is, below 2^31. */
export function lockKey(id: string): string {
  return `(${id} & 2147483647)::integer`
}

/** One statement: true if nobody refreshes the view. Commit soon: who is about to refresh it waits for this. */
export function tryLockSql(view: DueView): string {
  return `select pg_catalog.pg_try_advisory_xact_lock(${ofSchedule(view)}) and pg_catalog.pg_try_advisory_xact_lock(${ofRelation(view)}) as got`
}

/** One statement that waits, under lock_timeout, for those who only try. */
export function lockSql(view: DueView): string {
  return `select pg_catalog.pg_advisory_xact_lock(${ofSchedule(view)}), pg_catalog.pg_advisory_xact_lock(${ofRelation(view)})`
}

function ofSchedule({ schedule }: DueView): string {
  return `${viewLockClass}, ${lockKey(`${BigInt(schedule)}::bigint`)}`
}

function ofRelation({ oid }: DueView): string {
  return `${relationLockClass}, ${lockKey(`${BigInt(oid)}::bigint`)}`
}
