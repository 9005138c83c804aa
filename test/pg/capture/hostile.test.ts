/**
 * Writers whose sessions are set up against us, by accident or on purpose: schemas before pg_catalog with operators, functions and
 * types of our names, temporary tables called like the log, settings that change what a text means.
 */
import { describe, expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { createProject, type Project } from '../../support/project.ts'
import { LogReader } from './log.ts'

/** Everything in it lies or fails, if it is ever found. */
const evilSchema = `
  create schema evil;
  
  create function evil.lie(int, int) returns boolean language sql immutable as 'select false';
  create function evil.lie(text, text) returns boolean language sql immutable as 'select false';
  create operator evil.= (leftarg = int, rightarg = int, function = evil.lie);
  create operator evil.<> (leftarg = int, rightarg = int, function = evil.lie);
  create operator evil.= (leftarg = text, rightarg = text, function = evil.lie);
  create operator evil.<> (leftarg = text, rightarg = text, function = evil.lie);
  create operator evil.< (leftarg = int, rightarg = int, function = evil.lie);
  create function evil.bits(int, int) returns int language sql immutable as 'select 0';
  create operator evil.| (leftarg = int, rightarg = int, function = evil.bits);
  create function evil.join(jsonb, jsonb) returns jsonb language sql immutable as $$ select 'null'::pg_catalog.jsonb $$;
  create operator evil.|| (leftarg = jsonb, rightarg = jsonb, function = evil.join);
  create function evil.record_image_ne(record, record) returns boolean language internal as 'record_image_eq';
  create function evil.jsonb_build_array(variadic "any") returns jsonb language internal as 'jsonb_build_array_noargs';
  create function evil.pg_current_xact_id() returns xid8 language sql as $$ select '3'::xid8 $$;
  create function evil.pg_try_advisory_lock_shared(int, int) returns boolean language sql as $$ select 1 / 0 = 1 $$;
  create function evil.pg_try_advisory_xact_lock_shared(int, int) returns boolean language sql as $$ select 1 / 0 = 1 $$;
  create function evil.pg_try_advisory_xact_lock_shared(bigint, bigint) returns boolean language sql as $$ select 1 / 0 = 1 $$;
  create function evil.pg_notify(text, text) returns void language sql as $$ select $$;
  create function evil.current_setting(text, boolean) returns text language sql as $$ select 'on' $$;
  create function evil.pg_identify_object_as_address(oid, oid, int) returns record language sql as $$ select row(1, 2, 3) $$;
  create domain evil.text as pg_catalog.text check (value = 'never');
  create type evil.regclass as enum ('x'); create type evil.int2 as enum ('x');
  create type evil.int4 as enum ('x'); create type evil.int8 as enum ('x');
  grant usage on schema evil to public`

const everyWrite = [
  `insert into public.ticket values (4, 2, 'b', 40)`,
  `update public.ticket set price = 41 where id operator(pg_catalog.=) 4`,
  `update public.ticket set venue_id = 1, code = 'a' where id operator(pg_catalog.=) 4`,
  `update public.ticket set note = 'x'`,
  `update public.venue set taken = 5 where id operator(pg_catalog.=) 1`,
  'delete from public.ticket where id operator(pg_catalog.=) 4',
  'update public.promotion set bonus = 6',
  'insert into public.promotion values (2, 2, 7)',
  `copy public.ticket (id, venue_id, code, price) from program 'printf "5,2,b,50\\n"' (format csv)`,
]
const everyEntry = [
  'ticket I ["b", 2]',
  'ticket U ["b", 2]>["b", 2]',
  'ticket U ["b", 2]>["a", 1]',
  'venue U ["a", 1]>["a", 1]',
  'ticket D ["a", 1]',
  'promotion U 1>1',
  'promotion I 2',
  'ticket I ["b", 2]',
]

forEachMajor((major) => {
  describe('nothing is lost or caught under', () => {
    test.each([
      ['a search_path with another schema before pg_catalog', 'set search_path = evil, pg_catalog, public'],
      ['a search_path without anything', `set search_path = ''`],
      [
        'temporary tables and types called like ours, before everything else',
        `create temp table change_log_0 (like pgfresh.change_log_0); create temp table change_log (x int);
         create temp table capture (x int); create temp table new_rows (venue_id int, code text);
         create domain pg_temp.text as pg_catalog.text check (value = 'never'); set search_path = pg_temp, evil, pg_catalog, public`,
      ],
      [
        'settings that change what text and plans are',
        `set standard_conforming_strings = off; set escape_string_warning = off; set datestyle = 'SQL, DMY'; set quote_all_identifiers = on;
         set transform_null_equals = on; set plan_cache_mode = force_generic_plan; set enable_indexscan = off; set row_security = off;
         set plpgsql.extra_errors = 'all'; set plpgsql.variable_conflict = 'use_variable'; set plpgsql.check_asserts = off;
         set default_transaction_read_only = off; set statement_timeout = '20s'; set lock_timeout = '1ms'; set jit_above_cost = 0`,
      ],
    ])('%s', async (_, setup) => {
      const { project, log } = await sales(major)
      const writer = await project.database.connect()
      await writer.query(setup)

      for (const sql of everyWrite) await writer.query(sql)

      expect(await log.news()).toEqual(everyEntry)
      await project.drain()
      await project.expectFresh(comparison)
      // Afterwards, because it makes everything stale.
      await writer.query('truncate public.promotion')
      await project.drain()
      await project.expectFresh(comparison)
    })

    test('the rights of a role that may do nothing but write these tables', async () => {
      const { project, log } = await sales(major)
      const role = await project.database.createRole()
      await project.query(`revoke all on schema public from public; revoke all on database ${project.database.name} from public;
        grant connect on database ${project.database.name} to ${role.name}; grant usage on schema public to ${role.name};
        grant select, insert, update, delete, truncate on ticket, promotion, venue to ${role.name}`)
      const writer = await project.database.connect({ connectionString: role.url })

      const writes = everyWrite.map((sql) =>
        sql.startsWith('copy') ? `insert into ticket values (5, 2, 'b', 50)` : sql,
      )
      for (const sql of writes) await writer.query(sql)

      expect(await log.news()).toEqual(everyEntry)
      await project.drain()
      await project.expectFresh(comparison)
      for (const sql of [
        'select from pgfresh.change_log_0',
        'insert into pgfresh.change_log_0 select',
        'select pgfresh.turn_log(1)',
        `select pgfresh.log_key(1, 1::smallint, 'A', null, null)`,
        'select pgfresh.capture_1_insert()',
      ])
        await expect(writer.query(sql), sql).rejects.toMatchObject({ code: '42501' })
    })
  })

  test('the owner of a table has types with casts of his own: no cast runs, in his name or in ours', async () => {
    const project = await createProject(major, 'grant create on schema public to public')
    const role = await project.database.createRole()
    const owner = await project.database.connect({ connectionString: role.url })
    await owner.query(`
      create table witness (who text); grant all on witness to public;
      create type mood as enum ('good', 'bad'); create domain deep as mood; create type pair as (a int, b text);
      create type span as range (subtype = int); create domain small as int check (value < 1000);
      create function tell_json(mood) returns json language plpgsql as $$ begin insert into public.witness values (current_user); return '7'; end $$;
      create function tell(mood) returns text language plpgsql as $$ begin insert into public.witness values (current_user); return 'x'; end $$;
      create function tell(pair) returns text language plpgsql as $$ begin insert into public.witness values (current_user); return 'x'; end $$;
      create function tell(pair[]) returns text language plpgsql as $$ begin insert into public.witness values (current_user); return 'x'; end $$;
      create function tell(span) returns text language plpgsql as $$ begin insert into public.witness values (current_user); return 'x'; end $$;
      create cast (mood as json) with function tell_json(mood); create cast (mood as text) with function tell(mood);
      create cast (pair as text) with function tell(pair); create cast (pair[] as text) with function tell(pair[]);
      create cast (span as text) with function tell(span);
      create table venue (id int primary key);
      create table ticket (venue_id int, price int, mood mood, deep deep, pair pair, pairs pair[], span span, small small, at timestamptz)`)
    await project.materialize(`export const venue = defineColumns({
      table: 'venue',
      columns: { taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)\` },
      dependsOn: { ticket: { via: sql\`select c.venue_id as id from changed c
        where num_nonnulls(c.mood, c.deep, c.pair, c.pairs, c.span, c.small, c.at) > 0\` } },
    })`)
    const log = new LogReader(project)
    await log.news()
    await project.query('truncate witness')

    await owner.query(`set timezone = 'Asia/Kathmandu'; set datestyle = 'SQL, DMY';
      insert into ticket values (1, 5, 'good', 'bad', '(1,b)', '{"(2,c)"}', '[1,5)', 7, '2024-05-06 07:08:09.123456+00');
      update ticket set price = 2; update ticket set pair = '(,)', mood = null; delete from ticket`)

    expect(await project.query('select * from witness')).toEqual([])
    const rest = String.raw`"{\"(2,c)\"}", 7, "[1,5)", 1]`
    const before = `["2024-05-06T07:08:09.123456+00:00", "bad", "good", "(1,b)", ${rest}`
    const after = `["2024-05-06T07:08:09.123456+00:00", "bad", null, "(,)", ${rest}`
    expect(await log.news()).toEqual([
      `ticket I ${before}`,
      `ticket U ${before}>${before}`,
      `ticket U ${before}>${after}`,
      `ticket D ${after}`,
    ])
  })

  test('a stranger who may look into our schema can make no trigger of our functions, or one that does nothing', async () => {
    const project = await createProject(
      major,
      `grant create on schema public to public; create table venue (id int primary key, name text);
       create table ticket (id int, venue_id int, price int) partition by range (id);
       create table ticket_1 partition of ticket for values from (0) to (1000)`,
    )
    await project.materialize(`export const venue = defineColumns({
      table: 'venue',
      columns: { taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)\` },
      dependsOn: { ticket: { via: sql\`select venue_id as id from changed\` } },
    })`)
    const role = await project.database.createRole()
    await project.query(`grant usage on schema pgfresh to ${role.name}`)
    const stranger = await project.database.connect({ connectionString: role.url })
    await stranger.query(`create table witness (who text); grant all on witness to public; create type bait as (x int);
      create function tell(bait) returns int8 language plpgsql as $$ begin insert into public.witness values (current_user); return 1; end $$;
      create cast (bait as int8) with function tell(bait);
      create table mine (id int, venue_id bait, price bait)`)
    const functions = await project.query<{ name: string; owner: boolean }>(
      `select p.proname as name, p.proname ~ (select '^capture_' || id || '_' from pgfresh.capture where source = 'ticket'::regclass) as owner
       from pg_proc p where p.pronamespace = 'pgfresh'::regnamespace and p.prorettype = 'trigger'::regtype order by 1`,
    )
    expect(functions.length).toBe(8)
    const log = new LogReader(project)
    await log.news()

    for (const { name, owner } of functions) {
      const event = name.includes('_') ? (name.split('_').at(-1) ?? '') : 'update'
      const made = stranger.query(
        event === 'inserted'
          ? `create trigger ${name} after insert on mine referencing new table as new_rows for each statement execute function pgfresh.${name}()`
          : event === 'truncate'
            ? `create trigger ${name} after truncate on mine for each statement execute function pgfresh.${name}('1')`
            : `create trigger ${name} after ${event} on mine for each row execute function pgfresh.${name}()`,
      )
      if (owner) await made
      else await expect(made, name).rejects.toMatchObject({ code: '42501' })
    }
    await stranger.query(
      'insert into mine values (1, row(2), row(3)), (2, row(2), row(3)); update mine set price = row(4); delete from mine',
    )

    expect(
      await stranger.query('select count(*)::int as n from pg_trigger where tgrelid = $1::regclass', [
        'mine',
      ]),
    ).toMatchObject({ rows: [{ n: 3 }] })
    expect(await log.news()).toEqual([])
    expect(await project.query('select * from witness')).toEqual([])
    await project.query('insert into ticket values (1, 2, 3)')
    expect(await log.news()).toEqual(['ticket I 2'])
  })

  test('a stranger can call none of our functions that write, even where the schema is open to him', async () => {
    const { project } = await sales(major)
    const role = await project.database.createRole()
    await project.query(`grant usage on schema pgfresh to ${role.name}`)
    const stranger = await project.database.connect({ connectionString: role.url })

    for (const sql of [
      'select pgfresh.turn_log(1)',
      `select pgfresh.log_key(1, 1::smallint, 'A', null, null)`,
      `select pgfresh.log_row(0, 1::smallint, 'R', null, '{}')`,
      `select pgfresh.refresh('venue')`,
    ])
      await expect(stranger.query(sql), sql).rejects.toMatchObject({ code: '42501' })
  })
})

const comparison = {
  stored: 'select id, code, taken, bonus from venue',
  expected: `select v.id, v.code, coalesce(t.sum, 0), coalesce(p.sum, 0) from venue v
    left join (select venue_id, code, sum(price) from ticket group by 1, 2) t on t.venue_id = v.id and t.code = v.code
    left join (select venue_id, sum(bonus) from promotion group by 1) p on p.venue_id = v.id`,
}

async function sales(major: Major): Promise<{ project: Project; log: LogReader }> {
  const project = await createProject(
    major,
    `create table venue (id int, code text, primary key (id, code));
     create table ticket (id int primary key, venue_id int, code text, price int, note text);
     create table promotion (id int primary key, venue_id int, bonus int);
     insert into venue values (1, 'a'), (2, 'b'); insert into ticket values (1, 1, 'a', 10), (2, 2, 'b', 20);
     insert into promotion values (1, 1, 5); ${evilSchema}`,
  )
  await project.materialize(`export const venue = defineColumns({
    table: 'venue',
    columns: {
      taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id and t.code = venue.code)\`,
      bonus: sql\`(select coalesce(sum(p.bonus), 0) from promotion p where p.venue_id = venue.id)\`,
    },
    dependsOn: {
      ticket: { via: sql\`select venue_id as id, code from changed\` },
      promotion: { via: sql\`select v.id, v.code from changed p join venue v on v.id = p.venue_id\` },
    },
  })`)
  await project.drain()
  const log = new LogReader(project)
  await log.news()
  return { project, log }
}
