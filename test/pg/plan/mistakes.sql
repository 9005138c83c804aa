create table venue (id integer primary key, cinema_id integer, name text, code varchar(10) unique, price numeric(8, 2),
  label text, double integer generated always as (id * 2) stored, serial integer generated always as identity, materialized_at_text text);
create table cinema (id integer primary key, country_id integer, name text);
create table showtime (id bigint primary key, venue_id integer references venue (id), sold integer, starts_at timestamptz);
create table nokey (id integer);
create view venue_view as select id, name from venue;
create view busy as select venue_id, count(*) as n from showtime group by venue_id;
create materialized view totals as select venue_id, sum(sold) as sold from showtime group by venue_id;
create table pair (a integer, b text, primary key (a, b));
create table parted (id integer, region text, v integer, primary key (id, region)) partition by list (region);
create table parted_eu partition of parted for values in ('eu');
create table parent (id integer primary key);
create table child () inherits (parent);
create schema sales;
create table sales."Order" ("Id" integer primary key, total numeric);
create function sold_of(venue integer) returns bigint language plpgsql stable as 'begin return (select sum(sold) from showtime where venue_id = venue); end';
