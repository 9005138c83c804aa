/**
 * Makes the cinema's database: tables, rows, indexes, all by SQL on the server (the .sql files beside this one).
 *
 * The rows depend on nothing but the day of the load, so every machine gets the same ones. Nine tenths of the work are tickets:
 * two sessions load slices of showings side by side, because two cores are what the demo must run on. main.ts calls it once.
 */
import { readFile } from 'node:fs/promises'
import type pg from 'pg'
import { connect } from '../connect.ts'

/** Rows in every table, by table name. */
export type RowCounts = Readonly<Record<string, number>>

/** Told the share that is done (0 to 1) and what is being done. */
export type LoadProgress = (share: number, doing: string) => void

const eventCount = 120_000
/** Small enough that progress moves several times a second. */
const eventsPerSlice = 2_500
/** How far along the load is when the tickets are in, and when the indexes are: measured, and read by the progress line alone. */
const shareAtTickets = 0.6
const shareAtIndexes = 0.94

/** Fills the empty database at `url`. Rejects with what the server said; a half-filled database is of no use then. */
export async function loadDataset(url: string, progress: LoadProgress): Promise<RowCounts> {
  const sessions = await Promise.all([connect(url, 'cinema load'), connect(url, 'cinema load')])
  try {
    const first = sessions[0]
    const pick = await script('pick.sql')
    await Promise.all(sessions.map((session) => session.query(pick)))
    progress(0, 'tables')
    await first.query(await script('tables.sql'))
    progress(0.02, 'cinemas, films, showings')
    await first.query(await script('rows.sql'))
    await loadTickets(sessions, progress)
    progress(shareAtTickets, 'indexes and foreign keys')
    await first.query(await script('indexes.sql'))
    progress(shareAtIndexes, 'statistics')
    await first.query('vacuum (analyze)')
    const counts = await countRows(first)
    progress(1, 'done')
    return counts
  } finally {
    await Promise.allSettled(sessions.map((session) => session.end()))
  }
}

async function loadTickets(sessions: readonly pg.Client[], progress: LoadProgress): Promise<void> {
  const insert = await script('tickets.sql')
  let nextEvent = 1
  let eventsDone = 0
  let tickets = 0
  const loadSlices = async (session: pg.Client): Promise<void> => {
    // A demo's load may be lost by a crash; its live writes commit durably, as everybody's do.
    await session.query('set synchronous_commit = off')
    while (nextEvent <= eventCount) {
      const from = nextEvent
      nextEvent += eventsPerSlice
      const slice = await session.query(insert, [from, from + eventsPerSlice - 1])
      eventsDone += eventsPerSlice
      tickets += slice.rowCount ?? 0
      progress(
        0.1 + (shareAtTickets - 0.1) * (eventsDone / eventCount),
        `${tickets.toLocaleString('en')} tickets`,
      )
    }
  }
  await Promise.all(sessions.map(loadSlices))
}

async function countRows(session: pg.Client): Promise<RowCounts> {
  const counts: Record<string, number> = {}
  for (const table of ['territory', 'cinema', 'venue', 'film', 'film_territory', 'event', 'ticket']) {
    const { rows } = await session.query<{ count: string }>(`select count(*) from ${table}`)
    counts[table] = Number(rows[0]?.count)
  }
  return counts
}

function script(name: string): Promise<string> {
  return readFile(new URL(name, import.meta.url), 'utf8')
}
