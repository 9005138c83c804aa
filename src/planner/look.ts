/**
 * What there is to do, in one cheap statement that takes no lock and no xid: idle daemons run just this.
 */
import type { Session } from '../db/session.ts'
import { text } from '../materialization/store.ts'
import { type LaneKind, laneKinds } from '../queue/task.ts'

/** A walk over all keys of a target. */
export interface Walk {
  readonly id: string
  readonly materialization: string
  /** Its end was reached: all of it is tasks. */
  readonly planned: boolean
  /** And none of these is left. */
  readonly done: boolean
  /** The first one of a new materialization, over all columns. */
  readonly first: boolean
}

/** The state of log and queue, all seen by one snapshot. */
export interface Look {
  readonly epoch: string
  /** Entries of the log past the watermark. */
  readonly news: boolean
  /** The server's clock, as it prints it. */
  readonly at: string
  /** Ms until the next deferred work or quarantined key is due (0: now), or null. */
  readonly dueInMs: number | null
  /** Walks that are not finished. */
  readonly walks: readonly Walk[]
  /** Materializations that fail as a whole. */
  readonly failing: readonly string[]
  /** Ready tasks by kind of work, counted up to 600. */
  readonly ready: Readonly<Record<LaneKind, number>>
  /** task_floor of the newest watermark. */
  readonly floor: readonly string[]
}

/** Ready tasks of changes past which rounds leave the log alone: the log is the durable backlog. */
const changesAhead = 400

/** True if the queue has room for more changes. */
export function hasRoom(seen: Look): boolean {
  return seen.ready.change < changesAhead
}

/** True if it has room for deferred work, too: that may be keys which somebody holds, and must not keep changes out. */
export function hasRoomForDeferred(seen: Look): boolean {
  return seen.ready.change + seen.ready.bulk < changesAhead
}

/** Looks once. */
export async function look(session: Session): Promise<Look> {
  const [row] = await session.rows('select * from pgfresh.look() /* pgfresh: look */')
  if (row === undefined) throw new RangeError('no answer')
  const ready = JSON.parse(text(row, 'ready')) as Record<string, number>
  return {
    epoch: text(row, 'epoch'),
    news: text(row, 'news') === 't',
    at: text(row, 'at'),
    dueInMs: row.due_in === null || row.due_in === undefined ? null : Math.max(0, Number(row.due_in) * 1000),
    walks: JSON.parse(text(row, 'walks')) as Look['walks'],
    failing: JSON.parse(text(row, 'failing')) as string[],
    ready: Object.fromEntries(
      Object.entries(laneKinds).map(([kind, at]) => [kind, ready[String(at)] ?? 0]),
    ) as Record<LaneKind, number>,
    floor: text(row, 'task_floor').slice(1, -1).split(','),
  }
}
