/**
 * A venue is one screen of a cinema. Its territory is copied from the cinema, which saves a join in every report;
 * a cinema that moves makes all of its venues stale.
 */
import { defineColumns, sql } from 'pgfresh'

export const venue = defineColumns({
  table: 'venue',
  columns: {
    territory_id: sql`(select c.territory_id from cinema c where c.id = venue.cinema_id)`,
    event_count: sql`(select count(*) from event e where e.venue_id = venue.id)`,
    last_event_at: sql`(select max(e.starts_at) from event e where e.venue_id = venue.id)`,
  },
  dependsOn: {
    cinema: { via: sql`select v.id from changed c join venue v on v.cinema_id = c.id` },
    event: { via: sql`select venue_id as id from changed` },
  },
})
