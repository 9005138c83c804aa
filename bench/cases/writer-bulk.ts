/**
 * writer-bulk: what capture costs inserts of 5,000 rows; beside it what people write by hand: a trigger that NOTIFYs each key, and a
 * trigger that keeps the three facts itself (per statement, venues locked in key order, so that it doesn't deadlock).
 */
import type { BenchCase } from '../case.ts'
import { compareWriters } from './writer-case.ts'

const rows = 5_000

const notifying = `
create function notify_venue() returns trigger language plpgsql as $$
begin
  perform pg_notify('venue_changed', new.venue_id::text);
  return null;
end $$;
create trigger notify_venue after insert on showtime for each row execute function notify_venue()`

const synchronous = `
alter table venue add showtime_count bigint, add sold_total bigint, add last_showtime_at timestamptz;
update venue set showtime_count = s.showtime_count, sold_total = s.sold_total, last_showtime_at = s.last_showtime_at
from (select venue_id, count(*) as showtime_count, sum(sold) as sold_total, max(starts_at) as last_showtime_at from showtime group by venue_id) s
where s.venue_id = venue.id;
create function keep_venue() returns trigger language plpgsql as $$
begin
  perform from venue where id in (select venue_id from new_rows) order by id for no key update;
  update venue set showtime_count = venue.showtime_count + s.showtime_count, sold_total = venue.sold_total + s.sold_total,
    last_showtime_at = greatest(venue.last_showtime_at, s.last_showtime_at)
  from (select venue_id, count(*) as showtime_count, sum(sold) as sold_total, max(starts_at) as last_showtime_at from new_rows group by venue_id) s
  where s.venue_id = venue.id;
  return null;
end $$;
create trigger keep_venue after insert on showtime referencing new table as new_rows for each statement execute function keep_venue()`

export const writerBulk: BenchCase = {
  name: 'writer-bulk',
  title: 'inserts of 5,000 rows, 8 clients, with capture against without',
  peerName: 'no capture',
  unit: 'rows/s',
  bar: 0.65,
  usesWriters: true,
  run: (bench) =>
    compareWriters(bench, {
      workload: ({ venues }) => ({
        name: 'bulk',
        variables: {},
        sql: `insert into showtime (venue_id, film_id, starts_at, note)
              select 1 + floor(random() * ${venues})::bigint, 7, now(), 'late show' from generate_series(1, ${rows})`,
      }),
      perTransaction: rows,
      handWritten: {
        'a trigger that NOTIFYs each key': notifying,
        'a synchronous trigger': synchronous,
      },
    }),
}
