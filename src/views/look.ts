/**
 * Which views are due: reads the schedule, after what people's rows say was settled, without waiting for anybody's lock.
 *
 * Any number of daemons do this at once: what is written is the same whoever writes it. Called by daemon/view-loop.ts and idle-views.ts.
 */
import type { Row, Session } from '../db/session.ts'
import { begin, tag } from '../db/transaction.ts'
import { text } from '../materialization/store.ts'
import { startDelayMs } from './reckon.ts'
import { settleColumns, settleSql } from './settle.ts'
import { show } from './show.ts'

/** A view that is due. Moments are text, as the server printed them, to be compared with what is stored. */
export interface DueView {
  readonly schedule: string
  /** As the schedule's row names it. */
  readonly name: string
  readonly oid: string
  readonly populated: boolean
  readonly rebuild: boolean
  readonly attemptedAt: string | null
  readonly nextAt: string | null
  readonly failures: number
  readonly requested: boolean
}

/** What the schedule says now. */
export interface ViewLook {
  /** What is due for longest first; a request is as urgent as what is due for a minute. */
  readonly due: readonly DueView[]
  /** When the next one is due, in ms from now; Infinity: none is. */
  readonly dueInMs: number
}

/** Reads the schedule, after what people changed in it was settled. */
export async function lookAtViews(session: Session): Promise<ViewLook> {
  const rows = (await settled(session)).map((row) => ({ row, inMs: startsInMs(row) }))
  const due = rows.filter(({ inMs }) => inMs <= 0)
  const waits = rows.flatMap(({ inMs }) => (inMs > 0 ? [inMs] : []))
  return {
    due: due.sort((a, b) => urgency(a.row) - urgency(b.row)).map(({ row }) => dueView(row)),
    dueInMs: Math.ceil(Math.min(Number.POSITIVE_INFINITY, ...waits)),
  }
}

/** The schedule's rows, none of which says anything that isn't settled. */
async function settled(session: Session): Promise<readonly Row[]> {
  const rows = await read(session)
  const statements = rows.flatMap(settleSql)
  if (statements.length === 0) return rows
  await session.run(`${begin()} ${statements.join(';\n')}; commit`)
  await show(session)
  return await read(session)
}

async function read(session: Session): Promise<readonly Row[]> {
  const results = await session.run(`${begin()} ${lookSql}; commit`)
  return results.at(-2) ?? []
}

// In the order of ids, so that two daemons that settle the same rows don't wait for each other.
const lookSql = `select s.*, s.requested_at is not null as requested, ${settleColumns},
    case when pg_catalog.isfinite(s.due_at) then extract(epoch from s.due_at - pg_catalog.clock_timestamp()) * 1000
      when s.due_at < pg_catalog.now() then -1e15 end as due_in_ms,
    case when s.due_at = s.next_at and pg_catalog.isfinite(s.next_at) then extract(epoch from s.next_at) * 1000 end as next_ms
  from pgfresh.view_schedule() s
  join pgfresh.materialized_view_refresh_schedule r on r.id = s.schedule
  left join pgfresh.view_state v on v.schedule = s.schedule order by s.schedule ${tag('views')}`

/** In how many ms a view's next attempt may start: not more than 0, now; Infinity: not by itself. */
function startsInMs(row: Row): number {
  if (row.due_in_ms == null) return Number.POSITIVE_INFINITY
  const dueInMs = Number(row.due_in_ms)
  return dueInMs > 0 ? dueInMs : startDelayMs(row, Number(text(row, 'now_ms')))
}

/** How much longer than others a request counts as being due, in ms. Not for ever: somebody who asks and asks must not starve the others. */
const requestLeadMs = 60_000

function urgency(row: Row): number {
  return Number(row.due_in_ms) - (row.requested === 't' ? requestLeadMs : 0)
}

function dueView(row: Row): DueView {
  return {
    schedule: text(row, 'schedule'),
    name: text(row, 'name'),
    oid: text(row, 'view'),
    populated: row.populated === 't',
    rebuild: row.rebuild === 't',
    attemptedAt: row.attempted_at ?? null,
    nextAt: row.next_at ?? null,
    failures: Number(row.failures),
    requested: row.requested === 't',
  }
}
