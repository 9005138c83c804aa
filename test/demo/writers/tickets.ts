/**
 * Transactions at the box office: what is sold, given back, exchanged, corrected, imported, given up.
 * Each returns how many row changes it committed that some definition reads.
 */
import {
  changedRows,
  refundSeats,
  sellSeats,
  someEvent,
  someSeats,
  transaction,
  type WriterSession,
} from './session.ts'

/** Sells a few seats, in one statement. */
export function sell(session: WriterSession): Promise<number> {
  return sellSeats(session.client, someEvent(session), someSeats(session, 6))
}

/** Gives a few seats back. */
export function refund(session: WriterSession): Promise<number> {
  return refundSeats(session.client, someEvent(session), session.random.between(1, 3))
}

/** Grants a discount on tickets that were sold already. */
export function discount({ client, ...session }: WriterSession): Promise<number> {
  return changedRows(
    client,
    `update ticket set price = price - 0.50 where id in (
       select id from ticket where event_id = $1 and price > 3 order by id limit $2 for update skip locked)`,
    [someEvent({ client, ...session }), session.random.between(1, 4)],
  )
}

/** Somebody prefers another showing: seats sold there, then given back here, and a second thought undone by a savepoint. */
export function exchange(session: WriterSession): Promise<number> {
  const { client, random } = session
  return transaction(client, async () => {
    const seats = await sellSeats(client, someEvent(session), someSeats(session, 3))
    await client.query('savepoint second_thought')
    const refunded = await refundSeats(client, someEvent(session), seats)
    if (random.chance(0.7)) return seats + refunded
    await client.query('rollback to savepoint second_thought')
    return seats
  })
}

/** A partner delivers a day's sales: some hundreds of tickets in one statement. */
export function importTickets({ client, random, ...rest }: WriterSession): Promise<number> {
  const events = Array.from({ length: 30 }, () => someEvent({ client, random, ...rest }))
  return changedRows(
    client,
    `insert into ticket (event_id, seat, price, sold_at)
     select e.id, seat, e.price, now() - interval '1 hour'
     from event e join venue v on v.id = e.venue_id cross join generate_series($2::integer, $2::integer + 11) seat
     where e.id = any ($1::bigint[]) and seat <= v.capacity
     order by e.id, seat
     on conflict (event_id, seat) do nothing`,
    [events, random.between(20, 100)],
  )
}

/** A sale that isn't paid: everything is rolled back, so nothing must come of it. */
export async function giveUp(session: WriterSession): Promise<number> {
  const { client } = session
  await client.query('begin')
  await sellSeats(client, someEvent(session), someSeats(session, 6))
  await client.query('rollback')
  return 0
}
