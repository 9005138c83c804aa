/**
 * Until when `run --until-idle` runs: everything that was committed before it started is fresh, chains included.
 *
 * Exact, and it ends under writers that never stop: a generation waits until the watermark covers a snapshot and all
 * work planned until then is done; what that wrote is the next generation, and there are as many as the longest chain has links.
 * What is paused is not waited for.
 */
import { noticeParts } from '../capture/parts.ts'
import type { Session } from '../db/session.ts'
import { chainDepths } from '../materialization/chains.ts'
import { type Catalogue, text } from '../materialization/store.ts'
import { Planned } from '../planner/planned.ts'
import { dueViewsDone } from './idle-views.ts'

/** What is left when nothing more can be done. */
export interface Remainder {
  /** Keys in quarantine. */
  readonly quarantined: number
  /** Materializations that fail as a whole, whose work waits, and views that fail. */
  readonly failing: readonly string[]
  /** Materializations that are paused and have work waiting. */
  readonly paused: readonly string[]
}

/** Between two looks. */
const lookMs = 25

/**
 * Waits (with `sleep`) until all is done that was committed before the call, and views that are due have had their attempt;
 * `catalogue` gives the stored definitions.
 */
export async function untilIdle(
  session: Session,
  catalogue: () => Catalogue,
  sleep: (ms: number) => Promise<void>,
  signal: AbortSignal,
): Promise<Remainder> {
  while (!signal.aborted && !(await noticeParts(session))) await sleep(lookMs)
  await changesDone(session, catalogue, sleep, signal)
  // A refreshed view is a change for what reads it.
  if (await dueViewsDone(session, sleep, signal)) await changesDone(session, catalogue, sleep, signal)
  const [left] =
    await session.rows(`select (select pg_catalog.count(*) from pgfresh.quarantine) as quarantined,
    coalesce((select pg_catalog.jsonb_agg(f.name) from (
      select m.name from pgfresh.materialization m where m.error is not null
      union all select s.name from pgfresh.view_schedule() s where s.enabled and s.error is not null) f), '[]') as failing,
    coalesce((select pg_catalog.jsonb_agg(m.name) from pgfresh.materialization m where m.paused_at is not null
      and (exists (select from pgfresh.deferred d where d.materialization = m.id)
        or exists (select from pgfresh.walk w where w.materialization = m.id and w.finished_at is null))), '[]') as paused`)
  if (left === undefined) throw new RangeError('no answer')
  return {
    quarantined: Number(text(left, 'quarantined')),
    failing: JSON.parse(text(left, 'failing')) as string[],
    paused: JSON.parse(text(left, 'paused')) as string[],
  }
}

async function changesDone(
  session: Session,
  catalogue: () => Catalogue,
  sleep: (ms: number) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (
    let generation = 0;
    generation <= Math.max(0, ...chainDepths(catalogue()).values()) && !signal.aborted;
    generation += 1
  ) {
    const [now] = await session.rows('select pg_catalog.pg_current_snapshot() as snapshot')
    if (now === undefined) throw new RangeError('no snapshot')
    const planned = new Planned(text(now, 'snapshot'))
    let marks = await planned.marks(session)
    while (marks === null && !signal.aborted) {
      await sleep(lookMs)
      marks = await planned.marks(session)
    }
    if (marks === null) return
    const bounds = [marks.task, marks.walk]
    const open = `select exists (
      select from (select materialization, origin from pgfresh.task union all select materialization, origin from pgfresh.deferred) t
        left join pgfresh.materialization m on m.id = t.materialization where t.origin <= $1::bigint and m.error is null and m.paused_at is null
      union all select from pgfresh.walk w join pgfresh.materialization m on m.id = w.materialization
        where w.finished_at is null and w.id <= $2::bigint and m.error is null and m.paused_at is null) as found`
    const isDone = async () => (await session.rows(open, bounds))[0]?.found === 'f'
    while (!signal.aborted && !(await isDone())) await sleep(lookMs)
  }
}
