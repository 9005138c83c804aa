/**
 * Until when `run --until-idle` runs: everything that was committed before it started is fresh, chains included.
 *
 * Exact, and it ends under writers that never stop: a generation waits until the watermark covers a snapshot and all
 * work planned until then is done; what that wrote is the next generation, and there are as many as the longest chain has links.
 */
import { covers, parseSnapshot } from '../capture/snapshot.ts'
import type { Session } from '../db/session.ts'
import { chainDepths } from '../materialization/chains.ts'
import { type Catalogue, text } from '../materialization/store.ts'

/** What is left when nothing more can be done. */
export interface Remainder {
  /** Keys in quarantine. */
  readonly quarantined: number
  /** Materializations that fail as a whole; their work waits. */
  readonly failing: readonly string[]
}

/** Between two looks. */
const lookMs = 25

/** Waits (with `sleep`) until all is done that was committed before the call; `catalogue` gives the stored definitions. */
export async function untilIdle(
  session: Session,
  catalogue: () => Catalogue,
  sleep: (ms: number) => Promise<void>,
  signal: AbortSignal,
): Promise<Remainder> {
  for (
    let generation = 0;
    generation <= Math.max(0, ...chainDepths(catalogue()).values()) && !signal.aborted;
    generation += 1
  ) {
    const [now] = await session.rows(
      'select pg_catalog.pg_current_snapshot() as snapshot, (select max(id) from pgfresh.walk) as walk',
    )
    if (now === undefined) throw new RangeError('no snapshot')
    const wanted = parseSnapshot(text(now, 'snapshot'))
    const isCovered = async () => {
      const [row] = await session.rows(
        `select w.snapshot as watermark, pgfresh.at_home(w.snapshot) as home,
          exists (select from pgfresh.unread(w.snapshot, $1::pg_snapshot) r,
            lateral (select from pgfresh.change_log l where l.xid >= r.lo and l.xid < r.hi limit 1) l) as news
        from pgfresh.watermark w order by w.id desc limit 1`,
        [text(now, 'snapshot')],
      )
      if (row === undefined || row.home !== 't') return false
      return row.news === 'f' || covers(parseSnapshot(text(row, 'watermark')), wanted)
    }
    while (!signal.aborted && !(await isCovered())) await sleep(lookMs)
    // Expand tasks first: they make walks and keys of their own.
    const [last] = await session.rows('select last_value as task from pgfresh.task_id')
    const expanding = `select exists (select from pgfresh.task where kind = 'expand' and origin <= $1::bigint
      union all select from pgfresh.deferred where kind = 'expand' and origin <= $1::bigint) as found`
    const isExpanded = async () => (await session.rows(expanding, [last?.task ?? '0']))[0]?.found === 'f'
    while (!signal.aborted && !(await isExpanded())) await sleep(lookMs)
    const [bound] = await session.rows(
      'select last_value as task, (select max(id) from pgfresh.walk) as walk from pgfresh.task_id',
    )
    if (bound === undefined) throw new RangeError('no sequence')
    const open = `select exists (
      select from (select materialization, origin from pgfresh.task union all select materialization, origin from pgfresh.deferred) t
        left join pgfresh.materialization m on m.id = t.materialization where t.origin <= $1::bigint and m.error is null
      union all select from pgfresh.walk w join pgfresh.materialization m on m.id = w.materialization
        where w.finished_at is null and w.id <= $2::bigint and m.error is null) as found`
    const isDone = async () =>
      (await session.rows(open, [text(bound, 'task'), bound.walk ?? '0']))[0]?.found === 'f'
    while (!signal.aborted && !(await isDone())) await sleep(lookMs)
  }
  const [left] =
    await session.rows(`select (select pg_catalog.count(*) from pgfresh.quarantine) as quarantined,
    coalesce((select pg_catalog.jsonb_agg(name) from pgfresh.materialization where error is not null), '[]') as failing`)
  if (left === undefined) throw new RangeError('no answer')
  return {
    quarantined: Number(text(left, 'quarantined')),
    failing: JSON.parse(text(left, 'failing')) as string[],
  }
}
