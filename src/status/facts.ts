/**
 * What pgfresh's bookkeeping says, read in one statement: one snapshot, so that no change is missed between two looks.
 *
 * No target and no source is ever read. Reads of the log and of the queue are bounded whatever their size: the log by ranges of
 * xids above the watermark and a limit, the queue by its floors [B1, C1]. Called by report.ts.
 */
import type { Session } from '../db/session.ts'
import { begin, tag } from '../db/transaction.ts'
import type { CaptureShape, Compiled } from '../materialization/compiled.ts'
import { text } from '../materialization/store.ts'
import { laneCount } from '../queue/task.ts'
import { type ViewFacts, viewsSelect } from './view-facts.ts'

/** Entries of the log and keys in quarantine are counted up to here; beyond, a count is an estimate. */
export const countLimit = 10_000

/** Ages are in milliseconds, as of the snapshot. Ids are text. */
export interface Facts {
  /** ISO 8601. */
  readonly at: string
  readonly watermarkAgeMs: number
  /** Entries that no round has read yet, and those of huge transactions that wait to be expanded. Null target: no request. */
  readonly unread: readonly {
    readonly capture: string
    readonly mask: number
    readonly op: string
    readonly target: string | null
    readonly entries: number
  }[]
  readonly work: readonly {
    readonly materialization: string | null
    readonly lane: number
    readonly walk: string | null
    readonly tasks: number
    readonly keys: number
    readonly ranges: number
    readonly oldestAgeMs: number
  }[]
  readonly walks: readonly {
    readonly id: string
    readonly materialization: string
    readonly why: string
    readonly columns: readonly string[] | null
    readonly rowsPlanned: number
    /** 0: the catalog has no statistics of the target. */
    readonly rowsEstimated: number
    /** True: all its rows are planned, so rowsPlanned is how many there are. */
    readonly planned: boolean
    readonly ageMs: number
    /** Of its batches in the last two minutes, as the execution history has them: batches, rows, and since when. */
    readonly recent: { readonly batches: number; readonly rows: number; readonly ms: number }
  }[]
  readonly daemons: readonly {
    readonly id: string
    readonly host: string
    readonly pid: number
    readonly version: string
    readonly upMs: number
    readonly beatAgeMs: number
    readonly caughtUpAgeMs: number | null
  }[]
  readonly captures: readonly { readonly id: string; readonly source: string; readonly shape: CaptureShape }[]
  readonly materializations: readonly MaterializationFacts[]
  readonly views: readonly ViewFacts[]
  /** Tables with a column materialized_at that no definition declares. */
  readonly undeclared: readonly string[]
}

/** One materialization as stored, with what happened to it. */
export interface MaterializationFacts {
  readonly id: string
  readonly project: string
  /** As this session would write it; null: the table is gone. */
  readonly target: string | null
  readonly targetOid: string
  readonly compiled: Compiled
  readonly freshnessMs: number | null
  /** ISO 8601; null: it is not paused. */
  readonly pausedAt: string | null
  readonly error: string | null
  readonly errorAgeMs: number | null
  readonly quarantined: number
  readonly quarantineError: { readonly key: string; readonly error: string; readonly ageMs: number } | null
  readonly successAgeMs: number | null
}

/** Reads the facts of one project, or of all. */
export async function readFacts(session: Session, project: string | null): Promise<Facts> {
  try {
    // The log has no statistics by design: its indexes are used whatever the planner would guess.
    await session.run(`${begin({ enable_seqscan: 'off' })}`)
    const [row] = await session.rows(factsSql, [project])
    await session.run('commit')
    if (row === undefined) throw new RangeError('pgfresh.watermark has no row')
    return JSON.parse(text(row, 'facts')) as Facts
  } catch (error) {
    await session.rollback()
    throw error
  }
}

const age = (instant: string) => `(extract(epoch from pg_catalog.now() - ${instant}) * 1000)::float8`

/** A subselect as a JSON array; `[]` without rows. */
const list = (select: string) =>
  `(select coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(e)), '[]') from (${select}) e)`

const unread = `
  select l.capture::text as capture, l.mask, l.op::text as op,
    case when l.op = 'R' then l.new_row ->> 'target' end as target, pg_catalog.count(*) as entries
  from (
    select c.* from (
      select lo, hi from mark, pgfresh.unread(mark.snapshot, pg_catalog.pg_current_snapshot())
      union all select w.expand_xid, (w.expand_xid::text::numeric + 1)::text::xid8 from work w where w.kind = 'expand'
    ) r, lateral (select * from pgfresh.change_log c where c.xid >= r.lo and c.xid < r.hi limit ${countLimit + 1}) c
    limit ${countLimit + 1}
  ) l group by 1, 2, 3, 4`

const work = `
  select w.materialization::text as materialization, w.lane, w.walk::text as walk, pg_catalog.count(*) as tasks,
    coalesce(pg_catalog.sum(pg_catalog.jsonb_array_length(w.keys)), 0) as keys,
    pg_catalog.count(*) filter (where w.kind = 'range') as ranges,
    ${age('pg_catalog.min(w.planned_at)')} as "oldestAgeMs"
  from work w group by w.materialization, w.lane, w.walk`

const walks = `
  select w.id::text as id, w.materialization::text as materialization, w.why, pg_catalog.to_jsonb(w.columns) as columns,
    w.rows_planned as "rowsPlanned", w.rows_estimated as "rowsEstimated", w.planned_at is not null as planned, ${age('w.created_at')} as "ageMs",
    (select pg_catalog.jsonb_build_object('batches', coalesce(pg_catalog.sum(x.batches), 0), 'rows', coalesce(pg_catalog.sum(x.rows_checked), 0),
        'ms', coalesce(${age('pg_catalog.min(x.started_at)')}, 0))
      from pgfresh.execution x where x.materialization = w.materialization and x.why = w.why and x.outcome = 'done'
        and x.ended_at > pg_catalog.now() - interval '2 minutes' and x.ended_at >= w.created_at) as recent
  from pgfresh.walk w where w.finished_at is null order by w.id`

const daemons = `
  select id, host, pid, version, ${age('started_at')} as "upMs", ${age('beat_at')} as "beatAgeMs",
    ${age('caught_up_at')} as "caughtUpAgeMs"
  from pgfresh.daemon order by started_at, id`

const materializations = `
  select m.id::text as id, m.project, case when c.oid is not null then m.target::pg_catalog.regclass::text end as target,
    m.target::text as "targetOid", m.compiled,
    (extract(epoch from (m.compiled ->> 'freshness')::interval) * 1000)::float8 as "freshnessMs",
    m.paused_at as "pausedAt", m.error, ${age('m.error_at')} as "errorAgeMs",
    (select pg_catalog.count(*) from (select from pgfresh.quarantine q where q.materialization = m.id limit ${countLimit + 1}) q) as quarantined,
    (select pg_catalog.jsonb_build_object('key', q.key::text, 'error', q.error, 'ageMs', ${age('q.last_failed_at')})
      from pgfresh.quarantine q where q.materialization = m.id order by q.last_failed_at desc limit 1) as "quarantineError",
    (select ${age('x.ended_at')} from pgfresh.execution x where x.materialization = m.id and x.outcome = 'done'
      order by x.ended_at desc limit 1) as "successAgeMs"
  from pgfresh.materialization m left join pg_catalog.pg_class c on c.oid = m.target
  where $1::text is null or m.project = $1
  order by m.project, 3, m.id`

const views = viewsSelect('$1::text is null or d.project = $1')

const undeclared = `
  select c.oid::pg_catalog.regclass::text as name
  from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where a.attname = 'materialized_at' and not a.attisdropped and c.relkind in ('r', 'p') and not c.relispartition
    and n.nspname <> 'pgfresh' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (select from pgfresh.materialization m where m.target = c.oid and m.stamp = 'materialized_at')
  order by 1`

const factsSql = `
with mark as materialized (select snapshot, task_floor, created_at from pgfresh.watermark order by id desc limit 1),
work as materialized (
  select t.materialization, t.lane, t.kind, t.keys, t.expand_xid, t.walk, t.planned_at
  from mark, pg_catalog.generate_series(0, ${laneCount - 1}) l(at),
    lateral (select * from pgfresh.task t where t.lane = l.at::smallint and t.id > coalesce(mark.task_floor[l.at + 1], 0)) t
  union all
  select d.materialization, d.lane, d.kind, d.keys, d.expand_xid, d.walk, d.planned_at from pgfresh.deferred d
)
select pg_catalog.jsonb_build_object(
  'at', pg_catalog.now(),
  'watermarkAgeMs', ${age('mark.created_at')},
  'unread', ${list(unread)},
  'work', ${list(work)},
  'walks', ${list(walks)},
  'daemons', ${list(daemons)},
  'captures', ${list('select id::text as id, source::text as source, shape from pgfresh.capture')},
  'materializations', ${list(materializations)},
  'views', ${list(views)},
  'undeclared', (select coalesce(pg_catalog.jsonb_agg(u.name), '[]') from (${undeclared}) u)
) as facts
from mark ${tag('status')}`
