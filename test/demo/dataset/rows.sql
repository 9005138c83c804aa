-- Everything but tickets (those are loaded in slices by two sessions: tickets.sql).
-- The day of the load is the middle of eight weeks of showings; all else comes from pg_temp.pick.

insert into territory (id, country_code, name, time_zone) values
  (1, 'GB', 'United Kingdom', 'Europe/London'),   (2, 'FR', 'France', 'Europe/Paris'),
  (3, 'DE', 'Germany', 'Europe/Berlin'),          (4, 'IN', 'India', 'Asia/Kolkata'),
  (5, 'JP', 'Japan', 'Asia/Tokyo'),               (6, 'ES', 'Spain', 'Europe/Madrid'),
  (7, 'IT', 'Italy', 'Europe/Rome'),              (8, 'PL', 'Poland', 'Europe/Warsaw'),
  (9, 'NL', 'Netherlands', 'Europe/Amsterdam'),   (10, 'SE', 'Sweden', 'Europe/Stockholm'),
  (11, 'BE', 'Belgium', 'Europe/Brussels'),       (12, 'PT', 'Portugal', 'Europe/Lisbon'),
  (13, 'GR', 'Greece', 'Europe/Athens'),          (14, 'AT', 'Austria', 'Europe/Vienna'),
  (15, 'CH', 'Switzerland', 'Europe/Zurich'),     (16, 'DK', 'Denmark', 'Europe/Copenhagen'),
  (17, 'NO', 'Norway', 'Europe/Oslo'),            (18, 'FI', 'Finland', 'Europe/Helsinki'),
  (19, 'IE', 'Ireland', 'Europe/Dublin'),         (20, 'NZ', 'New Zealand', 'Pacific/Auckland'),
  (21, 'IS', 'Iceland', 'Atlantic/Reykjavik'),    (22, 'LU', 'Luxembourg', 'Europe/Luxembourg');

-- The big countries come first and get the most: the product of two uniform picks leans towards the low ids.
insert into cinema (id, territory_id, name, city)
select n, territory_id,
  (array['Astra', 'Lumen', 'Rialto', 'Meridian', 'Aurora', 'Palace', 'Luna', 'Corso', 'Arcadia', 'Vista', 'Capitol',
         'Polaris', 'Eden', 'Majestic', 'Orion', 'Scala'])[1 + pg_temp.pick(n, 2, 16)]
  || (array['', ' Grand', ' Old Town', ' Harbour', ' Park', ' Station', ' Riverside', ' Mill'])[1 + pg_temp.pick(n, 3, 8)],
  (string_to_array((array[
    'London,Leeds,Bristol,Glasgow,Cardiff', 'Paris,Lyon,Nantes,Lille,Nice', 'Berlin,Hamburg,Leipzig,Munich,Bonn',
    'Mumbai,Delhi,Pune,Chennai,Kochi', 'Tokyo,Osaka,Kyoto,Sapporo,Kobe', 'Madrid,Seville,Bilbao,Valencia,Vigo',
    'Rome,Milan,Turin,Bari,Genoa', 'Warsaw,Gdansk,Krakow,Poznan,Lodz', 'Amsterdam,Utrecht,Delft,Arnhem,Breda',
    'Stockholm,Malmo,Uppsala,Lund,Umea', 'Brussels,Ghent,Liege,Bruges,Mons', 'Lisbon,Porto,Braga,Faro,Evora',
    'Athens,Patras,Volos,Chania,Larissa', 'Vienna,Graz,Linz,Salzburg,Wels', 'Zurich,Basel,Bern,Geneva,Chur',
    'Copenhagen,Aarhus,Odense,Aalborg,Ribe', 'Oslo,Bergen,Tromso,Bodo,Molde', 'Helsinki,Turku,Oulu,Tampere,Pori',
    'Dublin,Cork,Galway,Sligo,Ennis', 'Auckland,Wellington,Nelson,Napier,Dunedin',
    'Reykjavik,Akureyri,Selfoss,Husavik,Hofn', 'Luxembourg,Esch,Vianden,Wiltz,Remich'])[territory_id], ','))[1 + pg_temp.pick(n, 4, 5)]
from (
  select n, 1 + pg_temp.pick(n, 0, 23) * pg_temp.pick(n, 1, 22) / 22 as territory_id from generate_series(1, 3200) n
) placed;

insert into venue (id, cinema_id, name, capacity)
select n, 1 + (n - 1) / 5, 'Screen ' || 1 + (n - 1) % 5, 40 + 10 * (pg_temp.pick(n, 5, 9) + pg_temp.pick(n, 6, 9))
from generate_series(1, 16000) n;

insert into film (id, title, runtime_minutes, released_on)
select n,
  (array['The Quiet', 'A Distant', 'The Last', 'Silver', 'Midnight', 'The Northern', 'Broken', 'The Hidden', 'Second',
         'The Long', 'Paper', 'Winter''s', 'The Green', 'Electric', 'Slow', 'The Unsent'])[1 + n % 16] || ' '
  || (array['Harbour', 'Orchard', 'Letter', 'Signal', 'Garden', 'Railway', 'Horizon', 'Archive', 'Lantern', 'Tide', 'Engine',
            'Meadow', 'Theorem', 'Balcony', 'Comet', 'Ferry', 'Violin', 'Compass', 'Mirror', 'Glacier', 'Parade', 'Kite',
            'Summer', 'Bridge', 'Cartographer'])[1 + n / 16 % 25]
  || (array['', ' Returns', ' at Noon', ' in the Rain', ' of Salt'])[1 + n / 400],
  78 + pg_temp.pick(n, 7, 90), (date_trunc('day', now(), 'UTC') - interval '48 days')::date + n * 74 / 2000
from generate_series(0, 1999) n
where n > 0 union all select 2000, 'The Quiet Harbour, Restored', 121, date_trunc('day', now(), 'UTC')::date;

insert into film_territory (film_id, territory_id, distributor)
select f.id, t.id,
  (array['Northlight', 'Blue Door', 'Papillon', 'Third Act', 'Kestrel'])[1 + pg_temp.pick(f.id, 8, 5)] || ' ' || t.country_code
from film f cross join territory t
where pg_temp.pick(f.id * 22 + t.id, 9, 4) > 0;

-- Showings in the order of their days, so that high ids lie in the future; times of day are local ones. A film runs for
-- about two weeks from its release, and the newest draw the most.
insert into event (id, venue_id, film_id, starts_at, price)
select n, v.id, least(2000, 1 + n / 80 + (500::bigint * pick_film * pick_film / 1000000)::integer),
  ((date_trunc('day', now(), 'UTC') at time zone 'UTC') + make_interval(days => n / 2143 - 28, mins => 660 + 15 * pg_temp.pick(n, 10, 46)))
    at time zone t.time_zone,
  (700 + 50 * pg_temp.pick(v.cinema_id, 11, 15)) / 100.0
from (select n, 1 + pg_temp.pick(n, 12, 16000) as venue_id, pg_temp.pick(n, 13, 1000) as pick_film from generate_series(1, 120000) n) e
join venue v on v.id = e.venue_id join cinema c on c.id = v.cinema_id join territory t on t.id = c.territory_id;
