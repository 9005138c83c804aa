/**
 * Transactions of the office: showings, films, cinemas and countries change.
 * Each returns how many row changes it committed that some definition reads; a rename and a list price are read by none.
 */
import {
  changedRows,
  loaded,
  sellSeats,
  someEvent,
  someSeats,
  transaction,
  type WriterSession,
} from './session.ts'

/** Another time, and now and then another venue, which may be in another country. */
export function reschedule(session: WriterSession): Promise<number> {
  const { client, random } = session
  const minutes = random.oneOf([-45, -15, 15, 30, 90])
  if (random.chance(0.6))
    return changedRows(
      client,
      'update event set starts_at = starts_at + make_interval(mins => $2) where id = $1',
      [someEvent(session), minutes],
    )
  return changedRows(
    client,
    'update event set starts_at = starts_at + make_interval(mins => $2), venue_id = $3 where id = $1',
    [someEvent(session), minutes, random.between(1, loaded.venues)],
  )
}

/** The film of a showing is replaced. */
export function replaceFilm(session: WriterSession): Promise<number> {
  const film = session.random.between(1, loaded.films)
  return changedRows(session.client, 'update event set film_id = $2 where id = $1 and film_id <> $2', [
    someEvent(session),
    film,
  ])
}

/** Another list price for tickets still to be sold. No definition reads it. */
export async function changeListPrice(session: WriterSession): Promise<number> {
  await session.client.query('update event set price = price + 0.50 where id = $1', [someEvent(session)])
  return 0
}

/** A cinema gets another name. No definition reads it. */
export async function renameCinema({ client, random }: WriterSession): Promise<number> {
  await client.query(`update cinema set name = split_part(name, ' ', 1) || $2 where id = $1`, [
    random.between(1, loaded.cinemas),
    random.oneOf([' Grand', ' Park', ' Riverside', '']),
  ])
  return 0
}

/** A cinema moves to another country: its venues, its events and the takings of their films in both countries are stale. */
export function moveCinema({ client, random }: WriterSession): Promise<number> {
  return changedRows(client, 'update cinema set territory_id = $2 where id = $1 and territory_id <> $2', [
    random.between(1, loaded.cinemas),
    random.between(1, loaded.territories),
  ])
}

/** A venue gets more or fewer seats. */
export function refitVenue({ client, random }: WriterSession): Promise<number> {
  return changedRows(
    client,
    'update venue set capacity = greatest(30, capacity + $2) where id = $1 and capacity + $2 > 30',
    [random.between(1, loaded.venues), random.oneOf([-20, -10, 10, 20])],
  )
}

/** One of the smallest countries changes its clocks: the local time of all its showings is stale. */
export function changeTimeZone({ client, random }: WriterSession): Promise<number> {
  return changedRows(client, 'update territory set time_zone = $2 where id = $1 and time_zone <> $2', [
    random.between(loaded.territories - 1, loaded.territories),
    random.oneOf(['Atlantic/Reykjavik', 'Europe/London', 'Europe/Luxembourg', 'Europe/Helsinki']),
  ])
}

/** New showings, on sale at once, in one transaction. */
export function addEvents(session: WriterSession): Promise<number> {
  const { client, random, world } = session
  const added: string[] = []
  return transaction(client, async () => {
    let changed = 0
    for (let events = random.between(1, 3); events > 0; events--) {
      const event = await insertOne(
        client,
        `insert into event (venue_id, film_id, starts_at, price)
         values ($1, $2, date_trunc('hour', now()) + make_interval(hours => $3), 9.50) returning id`,
        [random.between(1, loaded.venues), random.between(1, loaded.films), random.between(1, 400)],
      )
      added.push(event)
      changed += 1 + (await sellSeats(client, event, someSeats(session, 8)))
    }
    return changed
  }).then((changed) => {
    world.addedEvents.push(...added)
    return changed
  })
}

/** A showing is cancelled, and its tickets go with it by the foreign key's cascade. */
export function cancelEvent(session: WriterSession): Promise<number> {
  const { client } = session
  const event = someEvent(session)
  return transaction(client, async () => {
    // Under this lock nobody can sell, so what is counted is what the cascade deletes.
    if ((await changedRows(client, 'select from event where id = $1 for update', [event])) === 0) return 0
    const sold = await client.query<{ count: string }>('select count(*) from ticket where event_id = $1', [
      event,
    ])
    await client.query('delete from event where id = $1', [event])
    return 1 + Number(sold.rows[0]?.count)
  })
}

/** A new film, with the right to show it everywhere. */
export function addFilm({ client }: WriterSession): Promise<number> {
  return transaction(client, async () => {
    const film = await insertOne(
      client,
      `insert into film (title, runtime_minutes, released_on) values ('Untitled Project', 100, current_date) returning id`,
      [],
    )
    const rights = await changedRows(
      client,
      `insert into film_territory (film_id, territory_id, distributor) select $1, id, 'Kestrel ' || country_code from territory`,
      [film],
    )
    return 1 + rights
  })
}

/** A cinema opens with venues, showings and tickets in one transaction; when a few are open, one of them closes with all it has. */
export async function openOrCloseCinema(session: WriterSession): Promise<number> {
  const { client, random, world } = session
  const closing = world.addedCinemas.length > 3 ? world.addedCinemas.shift() : undefined
  if (closing !== undefined) {
    const { rows } = await client.query<{ count: string }>(
      `with closed as (delete from cinema where id = $1)
       select 1 + count(distinct v.id) + count(distinct e.id) + count(t.id) as count
       from venue v left join event e on e.venue_id = v.id left join ticket t on t.event_id = e.id where v.cinema_id = $1`,
      [closing],
    )
    return Number(rows[0]?.count)
  }
  let opened = ''
  const changed = await transaction(client, async () => {
    opened = await insertOne(
      client,
      `insert into cinema (territory_id, name, city) values ($1, 'Pop-up', 'Somewhere') returning id`,
      [random.between(1, loaded.territories)],
    )
    let rows = 1
    for (const screen of [1, 2]) {
      const venue = await insertOne(
        client,
        `insert into venue (cinema_id, name, capacity) values ($1, 'Screen ' || $2::text, 60) returning id`,
        [opened, screen],
      )
      const event = await insertOne(
        client,
        `insert into event (venue_id, film_id, starts_at, price) values ($1, $2, now() + interval '30 hours', 8) returning id`,
        [venue, random.between(1, loaded.films)],
      )
      rows += 2 + (await sellSeats(client, event, [1, 2, 3, 4, 5]))
    }
    return rows
  })
  world.addedCinemas.push(opened)
  return changed
}

/** An application that saves whole rows: it writes old values, and a stamp, over the materialized columns. They must be mended. */
export function saveOldRow(session: WriterSession): Promise<number> {
  return changedRows(
    session.client,
    `update event set tickets_sold = coalesce(tickets_sold, 0) + 1, gross = 0, sales_materialized_at = now() where id = $1`,
    [someEvent(session)],
  )
}

async function insertOne(
  client: WriterSession['client'],
  text: string,
  values: readonly unknown[],
): Promise<string> {
  const { rows } = await client.query<{ id: string }>(text, [...values])
  const row = rows[0]
  if (row === undefined) throw new Error(`no row came back from: ${text}`)
  return String(row.id)
}
