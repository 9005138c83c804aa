/**
 * Two definitions on one table, each with a stamp of its own, so that each is recomputed for its own reasons: facts about
 * the cinema, which change when something about it changes, and a count that also changes because time passes.
 */
import { defineColumns, sql } from 'pgfresh'

export const cinema = defineColumns({
  table: 'cinema',
  columns: {
    country_code: sql`(select t.country_code from territory t where t.id = cinema.territory_id)`,
    time_zone: sql`(select t.time_zone from territory t where t.id = cinema.territory_id)`,
    venue_count: sql`(select count(*) from venue v where v.cinema_id = cinema.id)`,
    seat_count: sql`(select coalesce(sum(v.capacity), 0) from venue v where v.cinema_id = cinema.id)`,
  },
  dependsOn: {
    territory: { via: sql`select c.id from changed t join cinema c on c.territory_id = t.id` },
    venue: { via: sql`select cinema_id as id from changed` },
  },
})

export const cinemaWeek = defineColumns({
  table: 'cinema',
  stamp: 'week_materialized_at',
  columns: {
    // From today on, seven days. No change is made at midnight that could be captured, hence `expires`.
    upcoming_event_count: sql`(
      select count(*) from event e join venue v on v.id = e.venue_id
      where v.cinema_id = cinema.id
        and e.starts_at >= date_trunc('day', now(), 'UTC')
        and e.starts_at < date_trunc('day', now(), 'UTC') + interval '168 hours'
    )`,
  },
  dependsOn: {
    event: { via: sql`select v.cinema_id as id from changed e join venue v on v.id = e.venue_id` },
    venue: { via: sql`select cinema_id as id from changed` },
  },
  expires: '15 minutes',
})
