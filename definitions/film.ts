/**
 * Totals of a film over all of its showings, in the `query` form: one SELECT that returns the key and the columns.
 * It adds up what event.ts made of the tickets (a chain), so that one sold ticket doesn't cost a scan of all the film's tickets.
 */
import { defineColumns, sql } from 'pgfresh'

export const film = defineColumns({
  table: 'film',
  query: sql`
    select e.film_id as id,
      count(*) as event_count,
      min(e.starts_at) as first_showing_at,
      max(e.starts_at) as last_showing_at,
      coalesce(sum(e.tickets_sold), 0)::bigint as tickets_sold,
      coalesce(sum(e.gross), 0)::numeric(14, 2) as gross
    from event e
    group by e.film_id`,
  // For a film that is shown nowhere the query returns no row.
  defaults: { event_count: 0, tickets_sold: 0, gross: 0 },
  dependsOn: {
    event: { via: sql`select film_id as id from changed` },
  },
})
