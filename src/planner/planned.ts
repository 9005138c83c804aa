/**
 * When is everything that a snapshot sees planned? First its changes have become work: keys, walks, and expand tasks of huge
 * transactions; then those have made walks and keys of their own. Only then there is a bound on what has to be waited for.
 *
 * Called by whoever waits for changes to be worked off: `run --until-idle` and verify.
 */
import { quoteLiteral } from '../db/identifier.ts'
import type { Row, Session } from '../db/session.ts'
import { begin, tag } from '../db/transaction.ts'
import { text } from '../materialization/store.ts'

/** What was planned by an instant is at or below these ids; work that is put off or split keeps its origin. */
export interface Marks {
  readonly task: string
  readonly walk: string
}

/** Waits for one snapshot, look by look. */
export class Planned {
  readonly #snapshot: string
  /** Expand tasks at or below this id hold changes that the snapshot sees; null: some of these are not work yet. */
  #expanding: string | null = null
  #marks: Marks | null = null

  /** `snapshot`: a pg_snapshot as text. */
  constructor(snapshot: string) {
    this.#snapshot = snapshot
  }

  /** Looks once: null as long as something that the snapshot sees is yet to be planned. Needs no transaction, and leaves none. */
  async marks(session: Session): Promise<Marks | null> {
    this.#expanding ??= await this.#lastTaskOnceRead(session)
    if (this.#expanding !== null) this.#marks ??= await marksOnceExpanded(session, this.#expanding)
    return this.#marks
  }

  /**
   * The newest task's id, if the log holds nothing any more that the snapshot covers and the watermark doesn't. The watermark itself
   * need not move that far: an idle daemon stores none.
   */
  async #lastTaskOnceRead(session: Session): Promise<string | null> {
    const row = await looked(
      session,
      `select pgfresh.at_home(w.snapshot) and not exists (select from pgfresh.unread(w.snapshot, ${quoteLiteral(this.#snapshot)}) r,
          lateral (select from pgfresh.change_log l where l.xid >= r.lo and l.xid < r.hi limit 1) l) as done,
        (select last_value from pgfresh.task_id) as task
      from pgfresh.watermark w order by w.id desc limit 1`,
    )
    return row.done === 't' ? text(row, 'task') : null
  }
}

async function marksOnceExpanded(session: Session, expanding: string): Promise<Marks | null> {
  const open = ['task', 'deferred'].map(
    (table) => `select from pgfresh.${table} where kind = 'expand' and origin <= ${BigInt(expanding)}`,
  )
  // A snapshot that no longer sees the last of them sees the walks it made.
  const row = await looked(
    session,
    `select not exists (${open.join(' union all ')}) as done, (select last_value from pgfresh.task_id) as task,
      (select coalesce(pg_catalog.max(id), 0) from pgfresh.walk) as walk`,
  )
  return row.done === 't' ? { task: text(row, 'task'), walk: text(row, 'walk') } : null
}

async function looked(session: Session, question: string): Promise<Row> {
  const results = await session.run(`${begin({ enable_seqscan: 'off' })} ${question} ${tag('wait')}; commit`)
  const row = results.at(-2)?.[0]
  if (row === undefined) throw new RangeError('there is no watermark')
  return row
}
