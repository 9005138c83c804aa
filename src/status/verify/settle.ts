/**
 * Waits until what a comparison saw has been worked off, so that a change on its way isn't taken for drift.
 *
 * The gate of a comparison opens in two steps: every change visible in its snapshot has become work, and all work that was planned
 * by then is gone. What still differs after that, and did not move, stays wrong. Called by verify.ts.
 */
import { quoteLiteral } from '../../db/identifier.ts'
import type { Session } from '../../db/session.ts'
import { begin, tag } from '../../db/transaction.ts'
import { text } from '../../materialization/store.ts'

/** What was planned by an instant is at or below these ids; work that is put off or split keeps its origin. */
interface Marks {
  readonly task: string
  readonly walk: string
}

/** What one comparison waits for. */
export class Gate {
  readonly #materialization: string
  readonly #snapshot: string
  #marks: Marks | null = null

  /** `snapshot`: that of the comparison. */
  constructor(materialization: string, snapshot: string) {
    this.#materialization = materialization
    this.#snapshot = snapshot
  }

  /** True once everything visible in the comparison has been worked off. */
  async isOpen(session: Session): Promise<boolean> {
    this.#marks ??= await marksBehind(session, this.#snapshot)
    return this.#marks !== null && !(await isWorkLeft(session, this.#materialization, this.#marks))
  }
}

/**
 * The newest ids, if the log holds nothing any more that the snapshot covers and the watermark doesn't; else null. The watermark
 * itself need not move that far: an idle daemon stores none.
 */
async function marksBehind(session: Session, snapshot: string): Promise<Marks | null> {
  const results = await session.run(`${begin({ enable_seqscan: 'off' })}
    select exists (select from (select snapshot from pgfresh.watermark order by id desc limit 1) w,
        pgfresh.unread(w.snapshot, ${quoteLiteral(snapshot)}) r, pgfresh.change_log l where l.xid >= r.lo and l.xid < r.hi) as news,
      (select last_value from pgfresh.task_id) as task,
      (select coalesce(pg_catalog.max(id), 0) from pgfresh.walk) as walk ${tag('verify: wait')};
    commit`)
  const row = results.at(-2)?.[0]
  if (row === undefined) throw new RangeError('a select without FROM gave no row')
  return row.news === 't' ? null : { task: text(row, 'task'), walk: text(row, 'walk') }
}

async function isWorkLeft(
  session: Session,
  materialization: string,
  { task, walk }: Marks,
): Promise<boolean> {
  const [row] = await session.rows(
    `select exists (
       select from pgfresh.task where origin <= $2::bigint and (materialization = $1::integer or kind = 'expand')
       union all
       select from pgfresh.deferred where origin <= $2::bigint and (materialization = $1::integer or kind = 'expand')
       union all
       select from pgfresh.walk where id <= $3::bigint and materialization = $1::integer and finished_at is null
     )::text as left ${tag('verify: wait')}`,
    [materialization, task, walk],
  )
  return row?.left === 'true'
}
