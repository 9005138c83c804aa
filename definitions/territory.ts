/**
 * Totals of a country, read from the materialized columns of its cinemas (cinema.ts): a chain. When a venue is added,
 * its cinema is recomputed, and that write makes the country stale in turn.
 */
import { defineColumns, sql } from 'pgfresh'

export const territory = defineColumns({
  table: 'territory',
  columns: {
    cinema_count: sql`(select count(*) from cinema c where c.territory_id = territory.id)`,
    venue_count: sql`(select coalesce(sum(c.venue_count), 0)::bigint from cinema c where c.territory_id = territory.id)`,
    seat_count: sql`(select coalesce(sum(c.seat_count), 0)::bigint from cinema c where c.territory_id = territory.id)`,
  },
  dependsOn: {
    // A cinema that moves is in `changed` twice, as it was and as it is: both countries are recomputed.
    cinema: { via: sql`select territory_id as id from changed` },
  },
})
