/**
 * What a query reads, as PostgreSQL resolves it: a column too few would be silently stale.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { Session } from '../../../src/db/session.ts'
import { type Reads, readsOf } from '../../../src/lineage/reads.ts'
import { inScratch } from '../../../src/lineage/scratch.ts'
import { forEachMajor, freshDatabase, type TestDatabase, testDatabase } from '../../support/database.ts'
import { applyTo, definitions } from './planning.ts'

const tables = `
  create table a (id integer primary key, v integer, w text);
  create table b (id integer primary key, a_id integer, x numeric, y numeric);
  create view b_of_a as select a_id, sum(x) as x from b group by a_id;
  create view deep as select o.a_id, o.x, a.w from b_of_a o join a on a.id = o.a_id;
  create function opaque(k integer) returns bigint stable language plpgsql as 'begin return (select count(*) from b where a_id = k); end';
  create function clear(k integer) returns numeric stable begin atomic select sum(y) from b where a_id = k; end;
  create function label(a) returns text immutable language sql as 'select $1.w';
  create aggregate product (numeric) (sfunc = numeric_mul, stype = numeric, initcond = 1);`

/** Query, then table to columns (`*` for a whole row), then what else is said of it. */
const cases: Readonly<Record<string, readonly [string, Readonly<Record<string, string>>, string?]>> = {
  'columns, also in conditions': ['select id, v from a where w is not null', { a: 'id v w' }],
  'the columns of a star': ['select * from a', { a: 'id v w' }],
  'a join by name, an alias, a subquery': [
    'select q.id from (select x.id, b.y from a x join b using (id)) q',
    { a: 'id', b: 'id y' },
  ],
  'a common table expression': [
    'with t as (select a_id, max(x) as m from b group by 1) select id, m from a left join t on a_id = id',
    { a: 'id', b: 'a_id x' },
  ],
  'count(*) as nothing but rows': ['select count(*) from b', { b: '' }],
  'a whole row as all columns': ['select to_jsonb(b) from b', { b: '*' }],
  'a whole row beside a single column': ['select b.id, b::text from b', { b: '*' }],
  'a whole row behind an alias': ['select q::text from (select id, v from a) q', { a: 'id v' }],
  'the whole row of a join': ['select j::text from (a join b on a.id = b.a_id) j', { a: '*', b: '*' }],
  'a function over a row': ['select label(a) from a', { a: '*' }, 'functions public.label(a)'],
  'a comparison of rows': [
    'select 1 from a join b on row(a.id, a.v) = row(b.id, b.a_id)',
    { a: 'id v', b: 'a_id id' },
  ],
  'a view': ['select a_id from b_of_a', { b: 'a_id x' }, 'through public.b_of_a'],
  'a view over a view': ['select w from deep', { a: 'id w', b: 'a_id x' }, 'through public.deep'],
  'lateral, exists, union': [
    `select a.id from a cross join lateral (select y from b where b.a_id = a.v limit 1) l
     where exists (select from b where b.x > l.y) union all select 1`,
    { a: 'id v', b: 'a_id x y' },
    'ranks',
  ],
  'a function that can be read': [
    'select clear(id) from a',
    { a: 'id', b: 'a_id y' },
    'functions public.clear(k integer)',
  ],
  'a function that can not': ['select opaque(id) from a', { a: 'id' }, 'opaque public.opaque(k integer)'],
  'an aggregate of people': ['select product(x) from b', { b: 'x' }, 'functions public.product(numeric)'],
  'the clock': ['select id, now(), localtime from a', { a: 'id' }, 'clock now(), current_date or the like'],
  'the age of something': [
    'select age(now() - make_interval(days => id)) from a',
    { a: 'id' },
    'clock age(), now()',
  ],
  chance: ['select id + random() from a', { a: 'id' }, 'volatile random()'],
  'system tables': ['select count(*) from pg_class, information_schema.columns', {}, 'system'],
  'a window': ['select id, rank() over (order by v) from a', { a: 'id v' }, 'ranks'],
  'distinct on': ['select distinct on (a_id) a_id, x from b order by a_id, y', { b: 'a_id x y' }, 'ranks'],
}

function summary(reads: Reads): string | undefined {
  const through = [...new Set([...reads.tables.values()].flatMap((table) => table.through ?? []))]
  const opaque = reads.functions.filter((one) => one.opaque).map((one) => one.name)
  const clear = reads.functions.filter((one) => !one.opaque).map((one) => one.name)
  if (reads.systemTables.length > 0) return 'system'
  if (through.length > 0) return `through ${through.join(', ')}`
  if (opaque.length > 0) return `opaque ${opaque.join(', ')}`
  if (clear.length > 0) return `functions ${clear.join(', ')}`
  if (reads.clock.length > 0) return `clock ${reads.clock.join(', ')}`
  if (reads.volatile.length > 0) return `volatile ${reads.volatile.join(', ')}`
  return reads.tree.ranks ? 'ranks' : undefined
}

async function describeReads(database: TestDatabase, reads: Reads): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const table of reads.tables.values()) {
    const [row] = await database.query<{ name: string; columns: string | null }>(
      `select $1::oid::regclass::text as name,
         (select string_agg(attname, ' ' order by attname) from pg_attribute where attrelid = $1::oid and attnum = any($2::int[])) as columns`,
      [table.oid, table.columns === 'all' ? [] : [...table.columns]],
    )
    found[row?.name ?? ''] = table.columns === 'all' ? '*' : (row?.columns ?? '')
  }
  return found
}

async function readsOfQuery(url: string, sql: string): Promise<Reads | undefined> {
  const session = await Session.open({ url }, 'test')
  try {
    return await inScratch(session, { search_path: 'public', TimeZone: 'UTC' }, async (scratch) => {
      const piece = { sql, place: { file: 'test', line: 1 }, what: 'the query' }
      await scratch.view('scratch', piece, { before: '(', after: '\n)' })
      return (await readsOf(scratch, ['scratch'])).get('scratch')
    })
  } finally {
    await session.close()
  }
}

forEachMajor((major) => {
  describe('a query reads', () => {
    const database = testDatabase(major)
    beforeAll(async () => {
      const client = await database.connect()
      await client.query(tables)
    })

    it.each(Object.entries(cases))('%s', async (_, [sql, expected, more]) => {
      const reads = await readsOfQuery(database.url, sql)
      if (reads === undefined) throw new Error('no reads')
      const found = await describeReads(database, reads)

      expect(more === 'system' ? {} : found).toEqual(expected)
      expect(summary(reads)).toBe(more)
    })
  })

  it('keys go into a query in the way that the server estimates to be the cheaper one', async () => {
    const database = await freshDatabase(major)
    await database.query(`
      create table t (id integer primary key, a integer);
      create table s (t_id integer, v integer);
      create table k (x integer, y integer, primary key (x, y));
      create table ks (x integer, y integer, v integer);
      insert into t select i, i from generate_series(1, 20000) i;
      insert into s select i % 20000, i from generate_series(1, 100000) i;
      insert into k select i / 100, i % 100 from generate_series(1, 20000) i;
      insert into ks select i / 1000, i % 100, i from generate_series(1, 200000) i;
      create index on s (t_id);
      create index on ks (x, y)`)
    await database.query('analyze')

    await applyTo(
      database.url,
      definitions({
        grouped: {
          table: 't',
          query: 'select t_id as id, sum(v) as n from s group by t_id',
          dependsOn: { s: 'all' },
        },
        ranked: {
          table: 't',
          stamp: 'r_at',
          query: 'select id, rank() over (order by a) as r from t',
          dependsOn: { t: 'all' },
        },
        composite: {
          table: 'k',
          query: 'select x, y, sum(v) as n from ks group by x, y',
          dependsOn: { ks: 'all' },
        },
        compositeRank: {
          table: 'k',
          stamp: 'r_at',
          query: 'select x, y, rank() over (order by x, y) as r from k',
          dependsOn: { k: 'all' },
        },
      }),
    )

    expect(
      await database.query(
        `select name, compiled -> 'form' ->> 'keys' as keys from pgfresh.materialization order by id`,
      ),
    ).toEqual(
      expect.arrayContaining([
        { name: 'grouped', keys: 'any' },
        { name: 'ranked', keys: 'any' },
        { name: 'composite', keys: 'lateral' },
        { name: 'compositeRank', keys: 'any' },
      ]),
    )
  })
})
