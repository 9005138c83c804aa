/**
 * Partitions and inheritance children that come and go: no trigger fires for it, so what a captured table consists of is compared with
 * what it consisted of before, and a difference is logged like any change (migrations/0003, notice_parts).
 *
 * Called by housekeeping at every beat, and by `run --until-idle` before it takes its bound.
 */
import type { Session } from '../db/session.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { begin, tag } from '../db/transaction.ts'

/** Looks once over all captured tables. False: a table that was attached is locked; look again later. */
export async function noticeParts(session: Session): Promise<boolean> {
  try {
    await session.run(`${tag('parts')} ${begin()} select pgfresh.notice_parts(); commit`)
    return true
  } catch (error) {
    await session.rollback()
    if (sqlstateOf(error) === sqlstate.lockNotAvailable) return false
    throw error
  }
}

/** The statement by which apply remembers what a table consists of, when it begins to capture it. */
export function seePartsSql(source: string): string {
  return `select pgfresh.see_parts(${Number(source)})`
}
