/**
 * Two materialized views of the programme. Their rows come and go with the clock, so no trigger could keep them: they are refreshed on a
 * schedule, while people read them (that is what `key` is for).
 */
import { defineView, sql } from 'pgfresh'

/** What was shown in the last seven days, and what it took. */
export const lastWeekEvent = defineView({
  name: 'last_week_event',
  query: sql`
    select id, starts_at, cinema_id, film_id, tickets_sold, gross
    from event where starts_at >= now() - interval '7 days' and starts_at < now()`,
  key: ['id'],
  // So often because a demo is short: a report like this does well with minutes.
  refresh: { every: '10 seconds' },
})

/** What can still be booked. On the clock: at each half minute. */
export const futureEvent = defineView({
  name: 'future_event',
  query: sql`select id, starts_at, cinema_id, film_id, seats_left from event where starts_at >= now()`,
  key: ['id'],
  refresh: { cron: '*/30 * * * * *', timeZone: 'Europe/London' },
})
