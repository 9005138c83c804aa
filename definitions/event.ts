/**
 * An event is one showing of a film. Where it takes place hardly ever changes and its sales change all the time, so these are
 * two definitions: a sold ticket recomputes the sales alone.
 */
import { defineColumns, sql } from 'pgfresh'

/** Place and local time, through the venue and the cinema to the territory. */
export const event = defineColumns({
  table: 'event',
  columns: {
    cinema_id: sql`(select v.cinema_id from venue v where v.id = event.venue_id)`,
    territory_id: sql`(
      select c.territory_id from venue v join cinema c on c.id = v.cinema_id
      where v.id = event.venue_id
    )`,
    starts_at_local: sql`(
      select event.starts_at at time zone t.time_zone
      from venue v join cinema c on c.id = v.cinema_id join territory t on t.id = c.territory_id
      where v.id = event.venue_id
    )`,
  },
  // Each route walks from the table that changed towards the event, along the same joins.
  dependsOn: {
    venue: { via: sql`select e.id from changed v join event e on e.venue_id = v.id` },
    cinema: {
      via: sql`select e.id from changed c join venue v on v.cinema_id = c.id join event e on e.venue_id = v.id`,
    },
    territory: {
      via: sql`
        select e.id from changed t join cinema c on c.territory_id = t.id
        join venue v on v.cinema_id = c.id join event e on e.venue_id = v.id`,
    },
  },
})

/** What was sold, and what is left. */
export const eventSales = defineColumns({
  table: 'event',
  stamp: 'sales_materialized_at',
  query: sql`
    select e.id,
      count(t.id) as tickets_sold,
      coalesce(sum(t.price), 0)::numeric(12, 2) as gross,
      max(t.sold_at) as last_sold_at,
      v.capacity - count(t.id) as seats_left
    from event e
    join venue v on v.id = e.venue_id
    left join ticket t on t.event_id = e.id
    group by e.id, v.capacity`,
  // The event itself needs no route: a change of its own row is a change of its own key.
  dependsOn: {
    venue: { via: sql`select e.id from changed v join event e on e.venue_id = v.id` },
    ticket: { via: sql`select event_id as id from changed` },
  },
})
