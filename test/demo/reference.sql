-- What every materialized column should hold, worked out from the people's own columns alone: whole tables at a time, by other
-- joins and groupings than the definitions use, and never from a column that pgfresh wrote (but for its stamp, where a value
-- depends on the day). reference.ts runs this in one REPEATABLE READ transaction and then compares.

create temp table expected_event on commit drop as
select e.id, e.film_id, e.starts_at, e.venue_id, v.cinema_id, c.territory_id,
  e.starts_at at time zone y.time_zone as starts_at_local,
  coalesce(s.tickets_sold, 0) as tickets_sold, coalesce(s.gross, 0) as gross, s.last_sold_at,
  v.capacity - coalesce(s.tickets_sold, 0) as seats_left
from event e
  inner join venue v on v.id = e.venue_id
  inner join cinema c on c.id = v.cinema_id
  inner join territory y on y.id = c.territory_id
  left join (
    select event_id, count(*) as tickets_sold, sum(price) as gross, max(sold_at) as last_sold_at from ticket group by event_id
  ) s on s.event_id = e.id;

create temp table expected_venue on commit drop as
select v.id, c.territory_id, coalesce(s.event_count, 0) as event_count, s.last_event_at
from venue v
  inner join cinema c on c.id = v.cinema_id
  left join (select venue_id, count(*) as event_count, max(starts_at) as last_event_at from event group by venue_id) s on s.venue_id = v.id;

create temp table expected_cinema on commit drop as
select c.id, c.territory_id, y.country_code, y.time_zone, coalesce(s.venue_count, 0) as venue_count, coalesce(s.seat_count, 0) as seat_count,
  -- A count of the next seven days is right if it was right when it was computed or is right now: the two differ only past midnight.
  case when c.upcoming_event_count = coalesce(w.then, 0) then coalesce(w.then, 0) else coalesce(w.today, 0) end as upcoming_event_count
from cinema c
  inner join territory y on y.id = c.territory_id
  left join (select cinema_id, count(*) as venue_count, sum(capacity) as seat_count from venue group by cinema_id) s on s.cinema_id = c.id
  left join (
    select b.id,
      count(*) filter (where e.starts_at >= today and e.starts_at < today + interval '168 hours') as today,
      count(*) filter (where e.starts_at >= stamped and e.starts_at < stamped + interval '168 hours') as then
    from (
      select id, date_trunc('day', now(), 'UTC') as today, date_trunc('day', week_materialized_at, 'UTC') as stamped from cinema
    ) b
    inner join expected_event e on e.cinema_id = b.id
    group by b.id
  ) w on w.id = c.id;

create temp table expected_territory on commit drop as
select y.id, count(c.id) as cinema_count, coalesce(sum(c.venue_count), 0) as venue_count, coalesce(sum(c.seat_count), 0) as seat_count
from territory y left join expected_cinema c on c.territory_id = y.id
group by y.id;

create temp table expected_film on commit drop as
select f.id, count(e.id) as event_count, min(e.starts_at) as first_showing_at, max(e.starts_at) as last_showing_at,
  coalesce(sum(e.tickets_sold), 0) as tickets_sold, coalesce(sum(e.gross), 0) as gross
from film f left join expected_event e on e.film_id = f.id
group by f.id;

create temp table expected_film_territory on commit drop as
select l.film_id, l.territory_id,
  coalesce(sum(e.tickets_sold), 0) as tickets_sold, coalesce(sum(e.gross), 0) as gross
from film_territory l left join expected_event e on e.film_id = l.film_id and e.territory_id = l.territory_id
group by l.film_id, l.territory_id;

-- The views hold what there was at their last refresh. Which moment that is they don't say, so an event that began in the middle of it
-- may be there or not: it is not `sure`. The moments are the one thing taken from pgfresh's bookkeeping.
create temp table refreshed on commit drop as
select pg_catalog.to_regclass(materialized_view_name)::text as view, last_attempted_at as since, last_refreshed_at as until
from pgfresh.materialized_view_refresh_schedule;

create temp table expected_last_week_event on commit drop as
select e.id, e.starts_at, e.cinema_id, e.film_id, e.tickets_sold, e.gross,
  e.starts_at >= r.until - interval '168 hours' and e.starts_at < r.since as sure
from expected_event e inner join refreshed r on r.view = 'last_week_event'
where e.starts_at >= r.since - interval '168 hours' and e.starts_at < r.until;

create temp table expected_future_event on commit drop as
select e.id, e.starts_at, e.cinema_id, e.film_id, e.seats_left, e.starts_at >= r.until as sure
from expected_event e inner join refreshed r on r.view = 'future_event'
where e.starts_at >= r.since;
