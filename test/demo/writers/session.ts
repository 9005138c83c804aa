/**
 * One writer's connection, and what all writers know of the cinema. Used by every kind of transaction (the files beside this one).
 *
 * The writers must not deadlock each other, or nobody could tell whether pgfresh did (it must not). So: tickets are inserted
 * in the order of (event, seat) and before anything else is done to tickets; tickets are deleted or updated only where nobody
 * holds them (SKIP LOCKED); and whoever deletes an event locks just that one event.
 */
import type pg from 'pg'
import type { Random } from '../random.ts'

/** What one writer works with. */
export interface WriterSession {
  readonly client: pg.Client
  readonly random: Random
  readonly world: World
}

/** What writers share: rows that came into being while they ran. */
export interface World {
  /** Showings added by writers, which may be sold and cancelled like the loaded ones. */
  readonly addedEvents: string[]
  /** Cinemas added by writers, which close again; nobody else touches these. */
  readonly addedCinemas: string[]
}

/** Ids of the loaded rows, as dataset/rows.sql numbers them. */
export const loaded = {
  territories: 22,
  cinemas: 3_200,
  venues: 16_000,
  films: 2_000,
  events: 120_000,
  /** From here on showings lie ahead, and sell. */
  firstUpcomingEvent: 60_001,
} as const

/** Runs `work` between begin and commit. If it throws, all is rolled back and the error passed on. */
export async function transaction(client: pg.Client, work: () => Promise<number>): Promise<number> {
  await client.query('begin')
  try {
    const changed = await work()
    await client.query('commit')
    return changed
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

/** Runs one statement and returns how many rows it changed. */
export async function changedRows(
  client: pg.Client,
  text: string,
  values: readonly unknown[],
): Promise<number> {
  const result = await client.query(text, [...values])
  return result.rowCount ?? 0
}

/** An upcoming showing: one in ten times a premiere that everybody wants, else any. It may have been cancelled meanwhile. */
export function someEvent({ random, world }: WriterSession): string {
  if (random.chance(0.1)) return String(loaded.firstUpcomingEvent + random.between(0, 19))
  if (world.addedEvents.length > 0 && random.chance(0.05)) return random.oneOf(world.addedEvents)
  return String(random.between(loaded.firstUpcomingEvent, loaded.events))
}

/** Some seat numbers, rising, of which some may be taken already. */
export function someSeats({ random }: WriterSession, most: number): number[] {
  const first = random.between(1, 190)
  return Array.from({ length: random.between(1, most) }, (_, index) => first + index)
}

/** Sells the seats that the venue has and that are free, at the event's price. */
export function sellSeats(client: pg.Client, event: string, seats: readonly number[]): Promise<number> {
  return changedRows(
    client,
    `insert into ticket (event_id, seat, price)
     select e.id, wanted.seat, e.price
     from event e join venue v on v.id = e.venue_id cross join unnest($2::integer[]) wanted (seat)
     where e.id = $1 and wanted.seat <= v.capacity
     order by wanted.seat
     on conflict (event_id, seat) do nothing`,
    [event, seats],
  )
}

/** Gives back up to `most` tickets of the event, the ones sold last, leaving those that somebody else is working on. */
export function refundSeats(client: pg.Client, event: string, most: number): Promise<number> {
  return changedRows(
    client,
    `delete from ticket where id in (
       select id from ticket where event_id = $1 order by id desc limit $2 for update skip locked)`,
    [event, most],
  )
}
