/**
 * A task: one durable unit of work, and the lanes that order them.
 *
 * Only a planner round inserts into pgfresh.task: ids then commit in order, so claims can start above a floor and never
 * pass a live task [C1]. Everybody else puts work into pgfresh.deferred, from where a round moves what is due.
 */
import type { Row } from '../db/session.ts'

/** Kinds of work, first to last. */
export const laneKinds = { change: 0, bulk: 1, expiry: 2, backfill: 3 } as const
export type LaneKind = keyof typeof laneKinds

/** Priorities within a kind: 9 first, 0 last. */
const priorities = 10

/** How many lanes there are: the length of a watermark's task_floor. */
export const laneCount = Object.keys(laneKinds).length * priorities

/** The lane of this kind of work at a definition's priority (0 to 9). */
export function laneOf(kind: LaneKind, priority: number): number {
  return laneKinds[kind] * priorities + (priorities - 1 - priority)
}

/** The kind of work a lane holds. */
export function kindOfLane(lane: number): LaneKind {
  const kind = Object.entries(laneKinds).find(([, at]) => at === Math.floor(lane / priorities))
  if (kind === undefined) throw new RangeError(`no lane ${lane}`)
  return kind[0] as LaneKind
}

/** A claimed task. Ids, xids and keys stay text. */
export interface Task {
  readonly id: string
  readonly lane: number
  /** The id that the work had first. */
  readonly origin: string
  /** Null for kind expand, which concerns whatever reads what changed. */
  readonly materialization: string | null
  readonly kind: 'keys' | 'range' | 'expand'
  /** kind range: after this key (a JSON array; null: from the start), up to that one. */
  readonly rangeFrom: string | null
  readonly rangeTo: string | null
  readonly expandXid: string | null
  readonly walk: string | null
  /** Null: all columns of the definition. */
  readonly columns: readonly string[] | null
  readonly stampDue: boolean
  readonly misses: number
  readonly attempts: number
  readonly why: string
  /** True if keys of the materialization are in quarantine: a success has to free them. */
  readonly freesQuarantine: boolean
}

/** The condition that `t` is this task. */
export function isTask(task: Task): string {
  return `t.lane = ${task.lane} and t.id = ${BigInt(task.id)}`
}

/** All columns that work keeps when it goes from one of pgfresh.task and pgfresh.deferred to the other; its id is another one there. */
export const workColumns =
  'lane, origin, materialization, kind, keys, range_from, range_to, expand_xid, walk, columns, stamp_due, misses, attempts, why, planned_at'

/** Reads a row of the claim statement. */
export function taskFromRow(row: Row): Task {
  const get = (column: string) => row[column] ?? null
  const must = (column: string) => {
    const value = get(column)
    if (value === null) throw new RangeError(`a task without ${column}`)
    return value
  }
  const columns = get('columns')
  return {
    id: must('id'),
    lane: Number(must('lane')),
    origin: must('origin'),
    materialization: get('materialization'),
    kind: must('kind') as Task['kind'],
    rangeFrom: get('range_from'),
    rangeTo: get('range_to'),
    expandXid: get('expand_xid'),
    walk: get('walk'),
    columns: columns === null ? null : (JSON.parse(columns) as string[]),
    stampDue: must('stamp_due') === 't',
    misses: Number(must('misses')),
    attempts: Number(must('attempts')),
    why: must('why'),
    freesQuarantine: must('frees_quarantine') === 't',
  }
}
