-- A small cinema database for compose.yaml: the demo's tables with a few thousand rows, which the definitions/ of this repository are
-- about. Read once, by psql as superuser, when the database is created.

-- The application owns the tables. pgfresh gets a login of its own that is a member of the owner, and is no superuser.
create role cinema nologin;
create role pgfresh login password 'pgfresh' in role cinema;
grant create on database cinema to cinema;
grant create on schema public to cinema;
set role cinema;

\ir /sample/tables.sql

insert into territory (id, country_code, name, time_zone) values
  (1, 'GB', 'United Kingdom', 'Europe/London'), (2, 'FR', 'France', 'Europe/Paris'), (3, 'IN', 'India', 'Asia/Kolkata'),
  (4, 'JP', 'Japan', 'Asia/Tokyo');

insert into cinema (id, territory_id, name, city)
select n, 1 + n % 4, (array['Astra', 'Lumen', 'Rialto', 'Scala', 'Eden'])[1 + n % 5] || ' ' || n,
  (array['London', 'Paris', 'Mumbai', 'Tokyo'])[1 + n % 4]
from generate_series(1, 40) n;

insert into venue (id, cinema_id, name, capacity)
select n, 1 + (n - 1) / 5, 'Screen ' || 1 + (n - 1) % 5, 40 + 10 * (n % 17)
from generate_series(1, 200) n;

insert into film (id, title, runtime_minutes, released_on)
select n, (array['The Quiet', 'A Distant', 'Silver', 'Midnight'])[1 + n % 4] || ' '
    || (array['Harbour', 'Orchard', 'Letter', 'Signal', 'Garden'])[1 + n / 4 % 5],
  80 + n * 7 % 80, current_date - 60 + 2 * n
from generate_series(1, 20) n;

insert into film_territory (film_id, territory_id, distributor)
select f.id, t.id, 'Northlight ' || t.country_code from film f cross join territory t where (f.id + t.id) % 5 > 0;

-- Four weeks of showings, with today in the middle: a seat in four is sold of what is over, and ever fewer of what lies ahead.
insert into event (id, venue_id, film_id, starts_at, price)
select n, 1 + n * 37 % 200, 1 + n * 11 % 20, date_trunc('day', now()) + make_interval(days => n / 150 - 14, hours => 11 + n % 12),
  7 + n % 6
from generate_series(1, 4200) n;

insert into ticket (event_id, seat, price, sold_at)
select e.id, seat, e.price, least(e.starts_at, now()) - make_interval(hours => (e.id + seat)::integer % 48)
from event e join venue v on v.id = e.venue_id
cross join lateral generate_series(1, v.capacity / (4 + greatest(0, e.id - 2100)::integer / 150)) seat;

\ir /sample/indexes.sql
reset role;
analyze;
