/**
 * A small cinema for the tests of plan and apply: two definitions on one table, a chain, a composite key.
 */
import { definitions, type Written } from './planning.ts'

export const cinemaTables = `
  create table country (id integer primary key, name text not null);
  create table cinema (id integer primary key, country_id integer not null, name text not null);
  create table venue (id integer primary key, cinema_id integer not null, capacity integer not null);
  create table showtime (venue_id integer, starts_at timestamptz, sold integer not null, primary key (venue_id, starts_at));
  insert into country select i, 'c' || i from generate_series(1, 3) i;
  insert into cinema select i, 1 + i % 3, 'k' || i from generate_series(1, 10) i;
  insert into venue select i, 1 + i % 10, i from generate_series(1, 50) i;
  insert into showtime select 1 + i % 50, '2024-01-01'::timestamptz + i * interval '1 hour', i from generate_series(1, 200) i;`

/** What the venue definition says, to be varied. */
export const venue: Written = {
  table: 'venue',
  columns: {
    country_id: '(select c.country_id from cinema c where c.id = venue.cinema_id)',
    sold_total: '(select sum(s.sold) from showtime s where s.venue_id = venue.id)',
  },
  dependsOn: {
    cinema: 'select v.id from changed c join venue v on v.cinema_id = c.id',
    showtime: 'select venue_id as id from changed',
  },
}

/** A second one on the same table. */
export const venueFacts: Written = {
  table: 'venue',
  stamp: 'facts_materialized_at',
  query: `select s.venue_id as id, count(*) as showtimes, max(s.starts_at) as last_showtime_at
    from showtime s group by s.venue_id`,
  defaults: { showtimes: '0' },
  dependsOn: { showtime: 'select venue_id as id from changed' },
  expires: '1 day',
}

/** Reads what `venue` materializes. */
export const country: Written = {
  table: 'country',
  columns: { venues: '(select count(*) from venue v where v.country_id = country.id)' },
  dependsOn: { venue: 'select country_id as id from changed' },
}

/** All of them. */
export const cinemaDefinitions = definitions({ country, venue, venueFacts })
