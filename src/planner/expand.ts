/**
 * The expand task of one huge transaction: a worker routes all its entries, so that the planner never stalls the others.
 * The keys go to pgfresh.deferred, because only rounds insert into the queue; its log slot is kept until this is done.
 */
import type { Session } from '../db/session.ts'
import { setLocal, tag } from '../db/transaction.ts'
import { type Catalogue, type Stored, text } from '../materialization/store.ts'
import { removeTask } from '../queue/defer.ts'
import type { Task } from '../queue/task.ts'
import type { Walk } from './look.ts'
import { readSettings } from './read.ts'
import { captureRoutings, type FailedRouting, oneByOne } from './routing.ts'
import { requestCapture, requestsSql } from './tasks-sql.ts'

/** Carries out a claimed expand task, to its commit: the routes that failed, or null (and a rollback) for a capture that the catalogue doesn't know. */
export async function expand(
  session: Session,
  catalogue: Catalogue,
  task: Task,
  chunkOf: (stored: Stored) => number,
  walks: readonly Walk[],
): Promise<readonly FailedRouting[] | null> {
  if (task.expandXid === null) throw new RangeError(`expand task ${task.id} names no transaction`)
  const entries = { xid: task.expandXid }
  const results = await session.run(`${setLocal(readSettings)};
    select l.capture::text as capture, l.op from pgfresh.change_log l where l.xid = '${BigInt(task.expandXid)}'::xid8 group by 1, 2 ${tag('expand')}`)
  const found = (results.at(-1) ?? []).map((row) => ({ capture: text(row, 'capture'), op: text(row, 'op') }))
  const captures = new Map(catalogue.captures.map((capture) => [capture.id, capture]))
  const unknown = found.some(({ capture }) => capture !== requestCapture && !captures.has(capture))
  if (unknown) {
    await session.rollback()
    return null
  }
  const destination = { table: 'deferred', origin: task.origin } as const
  const routings = [...Map.groupBy(found, (one) => one.capture)].flatMap(([id, of]) => {
    const capture = captures.get(id)
    const ops = new Set(of.map((one) => one.op))
    return capture === undefined
      ? []
      : captureRoutings({ catalogue, chunkOf, entries, destination, walks }, capture, ops)
  })
  const failed = await oneByOne(session, routings)
  if (found.some((one) => one.op === 'R')) await session.run(requestsSql(entries, destination))
  await session.run(`${removeTask(task)}; commit`)
  return failed
}
