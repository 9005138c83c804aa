/**
 * Statements of a round that make work out of what it read: key tasks from routes and requests, walks for "all".
 * SQL text for the round's own transaction (or, for a huge transaction's expand task, the worker's).
 */
import { changedSql, type Entries, entriesSql } from '../capture/changed.ts'
import { routeMask } from '../capture/shape.ts'
import { quoteIdentifier, quoteLiteral, textArray } from '../db/identifier.ts'
import { setLocal, tag } from '../db/transaction.ts'
import type { Route } from '../materialization/compiled.ts'
import type { Stored, StoredCapture } from '../materialization/store.ts'
import { laneOf } from '../queue/task.ts'
import { keyJson, keyPlaces, keyRow } from '../refresh/key.ts'

/** The capture id of what pgfresh.refresh() logs. */
export const requestCapture = '0'

/**
 * Where key tasks go: a round fills the queue, or puts aside what waits until it is resumed; a worker, who must not, leaves them to
 * the next round [C1].
 */
export type Destination =
  | { readonly kind: 'queue' }
  | { readonly kind: 'aside' }
  | { readonly kind: 'deferred'; readonly origin: string }

/** One route over the entries of one capture. */
export interface Routing {
  readonly stored: Stored
  readonly route: Route
  readonly capture: StoredCapture
  readonly entries: Entries
  /** Keys in one task at most. */
  readonly chunk: number
  readonly destination: Destination
  /** The materialization's first walk may be under way: keys that it has yet to reach need no task. */
  readonly firstWalk: boolean
}

/** True if entries of this capture carry what the route needs; else all keys must be taken (an apply raced the log). */
export function canRoute(route: Route, capture: StoredCapture): boolean {
  const logged = new Set(capture.shape.logs.map((column) => column.name))
  return route.kind !== 'all' && route.logs.every((name) => logged.has(name))
}

/** Runs the route in a fresh snapshot and puts the distinct keys it names into tasks (invariant 2). */
export function routeSql(routing: Routing): string {
  const { stored, route, capture, entries, chunk, destination } = routing
  const { compiled } = stored
  const { key } = compiled
  const names = key.map((column, at) => {
    const name = route.kind === 'key' ? route.logs[at] : column.name
    if (name === undefined)
      throw new RangeError(`route of ${compiled.name} over ${route.source.name} names too few columns`)
    return quoteIdentifier(name)
  })
  const found = route.kind === 'key' ? '"changed"' : `(${route.via ?? ''}\n)`
  const distinct = `select distinct ${key.map((column, at) => `r.${names[at]}::${column.type} as k${at + 1}`).join(', ')}
      from ${found} r where ${names.map((name) => `r.${name} is not null`).join(' and ')}`
  const keys =
    routing.firstWalk && key.every((column) => ordersAlike.test(column.type))
      ? `select * from (${distinct}) d where ${notYetReached(stored)}`
      : distinct
  const columns = route.columns === null ? 'null' : quoteLiteral(textArray(route.columns))
  const places = key.map((_, at) => `n.k${at + 1}`)
  const lane = laneOf(destination.kind === 'deferred' ? 'bulk' : 'change', compiled.priority)
  const because = quoteLiteral(`change of ${route.source.schema}.${route.source.name}`)
  return `${setLocal(compiled.settings)};
    with "changed" as (${changedSql(capture, routeMask(capture.shape, route), entries)})
    ${insertInto(destination)}, lane, materialization, kind, keys, columns, why)
    select ${placeIn(destination)}, ${lane}, ${Number(stored.id)}, 'keys', c.keys, ${columns}::text[], ${because}
    from (select pg_catalog.nextval('pgfresh.task_id') as id, g.keys from (
      select pg_catalog.jsonb_agg(${keyJson(key, places)} order by n.at) as keys
      from (select k.*, pg_catalog.row_number() over (order by ${keyPlaces(key, 'k')}) as at from (${keys}) k) n
      group by (n.at - 1) / ${chunk} order by pg_catalog.min(n.at)) g) c
    ${tag(`route ${compiled.target.schema}.${compiled.target.name} from ${route.source.schema}.${route.source.name}`)}`
}

/** Types that have one order everywhere. Text is walked in its column's collation, which a key from the log has not. */
const ordersAlike =
  /^(smallint|integer|bigint|uuid|date|numeric(\(.*\))?|timestamp(\(\d\))? with(out)? time zone)$/

/**
 * True for a key (k1, … of `d`) that no first walk has yet to reach: one that it will reach is computed then anyway, in a
 * newer snapshot. Without this the backfill of one link of a chain makes the next link compute each key over and over.
 */
function notYetReached({ id, compiled }: Stored): string {
  const beyond = `row(${keyPlaces(compiled.key, 'd')}) > ${keyRow(compiled.key, 'w.cursor')}`
  return `not exists (select from pgfresh.walk w where w.materialization = ${Number(id)} and w.why = 'new' and w.columns is null
    and w.finished_at is null and w.planned_at is null and (w.cursor is null or ${beyond}))`
}

/** Asks for a walk over all keys: none is added where one that has not begun will do, one under way starts over at its end. */
export function walkSql(
  ids: string,
  why: string,
  options: { readonly columns?: string; readonly stampDue?: boolean } = {},
): string {
  const columns = options.columns ?? 'null::text[]'
  const stampDue = options.stampDue ?? false
  // Locked first: a walk that another round is just finishing is none that could start over.
  return `with wanted as materialized (${ids}),
    open as materialized (select w.* from pgfresh.walk w join wanted on wanted.id = w.materialization
      where w.finished_at is null and w.columns is not distinct from ${columns} for update of w),
    again as (update pgfresh.walk w set again = true from open
      where w.id = open.id and (open.cursor is not null or open.planned_at is not null))
    insert into pgfresh.walk (materialization, why, columns, stamp_due)
    select wanted.id, ${quoteLiteral(why)}, ${columns}, ${stampDue} from wanted
    where not exists (select from open where open.materialization = wanted.id and open.stamp_due >= ${stampDue})`
}

/** Keys of a request in one task at most; fewer if the definition says so. */
const requestChunk = 500

/** What pgfresh.refresh() asked for: named keys at the priority of changes, whole targets as walks, views by a prompt to whoever refreshes them. */
export function requestsSql(entries: Entries, destination: Destination): string {
  const asked = `${entriesSql(requestCapture, 0, entries)} r
    join pgfresh.materialization m on m.target = (r.new_row ->> 'target')::oid
    cross join lateral (select case when r.new_row -> 'columns' = 'null' then null else array(
      select c ->> 'name' from pg_catalog.jsonb_array_elements(m.compiled -> 'columns') c where r.new_row -> 'columns' ? (c ->> 'name')) end as names) of_columns`
  const concerns = `(names is null or names <> '{}')`
  return `${insertInto(destination)}, lane, materialization, kind, keys, columns, stamp_due, why)
    select ${placeIn(destination)}, 9 - c.priority, c.materialization, 'keys', c.keys, c.names, true, 'request'
    from (select pg_catalog.nextval('pgfresh.task_id') as id, g.* from (
      select m.id as materialization, (m.compiled ->> 'priority')::integer as priority, names, pg_catalog.jsonb_agg(k.key order by k.at) as keys
      from ${asked}, pg_catalog.jsonb_array_elements(nullif(r.new_row -> 'keys', 'null')) with ordinality k(key, at)
      where ${concerns} group by r.new_row, m.id, names, (k.at - 1) / least(${requestChunk}, (m.compiled ->> 'batch')::bigint)) g) c;
    with asked as materialized (select distinct m.id, names from ${asked} where r.new_row -> 'keys' = 'null' and ${concerns}),
    open as materialized (select w.* from pgfresh.walk w join asked on asked.id = w.materialization
      where w.finished_at is null and w.columns is not distinct from asked.names for update of w),
    again as (update pgfresh.walk w set again = open.again or open.cursor is not null or open.planned_at is not null, stamp_due = true
      from open where w.id = open.id)
    insert into pgfresh.walk (materialization, why, columns, stamp_due)
    select asked.id, 'request', asked.names, true from asked
    where not exists (select from open where open.materialization = asked.id and open.columns is not distinct from asked.names);
    ${promptsSql(entries)}`
}

/**
 * Views that were asked for. One that has such a prompt already needs no other, also if somebody is just taking it: what a refresh
 * contains is decided after its prompts are gone.
 */
function promptsSql(entries: Entries): string {
  return `insert into pgfresh.view_prompt (schedule, reason)
    select s.id, 'request' from pgfresh.materialized_view_refresh_schedule s
    where s.id in (select (r.new_row ->> 'view')::bigint from ${entriesSql(requestCapture, 0, entries)} r where r.new_row ? 'view')
      and not exists (select from pgfresh.view_prompt p where p.schedule = s.id and p.reason = 'request')
    on conflict do nothing`
}

/** A transaction too large for a window: one task, which a worker turns into key tasks. */
export function expandSql(xid: string): string {
  return `insert into pgfresh.task (id, origin, lane, kind, expand_xid, why)
    select t.id, t.id, ${laneOf('bulk', 9)}, 'expand', '${BigInt(xid)}'::xid8, 'bulk change'
    from (select pg_catalog.nextval('pgfresh.task_id') as id) t`
}

/** The beginning of an INSERT of work whose new id is `c.id`; placeIn gives the values of the columns named here. */
function insertInto(destination: Destination): string {
  return destination.kind === 'queue'
    ? 'insert into pgfresh.task (id, origin'
    : 'insert into pgfresh.deferred (id, origin, due_at'
}

function placeIn(destination: Destination): string {
  switch (destination.kind) {
    case 'queue':
      return 'c.id, c.id'
    case 'aside':
      return `c.id, c.id, 'infinity'`
    case 'deferred':
      return `c.id, ${BigInt(destination.origin)}, pg_catalog.clock_timestamp()`
  }
}
