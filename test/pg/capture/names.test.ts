/**
 * Tables and columns called whatever people call them, in whatever schema, with columns dropped before: the trigger bodies
 * are text that names them, parsed in people's sessions under people's settings.
 */
import { expect, test } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { createProject } from '../../support/project.ts'
import { LogReader } from './log.ts'

/** Names that are hard in one way each: case, reserved words, quotes, dollar quotes, backslashes, comments, more than ASCII. */
const hardNames = [
  'Mixed Case',
  'select',
  'new',
  'old',
  'mask',
  'tg_op',
  'row_',
  'new_rows',
  'xid',
  "it's",
  'a "quoted" one',
  '$$; select 1/0; $$',
  '$pgfresh$',
  '$1',
  'back\\slash',
  '/* comment',
  '-- comment',
  'Größe 尺寸',
  '\u{1F3AC}',
  'n'.repeat(63),
]

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`
const inTemplate = (text: string) => text.replaceAll(/[\\`$]/g, '\\$&')

forEachMajor((major) => {
  test('columns of any name are logged and compared, whatever the writer has set', async () => {
    const list = hardNames.map(quoted)
    const project = await createProject(
      major,
      `create table venue (id int primary key);
       create table reading (id int primary key, ${list.map((name) => `${name} int not null default 0`).join(', ')});
       insert into venue select n from generate_series(0, ${hardNames.length}) n`,
    )
    // All of them are read; all of them are logged, by a route that looks for a key in each.
    await project.materialize(
      inDefinition(
        'venue',
        `(select count(*) * 1000 + coalesce(sum(${list.map((name) => `r.${name}`).join(' + ')}), 0) from reading r where venue.id in (${list.map((name) => `r.${name}`).join(', ')}))`,
        `reading: { via: sql\`${inTemplate(`select k as id from changed c, unnest(array[${list.map((name) => `c.${name}`).join(', ')}]) k`)}\` }`,
      ),
    )
    await project.drain()
    const writer = await project.database.connect()
    await writer.query(`set standard_conforming_strings = off; set backslash_quote = off; set quote_all_identifiers = on;
      set transform_null_equals = on; set plan_cache_mode = force_custom_plan; set array_nulls = off; set search_path = ''`)

    await writer.query('insert into public.reading (id) values (1), (2)')
    await project.drain()
    for (const [at, name] of hardNames.entries()) {
      await writer.query(`update public.reading set ${quoted(name)} = ${at + 1} where id = 1`)
    }
    const entries = await project.query(`select from pgfresh.change_log where op = 'U'`)
    expect(entries).toHaveLength(hardNames.length)
    await writer.query('delete from public.reading where id = 2')
    await project.drain()

    const sum = list.map((name) => `r.${name}`).join(' + ')
    await project.expectFresh({
      stored: 'select id, total from venue',
      expected: `select v.id, count(r.id) * 1000 + coalesce(sum(${sum}), 0) from venue v
        left join reading r on v.id in (${list.map((name) => `r.${name}`).join(', ')}) group by v.id`,
    })
  })

  test('more columns than a function may have arguments are logged', async () => {
    const columns = Array.from({ length: 250 }, (_, at) => `c${at}`)
    const project = await createProject(
      major,
      `create table venue (id int primary key); insert into venue select n from generate_series(0, 400) n;
       create table reading (${columns.map((name) => `${name} int`).join(', ')})`,
    )
    const all = (prefix: string) => columns.map((name) => `${prefix}.${name}`).join(', ')
    await project.materialize(
      inDefinition(
        'venue',
        `(select count(*) from reading r where venue.id in (${all('r')}))`,
        `reading: { via: sql\`select k as id from changed c, unnest(array[${all('c')}]) k\` }`,
      ),
    )

    await project.drain()

    // The parts are put together by an operator, which must be ours.
    const writer = await project.database.connect()
    await writer.query(`create schema evil; create function evil.nothing(jsonb, jsonb) returns jsonb language sql immutable as $$ select '[]'::jsonb $$;
      create operator evil.|| (leftarg = jsonb, rightarg = jsonb, function = evil.nothing); set search_path = evil, pg_catalog, public`)
    await writer.query(
      'insert into reading (c0, c99, c100, c101, c249) values (1, 2, 3, 4, 5), (6, 7, 8, 9, 10)',
    )
    await writer.query('update reading set c99 = 11, c100 = 12, c249 = 13 where c0 = 1')
    await writer.query('delete from reading where c0 = 6')
    await project.drain()

    await project.expectFresh({
      stored: 'select id, total from venue',
      expected: `select v.id, count(r.*) from venue v left join reading r on v.id in (${all('r')}) group by v.id`,
    })
  })

  test('more readers than an entry has bits for share the last one', async () => {
    const columns = Array.from({ length: 18 }, (_, at) => `c${at + 10}`)
    const project = await createProject(
      major,
      `create table venue (id int primary key); insert into venue values (1), (2);
       create table reading (venue_id int primary key, ${columns.map((name) => `${name} int default 0`).join(', ')});
       insert into reading values (1), (2)`,
    )
    await project.materialize(
      columns
        .map(
          (name) => `export const of_${name} = defineColumns({
            table: 'venue', stamp: '${name}_at',
            columns: { ${name}: sql\`(select r.${name} from reading r where r.venue_id = venue.id)\` },
            dependsOn: { reading: { via: sql\`select venue_id as id from changed\` } },
          })`,
        )
        .join('\n'),
    )
    await project.drain()
    const list = columns.join(', ')

    for (const [at, name] of columns.entries()) {
      await project.query(`update reading set ${name} = ${at + 1} where venue_id = 1`)
    }
    await project.drain()

    await project.expectFresh({
      stored: `select id, ${list} from venue`,
      expected: `select venue_id, ${list} from reading`,
    })
    const masks = await project.query<{ mask: number }>(
      `select mask::int from pgfresh.change_log where op = 'U' order by mask`,
    )
    expect(masks.map((row) => row.mask)).toEqual(
      columns.map((_, at) => 2 ** Math.min(at, 14)).sort((a, b) => a - b),
    )
  })

  test('tables of hard names in a schema that is on nobody’s search_path', async () => {
    const project = await createProject(
      major,
      `create schema "Box Office"; create schema "select";
       create table "Box Office"."Order" ("Venue Id" int primary key, "group" int);
       create table "select"."from ""where""" ("ID" int primary key, "Venue Id" int, "user" int);
       create table public."Order" (decoy int); create table public."from ""where""" (decoy int);
       insert into "Box Office"."Order" values (1, 1), (2, 2)`,
    )
    await project.materialize(`export const orders = defineColumns({
      table: '"Box Office"."Order"',
      stamp: 'Fresh At',
      columns: { 'Sum Of "user"': sql\`(select coalesce(sum(f."user"), 0) + "Order"."group" from "select"."from ""where""" f where f."Venue Id" = "Order"."Venue Id")\` },
      dependsOn: { '"select"."from ""where"""': { via: sql\`select "Venue Id" from changed\` } },
    })`)
    await project.drain()
    const log = new LogReader(project)
    const writer = await project.database.connect()
    await writer.query(`set search_path = ''`)

    await writer.query(`insert into "select"."from ""where""" values (1, 1, 5), (2, 2, 6);
      update "select"."from ""where""" set "user" = 7 where "ID" = 1; update "select"."from ""where""" set "ID" = 8 where "ID" = 2;
      update "Box Office"."Order" set "group" = 9 where "Venue Id" = 2; insert into "Box Office"."Order" values (3, 3)`)

    expect(await log.news()).toEqual([
      '"select"."from ""where""" I 1',
      '"select"."from ""where""" I 2',
      '"select"."from ""where""" U 1>1',
      '"Box Office"."Order" U 2>2',
      '"Box Office"."Order" I 3',
    ])
    await project.drain()
    await project.expectFresh({
      stored: 'select "Venue Id", "Sum Of ""user""", "Fresh At" is not null from "Box Office"."Order"',
      expected: `select o."Venue Id", coalesce(sum(f."user"), 0) + o."group", true from "Box Office"."Order" o
        left join "select"."from ""where""" f using ("Venue Id") group by 1, o."group"`,
    })
    expect((await project.plan()).steps).toEqual([])
  })

  test('columns that were dropped before leave gaps that confuse nobody', async () => {
    const project = await createProject(
      major,
      `create table venue (gone int, id int, gone_too int, name text); alter table venue drop column gone, drop column gone_too, add primary key (id);
       create table ticket (a text, b int, venue_id int, c int, price int, d text);
       alter table ticket drop column a, drop column c, drop column d, add column note text;
       insert into venue values (1, 'a'), (2, 'b')`,
    )
    await project.materialize(
      inDefinition(
        'venue',
        '(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)',
        'ticket: { via: sql`select venue_id as id from changed` }',
      ),
    )
    await project.drain()
    const log = new LogReader(project)
    const writer = await project.database.connect()
    const write = (note: string) =>
      writer.query(`insert into ticket (venue_id, price, note) values (1, 5, 'x'); update ticket set note = '${note}';
        update ticket set price = price + 1; delete from ticket where price > 6`)

    await write('before')
    // In a session that has its plans already.
    await project.query('alter table ticket drop column b')
    await write('after')
    await project.query(
      'alter table ticket add column e int default 7, drop column note, add column note text',
    )
    await write('later')

    expect(new Set(await log.news())).toEqual(new Set(['ticket I 1', 'ticket U 1>1', 'ticket D 1']))
    await project.drain()
    await project.expectFresh({
      stored: 'select id, total from venue',
      expected:
        'select v.id, coalesce(sum(t.price), 0) from venue v left join ticket t on t.venue_id = v.id group by v.id',
    })
  })
})

function inDefinition(table: string, expression: string, dependsOn: string): string {
  return `export const one = defineColumns({
    table: '${table}',
    columns: { total: sql\`${inTemplate(expression)}\` },
    dependsOn: { ${dependsOn} },
  })`
}
