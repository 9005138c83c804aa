/**
 * Statements of a round that keep the ready queue filled: deferred work whose time has come, quarantined keys to try
 * again, and the next stretch of each walk.
 */
import { quoteLiteral, quoteQualified } from '../db/identifier.ts'
import type { Stored } from '../materialization/store.ts'
import { laneOf, workColumns } from '../queue/task.ts'
import { keyColumns, keyJson, keyPlaces, keyRow } from '../refresh/key.ts'

/** How much deferred work one round moves. */
const moveLimit = 300

/** Moves deferred work whose time has come. */
export const moveDueSql = `with due as (
    delete from pgfresh.deferred where id in (
      select id from pgfresh.deferred where due_at <= pg_catalog.clock_timestamp() order by due_at limit ${moveLimit} for update skip locked)
    returning *)
  insert into pgfresh.task (${workColumns}) select ${workColumns} from due order by due_at, id /* pgfresh: due */`

/** Tries quarantined keys again; the time of the next try is set by the next failure, or here if nothing comes of it. */
export const retryQuarantineSql = `with due as (
    update pgfresh.quarantine q set retry_at = pg_catalog.clock_timestamp() + interval '1 hour'
    from (select materialization, key from pgfresh.quarantine where retry_at <= pg_catalog.clock_timestamp()
        and materialization <> all (array(select id from pgfresh.materialization where paused_at is not null))
      order by retry_at limit ${moveLimit} for update skip locked) d
    where q.materialization = d.materialization and q.key = d.key
    returning q.materialization, q.key, q.columns)
  insert into pgfresh.task (id, origin, lane, materialization, kind, keys, columns, why)
  select t.id, t.id, t.lane, t.materialization, 'keys', pg_catalog.jsonb_build_array(t.key), t.columns, 'retry'
  from (select pg_catalog.nextval('pgfresh.task_id') as id, due.*, ${laneOf('expiry', 0)} - (m.compiled ->> 'priority')::integer as lane
    from due join pgfresh.materialization m on m.id = due.materialization) t /* pgfresh: retry */`

/** Turns the next stretch of a walk, `tasks` times `chunk` rows at most, into range tasks; at the end says so. */
export function stretchSql(stored: Stored, walk: string, chunk: number, tasks: number): string {
  const { compiled } = stored
  const { key } = compiled
  const target = quoteQualified(compiled.target.schema, compiled.target.name)
  const id = BigInt(walk)
  const cursor = `(select cursor from pgfresh.walk where id = ${id})`
  // A null cursor must not make the row comparison null, or a fresh walk would find nothing.
  const stretch = (after: string) =>
    `select ${keyColumns(key, 't', true)} from ${target} t ${after} order by ${keyColumns(key, 't')} limit ${chunk * tasks}`
  const places = key.map((_, at) => `p.k${at + 1}`)
  return `with stretch as materialized (
      (${stretch(`where ${cursor} is null`)}) union all
      (${stretch(`where ${cursor} is not null and row(${keyColumns(key, 't')}) > ${keyRow(key, cursor)}`)})),
    page as materialized (select s.*, pg_catalog.row_number() over (order by ${keyPlaces(key, 's')}) as at from stretch s),
    edge as materialized (select p.at, ${keyJson(key, places)} as key from page p
      where p.at % ${chunk} = 0 or p.at = (select pg_catalog.max(at) from page)),
    task as (insert into pgfresh.task (id, origin, lane, materialization, kind, range_from, range_to, walk, columns, stamp_due, why)
      select e.id, e.id, ${laneOf('backfill', compiled.priority)}, w.materialization, 'range', coalesce(e.after, w.cursor), e.key, w.id, w.columns, w.stamp_due, w.why
      from (select pg_catalog.nextval('pgfresh.task_id') as id, d.* from (
        select edge.*, pg_catalog.lag(key) over (order by at) as after from edge order by at) d) e, pgfresh.walk w where w.id = ${id})
    update pgfresh.walk w set
      cursor = coalesce((select key from edge order by at desc limit 1), w.cursor),
      rows_planned = w.rows_planned + (select pg_catalog.count(*) from page),
      rows_estimated = case when w.rows_planned > 0 then w.rows_estimated else
        greatest((select sum(greatest(c.reltuples, 0)) from pg_catalog.pg_class c
          where c.oid = ${Number(stored.targetOid)} or c.oid in (select relid from pg_catalog.pg_partition_tree(${Number(stored.targetOid)}::oid::regclass) where isleaf)), 0)::bigint end,
      planned_at = case when (select pg_catalog.count(*) from page) < ${chunk * tasks} then pg_catalog.now() end
    where w.id = ${id} /* pgfresh: walk ${compiled.target.name.replaceAll('*/', '')} */`
}

/** Walks whose end was reached: those asked for again start over, those with no task left are finished. */
export const finishWalksSql = `update pgfresh.walk w set
    again = false,
    cursor = case when w.again then null else w.cursor end,
    rows_planned = case when w.again then 0 else w.rows_planned end,
    planned_at = case when w.again then null else w.planned_at end,
    finished_at = case when w.again then null else pg_catalog.now() end
  where w.finished_at is null and w.planned_at is not null
    and not exists (select from pgfresh.task t where t.walk = w.id) and not exists (select from pgfresh.deferred d where d.walk = w.id)
  /* pgfresh: finish walks */`

/** Stores the watermark, by compare-and-set on the id of the one that the round began with. */
export function storeWatermarkSql(previous: bigint, upto: string): string {
  return `select pgfresh.store_watermark(${previous}, ${quoteLiteral(upto)})`
}

/** Which of the two slots a watermark's row goes to: they take turns, so that the other one can be emptied. */
export function watermarkSlot(id: bigint): 0 | 1 {
  return (id >> 14n) & 1n ? 1 : 0
}
