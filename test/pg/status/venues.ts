/**
 * A materialization put together by hand: tables, our schema, what apply would store, the triggers. With no daemon, so that a test
 * decides itself what is pending, what is planned and what is done.
 */
import { allBits, captureShape } from '../../../src/capture/shape.ts'
import { migrateSchema } from '../../../src/db/migrate.ts'
import type { Compiled, Route } from '../../../src/materialization/compiled.ts'
import type { TestDatabase } from '../../support/database.ts'

/** Ids of what was made. */
export interface Venues {
  readonly id: string
  readonly targetOid: string
  readonly sourceOid: string
  readonly captures: { readonly venue: string; readonly showtime: string }
}

/** What a test may have otherwise. */
export interface VenueOptions {
  readonly rows?: number
  readonly freshness?: string
  readonly expires?: string
  /** The expression of showtime_count. */
  readonly expression?: string
}

const table = { schema: 'public', name: 'venue' }
const source = { schema: 'public', name: 'showtime' }

/** Makes `venue` with a materialized showtime_count, all of it fresh and nothing pending. */
export async function makeVenues(database: TestDatabase, options: VenueOptions = {}): Promise<Venues> {
  const { rows = 10 } = options
  await database.query(
    `create table venue (id bigint primary key, name text, showtime_count bigint, materialized_at timestamptz)`,
  )
  await database.query('create table showtime (id bigint primary key, venue_id bigint not null)')
  await migrateSchema({ url: database.url })
  const [oids] = await database.query<{ venue: string; showtime: string }>(
    `select 'venue'::regclass::oid::text as venue, 'showtime'::regclass::oid::text as showtime`,
  )
  if (oids === undefined) throw new Error('no oids')
  const routes = routesOf(oids)
  const compiled = compiledOf(options, routes)
  const [stored] = await database.query<{ id: string }>(
    `insert into pgfresh.materialization (project, kind, name, target, stamp, fingerprint, compiled)
     values ('default', 'columns', 'venue', $1, 'materialized_at', 'f', $2) returning id::text`,
    [oids.venue, JSON.stringify(compiled)],
  )
  const captures = {
    venue: await capture(database, table, oids.venue, routes),
    showtime: await capture(database, source, oids.showtime, routes),
  }
  await database.query(
    `insert into showtime select n, (n % ${rows}) + 1 from generate_series(1, ${rows * 3}) n`,
  )
  await database.query(
    `insert into venue select n, 'venue ' || n, 3, now() from generate_series(1, ${rows}) n`,
  )
  await plan(database)
  return { id: stored?.id ?? '', targetOid: oids.venue, sourceOid: oids.showtime, captures }
}

/** What a planner round would do, less the tasks: everything that is visible now has become work. */
export async function plan(database: TestDatabase): Promise<void> {
  await database.query(
    `insert into pgfresh.watermark_0 (id, snapshot, task_floor)
     select id + 1, pg_current_snapshot(), task_floor from pgfresh.watermark order by id desc limit 1`,
  )
}

/** What a batch would do: every venue is right. */
export async function compute(database: TestDatabase): Promise<void> {
  const client = await database.connect()
  try {
    await client.query('begin')
    await client.query(`set local pgfresh.batch = 'on'`)
    await client.query(
      `update venue set materialized_at = now(), showtime_count = (select count(*) from showtime s where s.venue_id = venue.id)`,
    )
    await client.query('commit')
  } finally {
    await client.end()
  }
}

/** A daemon that lives, as far as anybody can see. */
export async function beat(database: TestDatabase): Promise<void> {
  await database.query(
    `insert into pgfresh.daemon (id, host, pid, version, caught_up_at) values ('d1', 'host', 4711, '0.1.0', now())`,
  )
}

function routesOf(oids: { readonly venue: string; readonly showtime: string }): Route[] {
  const key = { kind: 'key', via: null, columns: null, unlessOurs: false } as const
  return [
    { ...key, source: table, sourceOid: oids.venue, logs: ['id'], reads: ['id'] },
    {
      ...key,
      source: table,
      sourceOid: oids.venue,
      logs: ['id'],
      reads: ['id', 'materialized_at', 'showtime_count'],
      unlessOurs: true,
    },
    { ...key, source, sourceOid: oids.showtime, logs: ['venue_id'], reads: ['venue_id'] },
  ]
}

function compiledOf({ freshness, expires, expression }: VenueOptions, routes: readonly Route[]): Compiled {
  return {
    kind: 'columns',
    project: 'default',
    name: 'venue',
    target: table,
    key: [{ name: 'id', type: 'bigint', json: true }],
    stamp: 'materialized_at',
    columns: [{ name: 'showtime_count', type: 'bigint', default: null, fingerprint: 'f' }],
    form: {
      kind: 'columns',
      expressions: {
        showtime_count: expression ?? '(select count(*) from showtime s where s.venue_id = venue.id)',
      },
    },
    settings: { search_path: 'public', TimeZone: 'UTC' },
    expires: expires ?? null,
    batch: null,
    priority: 5,
    freshness: freshness ?? null,
    routes,
  }
}

/** A capture that logs as ours does, written as plainly as can be: all bits set, but for what a batch writes. */
async function capture(
  database: TestDatabase,
  relation: { readonly schema: string; readonly name: string },
  oid: string,
  routes: readonly Route[],
): Promise<string> {
  const type = { type: 'bigint', json: true, integer: true }
  const columns = new Map(['id', 'venue_id', 'showtime_count'].map((name) => [name, type]))
  const shape = captureShape(
    routes.filter((route) => route.sourceOid === oid),
    columns,
  )
  const [row] = await database.query<{ id: string }>(
    'insert into pgfresh.capture (source, shape) values ($1, $2) returning id::text',
    [oid, JSON.stringify(shape)],
  )
  const logged = shape.logs[0]?.name
  const read = [...new Set(shape.interests.flatMap((interest) => interest.reads))].join(', ')
  await database.query(`create function log_${relation.name}() returns trigger language plpgsql as $$
    begin
      if current_setting('pgfresh.batch', true) = 'on' then return null; end if;
      insert into pgfresh.change_log_0 (xid, capture, mask, op, old_key, new_key)
      values (pg_current_xact_id(), ${row?.id}, ${allBits}, left(tg_op, 1)::"char",
        case when tg_op <> 'INSERT' then old.${logged} end, case when tg_op <> 'DELETE' then new.${logged} end);
      return null;
    end $$`)
  await database.query(
    `create trigger log after insert or delete or update of ${read} on ${relation.name} for each row execute function log_${relation.name}()`,
  )
  return row?.id ?? ''
}
