-- Keys, indexes and foreign keys, once the rows are in. The indexes on join columns are what keeps a recomputed row cheap.
create index on cinema (territory_id);
create index on venue (cinema_id);
create index on event (venue_id);
create index on event (film_id);
alter table cinema add foreign key (territory_id) references territory;
alter table venue add foreign key (cinema_id) references cinema on delete cascade;
alter table film_territory add foreign key (film_id) references film on delete cascade;
alter table film_territory add foreign key (territory_id) references territory;
alter table event add foreign key (venue_id) references venue on delete cascade;
alter table event add foreign key (film_id) references film;
alter table ticket add primary key (id);
alter table ticket add unique (event_id, seat);
alter table ticket add foreign key (event_id) references event on delete cascade;
select setval(pg_get_serial_sequence('territory', 'id'), 22), setval(pg_get_serial_sequence('cinema', 'id'), 3200),
  setval(pg_get_serial_sequence('venue', 'id'), 16000), setval(pg_get_serial_sequence('film', 'id'), 2000),
  setval(pg_get_serial_sequence('event', 'id'), 120000);
