/**
 * The search for expired rows: a paced walk over each target that has `expires`, by TID ranges, because an index on
 * people's stamps would end HOT updates. One pass takes a quarter of `expires`; where it is, is one number per target.
 * Rows whose stamp is NULL or from the future are found on the way.
 */
import { quoteIdentifier, quoteLiteral } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { setLocal } from '../db/transaction.ts'
import { type Stored, text } from '../materialization/store.ts'
import { laneOf } from '../queue/task.ts'
import { stampIsDue } from '../refresh/due.ts'
import { keyJson } from '../refresh/key.ts'

/** No step is smaller in time or larger in pages: 5,000 pages take 17 ms warm. */
const stepMs = { least: 200, most: 5_000 } as const
const mostPages = 5_000

/** One step of a sweep, ready to be made part of a round. */
export interface SweepStep {
  readonly sql: string
  /** When the next one is due, in ms from now. */
  readonly pauseMs: number
}

/**
 * The next step for a materialization that has `expires`. Reads sizes and the position; call inside the round's transaction.
 * (pg_partition_tree knows nothing of a plain table, so that one is named beside it.)
 */
export async function nextSweepStep(session: Session, stored: Stored, chunk: number): Promise<SweepStep> {
  const { compiled } = stored
  const expires = compiled.expires
  if (expires === null) throw new RangeError(`${compiled.name} does not expire`)
  const results =
    await session.run(`insert into pgfresh.sweep (materialization) values (${Number(stored.id)}) on conflict do nothing;
    select s.relation, s.block, extract(epoch from ${quoteLiteral(expires)}::interval) * 250 as pass_ms,
      coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('relation', r.relid::oid::text,
          'name', (select pg_catalog.format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c
            join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = r.relid),
          'pages', pg_catalog.pg_relation_size(r.relid) / pg_catalog.current_setting('block_size')::bigint) order by r.relid::oid)
        from (select t.relid::oid as relid from pg_catalog.pg_partition_tree(${Number(stored.targetOid)}::oid::regclass) t where t.isleaf
          union select c.oid from pg_catalog.pg_class c where c.oid = ${Number(stored.targetOid)} and c.relkind = 'r') r), '[]') as leaves
    from pgfresh.sweep s where s.materialization = ${Number(stored.id)} /* pgfresh: sweep */`)
  const row = results.at(-1)?.[0]
  if (row === undefined) throw new RangeError('no sweep')
  const leaves = JSON.parse(text(row, 'leaves')) as { relation: string; name: string; pages: number }[]
  const passMs = Number(text(row, 'pass_ms'))
  const pages = leaves.reduce((sum, leaf) => sum + leaf.pages, 0)
  const pauseMs = Math.min(
    Math.max((passMs * mostPages) / Math.max(pages, 1), stepMs.least),
    stepMs.most,
    Math.max(passMs, stepMs.least),
  )
  const stretch = Math.min(Math.ceil((pages * pauseMs) / passMs) + 1, mostPages)
  const at = leaves.findIndex((leaf) => leaf.relation === row.relation)
  const leaf = leaves[Math.max(at, 0)]
  if (leaf === undefined) return { sql: 'select 1', pauseMs }
  const from = at < 0 ? 0 : Number(text(row, 'block'))
  const to = from + stretch
  const next =
    to < leaf.pages
      ? { relation: leaf.relation, block: to }
      : { relation: leaves[Math.max(at, 0) + 1]?.relation ?? null, block: 0 }
  return { sql: stepSql(stored, leaf.name, { from, to }, next, chunk), pauseMs }
}

function stepSql(
  stored: Stored,
  leaf: string,
  pages: { readonly from: number; readonly to: number },
  next: { readonly relation: string | null; readonly block: number },
  chunk: number,
): string {
  const { compiled } = stored
  const stamp = `t.${quoteIdentifier(compiled.stamp)}`
  const parts = compiled.key.map((column) => `t.${quoteIdentifier(column.name)}`)
  return `${setLocal({ search_path: 'pg_catalog, pg_temp' })};
    insert into pgfresh.task (id, origin, lane, materialization, kind, keys, why)
    select c.id, c.id, ${laneOf('expiry', compiled.priority)}, ${Number(stored.id)}, 'keys', c.keys, 'expiry'
    from (select pg_catalog.nextval('pgfresh.task_id') as id, g.keys from (
      select pg_catalog.jsonb_agg(d.key) as keys from (
        select ${keyJson(compiled.key, parts)} as key, pg_catalog.row_number() over () as at from only ${leaf} t
        where t.ctid >= '(${pages.from},0)'::tid and t.ctid < '(${pages.to},0)'::tid
          and (${stampIsDue(compiled, stamp, parts)})) d
      where not exists (select from pgfresh.quarantine q where q.materialization = ${Number(stored.id)} and q.key = d.key)
      group by (d.at - 1) / ${chunk}) g) c;
    update pgfresh.sweep set relation = ${next.relation ?? 'null'}, block = ${next.block}
    where materialization = ${Number(stored.id)} /* pgfresh: sweep ${compiled.target.name.replaceAll('*/', '')} */`
}
