/**
 * Advice: what isn't wrong, and worth knowing before it is applied.
 */
import { expect, it } from 'vitest'
import { forEachMajor, freshDatabase } from '../../support/database.ts'
import { applyTo, definitions, planFor } from './planning.ts'

forEachMajor((major) => {
  it('names what reads the clock, what nobody can look into, and what hangs on the target', async () => {
    const database = await freshDatabase(major)
    const client = await database.connect()
    await client.query(`
      create table country (id integer primary key);
      create table venue (id integer primary key, country_id integer references country (id), v integer) partition by range (id);
      create table venue_1 partition of venue for values from (1) to (100);
      create function opaque(k integer) returns bigint stable language plpgsql as 'begin return (select count(*) from country); end';
      create function touch() returns trigger language plpgsql as 'begin return new; end';
      create trigger "Touch it" before update on venue for each row execute function touch();
      create trigger ignored before insert on venue for each row execute function touch();
      create publication feed for table venue`)
    const role = await database.createRole()
    await client.query(`
      grant create on database "${database.name}" to "${role.name}"; grant usage, create on schema public to "${role.name}";
      alter table venue owner to "${role.name}"; alter table venue_1 owner to "${role.name}"; alter table country owner to "${role.name}"`)
    const wanted = definitions({
      venue: {
        table: 'venue',
        columns: {
          country_id: '1',
          days: `venue.v + extract(day from now())::integer`,
          soon: `venue.v < extract(hour from 'now'::text::timestamptz)`,
          chance: 'random()',
          hidden: 'opaque(venue.id)',
        },
        adopt: ['country_id'],
      },
    })

    const { advice } = await planFor(role.url, wanted)

    expect(advice).toEqual([
      "venue reads the clock (now(), 'now') and no change is captured when time passes: add expires: '15 minutes', or the like",
      'venue calls random(), declared volatile: if its result differs each time, verify will find drift',
      "venue calls public.opaque(k integer), whose body PostgreSQL doesn't look into before it runs: tables that it reads need a dependsOn of their own",
      'foreign key venue_country_id_fkey on a column that venue writes: a batch locks the rows it refers to, and may deadlock with writers of them',
      `trigger "Touch it" of venue will run before each of pgfresh's updates, as role ${role.name}`,
      "venue is published by feed: add days, soon, chance, hidden, materialized_at to the subscribers' tables first, or replication stops",
    ])
    await applyTo(role.url, wanted)
    expect((await planFor(role.url, wanted)).steps).toEqual([])
  })

  it('an opaque function lets dependsOn name what only it can know', async () => {
    const database = await freshDatabase(major)
    const client = await database.connect()
    await client.query(`
      create table rate (id integer primary key, value numeric);
      create table venue (id integer primary key);
      create function opaque(k integer) returns numeric stable language plpgsql as 'begin return (select sum(value) from rate); end'`)
    const wanted = definitions({
      venue: { table: 'venue', columns: { r: 'opaque(venue.id)' }, dependsOn: { rate: 'all' } },
    })

    await applyTo(database.url, wanted)

    const [row] = await database.query<{ reads: unknown }>(
      `select r -> 'reads' as reads from pgfresh.materialization, jsonb_array_elements(compiled -> 'routes') r where r ->> 'kind' = 'all'`,
    )
    expect(row?.reads).toEqual(['id', 'value'])
  })

  it('names large tables that every batch would read from end to end', async () => {
    const database = await freshDatabase(major)
    const client = await database.connect()
    await client.query(`
      create table t (id integer primary key, a integer);
      create table s (t_id integer, v integer);
      insert into t select i, i from generate_series(1, 30000) i;
      insert into s select i % 30000, i from generate_series(1, 60000) i;
      analyze t, s`)
    const wanted = definitions({
      byExpression: {
        table: 't',
        columns: { n: '(select count(*) from s where s.t_id = t.id)' },
        dependsOn: { s: 'select t_id as id from changed' },
      },
      byQuery: {
        table: 't',
        stamp: 'b',
        query: 'select t_id as id, sum(v) as total from s group by t_id',
        dependsOn: { s: 'select t_id as id from changed' },
      },
      ranked: {
        table: 't',
        stamp: 'c',
        query: 'select id, rank() over (order by a) as r from t',
        dependsOn: { t: 'all' },
      },
    })
    const told = async () =>
      (await planFor(database.url, wanted)).advice.filter((advice) => advice.startsWith('every batch'))

    expect(await told()).toEqual([
      'every batch of byExpression would read all of s to find (s.t_id = t.id): an index may be missing',
      'every batch of byQuery would read all of s to find its rows by s.t_id: an index may be missing',
      'every batch of ranked would read all of t: it computes each row from all of them',
    ])
    await client.query('create index on s (t_id)')
    expect(await told()).toEqual([
      'every batch of ranked would read all of t: it computes each row from all of them',
    ])
  })
})
