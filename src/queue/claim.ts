/**
 * Taking a task. It is held by the open transaction's row lock: a killed worker's task is free as soon as the server
 * notices, with no lease to wait out.
 */
import type { Session } from '../db/session.ts'
import { baseSettings, beginBare, tag } from '../db/transaction.ts'
import { laneCount, type Task, taskFromRow } from './task.ts'

/** All lanes, first to last: also those of priorities that a definition had before it was changed. */
const lanes = Array.from({ length: laneCount }, (_, lane) => lane)

/**
 * Begins a transaction and claims the first task that nobody holds; null (and no transaction) if there is none.
 * `floor`: task_floor of the newest watermark that this process has seen; an older one only costs time.
 */
export async function claim(session: Session, floor: readonly string[]): Promise<Task | null> {
  const floors = lanes.map((lane) => floor[lane] ?? '0')
  const results = await session.run(`${tag('claim')} ${beginBare}
    select * from pgfresh.claim(${baseSettings}, '{${lanes.join(',')}}', '{${floors.join(',')}}')`)
  const row = results.at(-1)?.[0]
  if (row !== undefined) return taskFromRow(row)
  await session.rollback()
  return null
}
