/**
 * A small cinema that most tests of the promises share: a target that is read by two routes, one of them over a join.
 * ticket -> showtime -> venue is a chain with a middle row; cinema -> venue is a look-up.
 */
import type { Comparison } from '../../support/project.ts'

/** Three venues, two cinemas, a showtime for each venue, no ticket. */
export const venueSchema = `
  create table cinema (id int primary key, country text);
  create table venue (id int primary key, cinema_id int, name text);
  create table showtime (id int primary key, venue_id int);
  create table ticket (id bigint generated always as identity primary key, showtime_id int, price int, note text);
  insert into cinema values (1, 'NL'), (2, 'BE');
  insert into venue values (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c');
  insert into showtime values (1, 1), (2, 2), (3, 3)`

/** What a venue took, over the chain, and its country. */
export const venueDefinition = `export const venue = defineColumns({
  table: 'venue',
  columns: {
    country: sql\`(select c.country from cinema c where c.id = venue.cinema_id)\`,
    taken: sql\`(select coalesce(sum(t.price), 0) from showtime s join ticket t on t.showtime_id = s.id where s.venue_id = venue.id)\`,
  },
  dependsOn: {
    cinema: { via: sql\`select v.id from changed c join venue v on v.cinema_id = c.id\` },
    showtime: { via: sql\`select venue_id as id from changed\` },
    ticket: { via: sql\`select s.venue_id as id from changed t join showtime s on s.id = t.showtime_id\` },
  },
})`

/** Stored against recomputed, with every stamp set. */
export const venueComparison: Comparison = {
  stored: 'select id, country, taken, materialized_at is not null from venue',
  expected: `
    with taken as (select s.venue_id, sum(t.price) as sum from ticket t, showtime s where t.showtime_id = s.id group by 1)
    select v.id, c.country, coalesce(taken.sum, 0), true
    from venue v left join cinema c on c.id = v.cinema_id left join taken on taken.venue_id = v.id`,
}
