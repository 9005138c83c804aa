/**
 * Measures freshness: the time from the commit of a source change to the commit of the fresh value, both by the server's own
 * commit timestamps (track_commit_timestamp), so that neither our clock nor our polling is in the figure.
 *
 * A probe is one ticket, sold for an event that nobody else touches, of a film that nobody else shows; so the last version of the
 * event's row, and of its film's, is the one that the ticket caused, and its xmin tells when that was committed.
 * The next ticket for an event waits until the last one has arrived everywhere. main.ts starts and stops it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { connect } from './connect.ts'

/** What is timed: a column computed straight from the changed table, or one that reads another materialized column. */
export type ProbeKind = 'direct' | 'chained'

/** Milliseconds from commit to commit, by kind, in the order they were noticed. */
export interface Latencies {
  readonly direct: readonly number[]
  readonly chained: readonly number[]
}

/** Probes under way. */
export interface Probes {
  latencies(): Latencies
  /** Tickets sold so far: row changes like any. */
  tickets(): number
  /** Sells no more tickets, then waits up to `graceMs` for those still on their way. Returns how many never arrived. */
  stop(graceMs: number): Promise<number>
  /** Settles when probing has ended; rejected if it failed. */
  readonly ended: Promise<void>
}

const probeEvents = 24
/** Between two tickets; with 24 events each has more than two seconds to become fresh. */
const ticketEveryMs = 90
const pollMs = 15

/** Adds the probe's cinema, its events and films. Once, after the load and before apply. */
export async function addProbeRows(url: string): Promise<void> {
  const client = await connect(url, 'cinema probe')
  try {
    await client.query(`
      create table probe (event_id bigint primary key, film_id integer not null, tickets integer not null default 0);
      with cinema as (insert into cinema (territory_id, name, city) values (3, 'Sneak', 'Berlin') returning id),
      venue as (insert into venue (cinema_id, name, capacity) select id, 'Screen 1', 100000 from cinema returning id),
      film as (
        insert into film (title, runtime_minutes, released_on)
        select 'Sneak Preview ' || n, 95, current_date from generate_series(1, ${probeEvents}) n returning id
      ),
      rights as (insert into film_territory (film_id, territory_id, distributor) select id, 3, 'Kestrel DE' from film),
      event as (
        insert into event (venue_id, film_id, starts_at, price)
        select venue.id, film.id, now() + interval '3 days', 12 from venue cross join film returning id, film_id
      )
      insert into probe select id, film_id from event`)
  } finally {
    await client.end()
  }
}

/** Starts to probe the database at `url`, about eleven tickets a second. */
export async function startProbes(url: string): Promise<Probes> {
  const client = await connect(url, 'cinema probe')
  const { rows } = await client.query<{ event_id: string; film_id: number }>(
    'select event_id, film_id from probe order by 1',
  )
  const latencies = { direct: [] as number[], chained: [] as number[] }
  const underWay = new Map<string, Probe>()
  let sold = 0
  let selling = true
  let giveUpAt = Number.POSITIVE_INFINITY

  const probe = async (): Promise<void> => {
    let nextTicket = performance.now()
    let turn = 0
    while (selling || (underWay.size > 0 && performance.now() < giveUpAt)) {
      const event = rows[turn % rows.length]?.event_id
      if (selling && event !== undefined && performance.now() >= nextTicket) {
        nextTicket = Math.max(nextTicket + ticketEveryMs, performance.now())
        turn += 1
        if (!underWay.has(event)) {
          underWay.set(event, await sellOne(client, event))
          sold += 1
        }
      }
      await lookAfter(client, underWay, latencies)
      await sleep(pollMs)
    }
  }
  const ended = probe().finally(() => client.end().catch(() => undefined))
  ended.catch(() => undefined) // whoever awaits `ended` or `stop` is told
  return {
    latencies: () => latencies,
    tickets: () => sold,
    ended,
    stop: async (graceMs) => {
      selling = false
      giveUpAt = performance.now() + graceMs
      await ended
      return underWay.size
    },
  }
}

/** One ticket on its way. */
interface Probe {
  readonly xid: string
  readonly tickets: number
  readonly waitsFor: Set<'event' | 'film' | 'film_territory'>
}

async function sellOne(client: pg.Client, event: string): Promise<Probe> {
  const { rows } = await client.query<{ xid: string; tickets: number }>(
    `with counted as (update probe set tickets = tickets + 1 where event_id = $1 returning event_id, tickets)
     insert into ticket (event_id, seat, price) select event_id, tickets, 12 from counted
     returning pg_current_xact_id()::text as xid, seat as tickets`,
    [event],
  )
  const row = rows[0]
  if (row === undefined) throw new Error(`the probe's event ${event} is gone`)
  return { xid: row.xid, tickets: row.tickets, waitsFor: new Set(['event', 'film', 'film_territory']) }
}

/** Looks which of the tickets under way have arrived where, and notes how long that took. */
async function lookAfter(
  client: pg.Client,
  underWay: Map<string, Probe>,
  latencies: { direct: number[]; chained: number[] },
): Promise<void> {
  if (underWay.size === 0) return
  const events = [...underWay.keys()]
  const probes = [...underWay.values()]
  // An xid8 is made a xid by dropping its epoch, which a server of a few minutes' age doesn't have.
  const { rows } = await client.query<{ event_id: string; arrived: Arrival['table']; ms: string }>(
    `select p.event_id, stored.arrived,
       1000 * extract(epoch from pg_xact_commit_timestamp(stored.version) - pg_xact_commit_timestamp(w.xid::xid)) as ms
     from unnest($1::bigint[], $2::text[], $3::bigint[]) w (event_id, xid, tickets)
     join probe p using (event_id)
     cross join lateral (
       select 'event', e.tickets_sold, e.xmin from event e where e.id = p.event_id
       union all
       select 'film', f.tickets_sold, f.xmin from film f where f.id = p.film_id
       union all
       select 'film_territory', l.tickets_sold, l.xmin from film_territory l where l.film_id = p.film_id and l.territory_id = 3
     ) stored (arrived, tickets, version)
     where stored.tickets >= w.tickets`,
    [events, probes.map((probe) => probe.xid), probes.map((probe) => probe.tickets)],
  )
  for (const row of rows)
    note({ event: row.event_id, table: row.arrived, ms: Number(row.ms) }, underWay, latencies)
}

interface Arrival {
  readonly event: string
  readonly table: 'event' | 'film' | 'film_territory'
  readonly ms: number
}

function note(
  arrival: Arrival,
  underWay: Map<string, Probe>,
  latencies: { direct: number[]; chained: number[] },
): void {
  const probe = underWay.get(arrival.event)
  if (probe === undefined || !probe.waitsFor.delete(arrival.table)) return
  latencies[arrival.table === 'film' ? 'chained' : 'direct'].push(arrival.ms)
  if (probe.waitsFor.size === 0) underWay.delete(arrival.event)
}

/** The value below which the given share (0 to 1) of the samples lie, in milliseconds with one decimal; null without samples. */
export function percentile(samples: readonly number[], share: number): number | null {
  const sorted = [...samples].sort((a, b) => a - b)
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
  return value === undefined ? null : Math.round(value * 10) / 10
}
