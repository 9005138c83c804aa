/**
 * The expand task of one huge transaction: a worker routes all its entries, so that the planner never stalls the others.
 * The keys go to pgfresh.deferred, because only rounds insert into the queue; its log slot is kept until this is done.
 *
 * One that fails is put off, longer each time, so that it is not what every worker tries first. One that goes on failing is replaced by
 * walks: of the definitions whose statements fail, or of all if not even its entries can be read. Else it would keep the log for ever.
 */
import type { Session } from '../db/session.ts'
import { begin, setLocal, tag } from '../db/transaction.ts'
import { type Catalogue, type Stored, text } from '../materialization/store.ts'
import { deferWhole, removeTask } from '../queue/defer.ts'
import { isTask, type Task } from '../queue/task.ts'
import { failingPauseMs } from '../refresh/batch.ts'
import type { Walk } from './look.ts'
import { readSettings } from './read.ts'
import { captureRoutings, concernsOne, type FailedRouting, oneByOne } from './routing.ts'
import { requestCapture, requestsSql, walkSql } from './tasks-sql.ts'

/** Failed attempts after which whatever still fails is replaced: a minute, with the pauses between them. */
const patience = 6

/**
 * Carries out a claimed expand task, to its commit: the routes that failed. Null: it was put off for a capture that the catalogue
 * doesn't know. Throws an error that may pass, after putting it off.
 */
export async function expand(
  session: Session,
  catalogue: Catalogue,
  task: Task,
  chunkOf: (stored: Stored) => number,
  walks: readonly Walk[],
): Promise<readonly FailedRouting[] | null> {
  try {
    return await attemptExpand(session, catalogue, task, chunkOf, walks)
  } catch (error) {
    if (session.lost) throw error
    await session.rollback()
    return await settleFailure(session, catalogue, task, error)
  }
}

async function attemptExpand(
  session: Session,
  catalogue: Catalogue,
  task: Task,
  chunkOf: (stored: Stored) => number,
  walks: readonly Walk[],
): Promise<readonly FailedRouting[] | null> {
  if (task.expandXid === null) throw new RangeError(`expand task ${task.id} names no transaction`)
  const entries = { xid: task.expandXid }
  const isLast = task.attempts >= patience
  const results = await session.run(`${setLocal(readSettings)};
    select l.capture::text as capture, l.op from pgfresh.change_log l where l.xid = '${BigInt(task.expandXid)}'::xid8 group by 1, 2 ${tag('expand')}`)
  const found = (results.at(-1) ?? []).map((row) => ({ capture: text(row, 'capture'), op: text(row, 'op') }))
  const captures = new Map(catalogue.captures.map((capture) => [capture.id, capture]))
  const unknown = found.some(({ capture }) => capture !== requestCapture && !captures.has(capture))
  if (unknown && !isLast) {
    await session.run(putOff(task))
    return null
  }
  const destination = { kind: 'deferred', origin: task.origin } as const
  const routings = [...Map.groupBy(found, (one) => one.capture)].flatMap(([id, of]) => {
    const capture = captures.get(id)
    const ops = new Set(of.map((one) => one.op))
    return capture === undefined
      ? []
      : captureRoutings({ catalogue, chunkOf, entries, destination, walks }, capture, ops)
  })
  const failed = await oneByOne(session, routings, isLast ? () => true : concernsOne)
  if (found.some((one) => one.op === 'R')) await session.run(requestsSql(entries, destination))
  await session.run(`${removeTask(task)}; commit`)
  return failed
}

/** Puts the task off, unless somebody else has claimed it since our rollback; one that had its attempts becomes walks over everything. */
async function settleFailure(
  session: Session,
  { materializations }: Catalogue,
  task: Task,
  error: unknown,
): Promise<readonly FailedRouting[]> {
  const mine = `select from pgfresh.task t where ${isTask(task)} for update skip locked`
  const claimed = (await session.run(`${begin()} ${mine}`)).at(-1) ?? []
  if (claimed.length === 0 || task.attempts < patience) {
    if (claimed.length > 0) await session.run(putOff(task))
    throw error
  }
  // What it asked for by pgfresh.refresh(), if it did, can't be read either: stamps are due wherever it may have asked.
  const instead = walkSql('select id from pgfresh.materialization', 'a bulk change that could not be read', {
    stampDue: true,
  })
  await session.run(`${instead}; ${removeTask(task)}; commit`)
  const message = error instanceof Error ? error.message : String(error)
  const attempt = 'read a bulk change'
  return materializations.map((stored) => ({ stored, attempt, error, message, held: false }))
}

function putOff(task: Task): string {
  return `${deferWhole(task, failingPauseMs(task.attempts))}; commit`
}
