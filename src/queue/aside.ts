/**
 * What waits for a resume: work of paused materializations, kept in pgfresh.deferred and due at 'infinity'.
 *
 * Nobody has to know that something was resumed: what is due so and belongs to nothing that is paused is taken back by the next round.
 * So work that a worker puts aside in the same moment, or one that missed the resume, is not forgotten. The same keys are in much of
 * it, and it may wait for long, so it is coalesced: by a round that takes it back, and now and then while it waits.
 */
import type { Session } from '../db/session.ts'
import { begin } from '../db/transaction.ts'
import { text } from '../materialization/store.ts'
import { isTask, type Task, workColumns } from './task.ts'

/** How much a round takes back. */
const takeLimit = 300

/** Keys in one task, at most; fewer if the definition says so. */
const chunk = 500

/** Coalesced while it waits once it is so many rows, and again when it is twice as many as were left. */
const compactFrom = 1_000

/** Keys that are coalesced in one statement, at most: some seconds. */
const compactKeys = 500_000

/** True for work whose keys may be coalesced: nobody held them, none of them failed, and no walk waits for them. */
const isPlain = `kind = 'keys' and walk is null and misses = 0 and attempts = 0`

/** Puts a task of a paused materialization aside, as one statement; it gives no row, and does nothing, if it is not paused (any more). */
export function setAside(task: Task): string {
  return `with aside as (delete from pgfresh.task t using pgfresh.materialization m
      where ${isTask(task)} and m.id = t.materialization and m.paused_at is not null returning t.*)
    insert into pgfresh.deferred (due_at, ${workColumns}) select 'infinity', ${workColumns} from aside returning id`
}

/** Takes back what is paused no more, as a statement of a round. */
export const takeBackSql = `with work as (
    delete from pgfresh.deferred where id in (
      select d.id from pgfresh.materialization m, lateral (
        select id from pgfresh.deferred where due_at = 'infinity' and materialization = m.id order by id limit ${takeLimit} for update skip locked) d
      where m.paused_at is null limit ${takeLimit})
    returning *), ${coalesced('work')}
  insert into pgfresh.task (${workColumns}) select ${workColumns} from coalesced /* pgfresh: resumed */`

/** CTEs that end in \`coalesced\`: the work of the CTE \`from\`, keys that are asked for in the same way once each. */
function coalesced(from: string): string {
  return `key as (
    select w.lane, w.materialization, w.columns, w.stamp_due, w.why, k.key, pg_catalog.min(w.origin) as origin, pg_catalog.min(w.planned_at) as planned_at,
      pg_catalog.row_number() over (partition by w.lane, w.materialization, w.columns, w.stamp_due, w.why order by k.key) as at
    from ${from} w, pg_catalog.jsonb_array_elements(w.keys) k(key) where ${isPlain} group by 1, 2, 3, 4, 5, 6),
  coalesced as (
    select ${workColumns} from ${from} where not (${isPlain}) union all
    select k.lane, pg_catalog.min(k.origin), k.materialization, 'keys', pg_catalog.jsonb_agg(k.key order by k.at), null, null, null, null,
      k.columns, k.stamp_due, 0, 0, k.why, pg_catalog.min(k.planned_at)
    from key k join pgfresh.materialization m on m.id = k.materialization
    group by k.lane, k.materialization, k.columns, k.stamp_due, k.why, (k.at - 1) / least(${chunk}, (m.compiled ->> 'batch')::bigint))`
}

/** Keeps what waits small, however long it does. One per daemon. */
export class AsideCompaction {
  /** By materialization: from how many rows on it is worth while. */
  readonly #from = new Map<string, number>()

  /** One look; what is too much is coalesced. */
  async run(session: Session): Promise<void> {
    const rows = await session.rows(`select m.id, d.rows from pgfresh.materialization m,
        lateral (select pg_catalog.count(*) as rows from pgfresh.deferred where due_at = 'infinity' and materialization = m.id) d
      where m.paused_at is not null /* pgfresh: aside */`)
    const paused = new Set(rows.map((row) => text(row, 'id')))
    for (const id of this.#from.keys()) if (!paused.has(id)) this.#from.delete(id)
    for (const row of rows) {
      const id = text(row, 'id')
      if (Number(text(row, 'rows')) < (this.#from.get(id) ?? compactFrom)) continue
      const results = await session.run(`${begin()} ${compactSql(id)};
        select pg_catalog.count(*) as rows from pgfresh.deferred where due_at = 'infinity' and materialization = ${Number(id)}; commit`)
      const left = Number(results.at(-2)?.[0]?.rows ?? 0)
      this.#from.set(id, Math.max(compactFrom, 2 * left))
    }
  }
}

function compactSql(id: string): string {
  return `with work as (
      delete from pgfresh.deferred where id in (
        select id from pgfresh.deferred where id in (
          select d.id from (
            select id, pg_catalog.sum(pg_catalog.jsonb_array_length(keys)) over (order by id) as upto
            from pgfresh.deferred where due_at = 'infinity' and materialization = ${Number(id)} and ${isPlain}) d
          where d.upto <= ${compactKeys})
        for update skip locked)
      returning *), ${coalesced('work')}
    insert into pgfresh.deferred (due_at, ${workColumns}) select 'infinity', ${workColumns} from coalesced /* pgfresh: aside */`
}
