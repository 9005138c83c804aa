/**
 * A film's takings in one country, on a table with a composite key, added up from the tickets themselves.
 *
 * Both halves of the key come from one row of `event` (its film, and the territory that event.ts put there). That is on purpose:
 * had the query taken the territory from the cinema, one transaction could change an event's film while another moves the
 * cinema, and then neither change alone would know the pair that lost the event.
 */
import { defineColumns, sql } from 'pgfresh'

export const filmTerritory = defineColumns({
  table: 'film_territory',
  query: sql`
    select e.film_id, e.territory_id, count(*) as tickets_sold, sum(t.price)::numeric(14, 2) as gross
    from event e join ticket t on t.event_id = e.id
    group by e.film_id, e.territory_id`,
  defaults: { tickets_sold: 0, gross: 0 },
  dependsOn: {
    // Until event.ts has computed an event for the first time, it belongs to no country.
    event: { via: sql`select film_id, territory_id from changed where territory_id is not null` },
    ticket: {
      via: sql`
        select e.film_id, e.territory_id from changed t join event e on e.id = t.event_id
        where e.territory_id is not null`,
    },
  },
})
