/**
 * The demo's proof: recomputes every materialized row and column with the hand-written SQL of reference.sql and compares.
 *
 * It shares no code with the engine and trusts none of its bookkeeping. A row counts as wrong if any value differs or any of its
 * stamps is missing. All of it reads one snapshot, so it may run beside writers, but is only meaningful once the work is drained.
 */
import { readFile } from 'node:fs/promises'
import type pg from 'pg'
import { connect } from './connect.ts'

/** What was found in one table. */
export interface TableComparison {
  readonly table: string
  /** Rows compared: all there are. */
  readonly verified: number
  /** Rows of which a value or a stamp is wrong. */
  readonly drift: number
  /** The first few wrong rows, each as `table (key) column: stored …, expected …`. */
  readonly samples: readonly string[]
}

interface MaterializedTable {
  readonly table: string
  readonly key: readonly string[]
  readonly stamps: readonly string[]
  readonly columns: readonly string[]
}

const tables: readonly MaterializedTable[] = [
  {
    table: 'territory',
    key: ['id'],
    stamps: ['materialized_at'],
    columns: ['cinema_count', 'venue_count', 'seat_count'],
  },
  {
    table: 'cinema',
    key: ['id'],
    stamps: ['materialized_at', 'week_materialized_at'],
    columns: ['country_code', 'time_zone', 'venue_count', 'seat_count', 'upcoming_event_count'],
  },
  {
    table: 'venue',
    key: ['id'],
    stamps: ['materialized_at'],
    columns: ['territory_id', 'event_count', 'last_event_at'],
  },
  {
    table: 'event',
    key: ['id'],
    stamps: ['materialized_at', 'sales_materialized_at'],
    columns: [
      'cinema_id',
      'territory_id',
      'starts_at_local',
      'tickets_sold',
      'gross',
      'last_sold_at',
      'seats_left',
    ],
  },
  {
    table: 'film',
    key: ['id'],
    stamps: ['materialized_at'],
    columns: ['event_count', 'first_showing_at', 'last_showing_at', 'tickets_sold', 'gross'],
  },
  {
    table: 'film_territory',
    key: ['film_id', 'territory_id'],
    stamps: ['materialized_at'],
    columns: ['tickets_sold', 'gross'],
  },
]

interface ComparedView {
  readonly view: string
  readonly columns: readonly string[]
}

const views: readonly ComparedView[] = [
  { view: 'last_week_event', columns: ['starts_at', 'cinema_id', 'film_id', 'tickets_sold', 'gross'] },
  { view: 'future_event', columns: ['starts_at', 'cinema_id', 'film_id', 'seats_left'] },
]

const samplesPerTable = 5

/** Compares every materialized row of the database at `url`, and every row of the views. Takes some seconds; locks nothing. */
export async function compareWithReference(url: string): Promise<readonly TableComparison[]> {
  const session = await connect(url, 'cinema reference')
  try {
    await session.query('begin isolation level repeatable read')
    await session.query("set local work_mem = '256MB'; set local jit = off")
    await session.query(await readFile(new URL('reference.sql', import.meta.url), 'utf8'))
    const found: TableComparison[] = []
    for (const table of tables) found.push(await compareTable(session, table))
    for (const view of views) found.push(await compareView(session, view))
    await session.query('rollback')
    return found
  } finally {
    await session.end()
  }
}

function compareTable(
  session: pg.Client,
  { table, key, stamps, columns }: MaterializedTable,
): Promise<TableComparison> {
  const wrong = [
    ...stamps.map((stamp) => `case when stored.${stamp} is null then '${stamp}: missing' end`),
    ...columns.map(differs),
  ]
  return compare(session, { table, key, wrong, join: 'left' })
}

/** A view may lack rows as well as have too many. */
function compareView(session: pg.Client, { view, columns }: ComparedView): Promise<TableComparison> {
  const wrong = [
    `case when stored.id is null and expected.sure then 'missing' when expected.id is null then 'too many' end`,
    ...columns.map(
      (column) => `case when stored.id is not null and expected.id is not null then ${differs(column)} end`,
    ),
  ]
  return compare(session, { table: view, key: ['id'], wrong, join: 'full' })
}

function differs(column: string): string {
  return `case when stored.${column} is distinct from expected.${column}
    then format('${column}: stored %s, expected %s', coalesce(stored.${column}::text, 'NULL'), coalesce(expected.${column}::text, 'NULL')) end`
}

async function compare(
  session: pg.Client,
  {
    table,
    key,
    wrong,
    join,
  }: {
    readonly table: string
    readonly key: readonly string[]
    readonly wrong: readonly string[]
    readonly join: 'left' | 'full'
  },
): Promise<TableComparison> {
  const { rows } = await session.query<{ verified: string; drift: string; samples: string[] | null }>(`
    select count(*) as verified, count(*) filter (where wrong <> '') as drift,
      (array_agg(row order by row) filter (where wrong <> ''))[1:${samplesPerTable}] as samples
    from (
      select wrong, format('${table} (%s) %s', concat_ws(', ', ${key.join(', ')}), wrong) as row
      from ${table} stored ${join} join expected_${table} expected using (${key.join(', ')})
      cross join lateral (select concat_ws('; ', ${wrong.join(', ')})) as difference (wrong)
    ) compared`)
  const row = rows[0]
  if (row === undefined) throw new Error(`comparing ${table}: a count returned no row`)
  return { table, verified: Number(row.verified), drift: Number(row.drift), samples: row.samples ?? [] }
}
