/**
 * Right after apply, plan is empty (invariant 9), whatever the definitions are: names that need quotes, other schemas, composite keys,
 * partitions, inheritance, chains, and any of them together; applied by us, or by hand from the printed SQL.
 */
import { describe, expect, it } from 'vitest'
import { planSql } from '../../../src/plan/render.ts'
import { forEachMajor, freshDatabase, type Major, type TestDatabase } from '../../support/database.ts'
import { applyTo, definitions, planFor, stepLines, type Written } from './planning.ts'

const tables = `
  create schema "Sales Data";
  create type "Sales Data"."Grade" as enum ('low', 'high');
  create domain positive as numeric(10, 2) check (value >= 0);
  create table plain (id integer primary key, parent_id integer, v integer, n text);
  create table "Sales Data"."Or""der" ("Id" text, "At" timestamptz(3), "Customer No" bigint, total positive, primary key ("At", "Id"));
  create table parted (region text, id bigint, v integer, primary key (id, region)) partition by list (region);
  create table parted_eu partition of parted for values in ('eu') partition by hash (id);
  create table parted_eu_0 partition of parted_eu for values with (modulus 2, remainder 0);
  create table parted_eu_1 partition of parted_eu for values with (modulus 2, remainder 1);
  create table parted_us partition of parted for values in ('us');
  create table event (plain_id integer, at date not null, amount numeric) partition by range (at);
  create table event_2024 partition of event for values from ('2024-01-01') to ('2025-01-01');
  create table note (plain_id integer, body text);
  create table note_old () inherits (note);
  create view plain_notes as select plain_id, count(*) as notes from note group by plain_id;
  create table dropped (gone integer, plain_id integer, amount integer);
  alter table dropped drop column gone;
  create function twice(x integer) returns integer language sql immutable as 'select x * 2';`

/** Each can be applied by itself. */
const every: Readonly<Record<string, Written>> = {
  expressions: {
    table: 'plain',
    columns: {
      doubled: 'twice(plain.v)',
      label: `'#' || plain.n`,
      missing: 'null',
      grade: `'low'::"Sales Data"."Grade"`,
    },
  },
  total: {
    table: 'public.plain',
    stamp: 'total at',
    query: `select plain_id as id, sum(amount) as "Total ""amount""", count(*) filter (where amount > 0)::integer as n2 from event group by plain_id`,
    defaults: { n2: '0' },
    dependsOn: { event: 'select plain_id as id from changed' },
  },
  children: {
    table: 'plain',
    stamp: 'children_at',
    columns: { children: '(select count(*) from plain c where c.parent_id = plain.id)' },
    dependsOn: { plain: 'select parent_id as id from changed' },
  },
  notes: {
    table: 'plain',
    stamp: 'notes_at',
    columns: { notes: '(select notes from plain_notes n where n.plain_id = plain.id)' },
    dependsOn: { note: 'select plain_id as id from changed' },
  },
  chained: {
    table: 'plain',
    stamp: 'chained_at',
    columns: {
      chained: 'plain.v + coalesce((select sum(d.amount) from dropped d where d.plain_id = plain.id), 0)',
    },
    dependsOn: { dropped: 'select plain_id as id from changed' },
  },
  order: {
    table: '"Sales Data"."Or""der"',
    stamp: 'Stamp "of" order',
    columns: {
      'per day': `("Or""der".total / greatest(extract(day from "Or""der"."At"), 1))::numeric(12, 4)`,
      select: `(select count(*) from "Sales Data"."Or""der" o where o."Customer No" = "Or""der"."Customer No")`,
    },
    dependsOn: {
      '"Sales Data"."Or""der"':
        'select o."Id", o."At" from changed c join "Sales Data"."Or""der" o on o."Customer No" = c."Customer No"',
    },
    expires: '1 day',
  },
  partitioned: {
    table: 'parted',
    query: `select p.id, p.region, p.v + p2.n as w from parted p cross join lateral (select count(*) as n from event where at = '2024-05-05') p2`,
    dependsOn: { event: 'all' },
  },
  leaf: {
    table: 'plain',
    stamp: 'leaf_at',
    columns: {
      in_us: `(select sum(u.v) from parted_us u where u.id = plain.id)`,
      in_all: '(select count(*) from note)',
    },
    dependsOn: { parted_us: 'select id::integer as id from changed', note: 'all' },
    settings: { work_mem: '8MB', 'app.tenant': 'x' },
  },
}

/** Reads what others add. */
const chains: Readonly<Record<string, Written>> = {
  ...every,
  second: {
    table: 'plain',
    stamp: 'second_at',
    columns: { second: 'plain.doubled + plain.chained' },
  },
  'in its own schema': {
    table: '"Sales Data"."Or""der"',
    stamp: 'Doubled at',
    columns: { doubled: '"Or""der"."per day" * 2' },
  },
  'by full names': {
    table: 'plain',
    stamp: 'named_at',
    columns: {
      named: `(select max("Sales Data"."Or""der"."per day") /* ä */ from "Sales Data"."Or""der"
        where "Sales Data"."Or""der"."Customer No" = public.plain.chained)`,
    },
    dependsOn: {
      '"Sales Data"."Or""der"':
        'select p.id from changed c join public.plain p on p.chained = c."Customer No"',
    },
  },
  'by a query with full names': {
    table: 'public.plain',
    stamp: 'queried_at',
    query: 'select p.id, p.second * 2 as queried from public.plain p',
  },
  third: {
    table: 'parted',
    stamp: 'third_at',
    columns: { third: '(select max(p.second) from plain p where p.id = parted.v)' },
    dependsOn: { plain: 'select x.id, x.region from changed c join parted x on x.v = c.id' },
  },
}

async function database(major: Major): Promise<TestDatabase> {
  const fresh = await freshDatabase(major)
  const client = await fresh.connect()
  await client.query(tables)
  return fresh
}

forEachMajor((major) => {
  describe('a plan right after apply is empty', () => {
    it.each(Object.entries(every))('for the definition %s', async (name, written) => {
      const { url } = await database(major)
      const wanted = definitions({ [name]: written })

      await applyTo(url, wanted)

      expect(stepLines(await planFor(url, wanted, { prune: true, drop: true }))).toEqual([])
    })

    it('for all of them at once, chains included, and from a database with data and statistics', async () => {
      const fresh = await database(major)
      const { url } = fresh
      const wanted = definitions(chains)

      await applyTo(url, wanted)
      expect(stepLines(await planFor(url, wanted, { prune: true, drop: true }))).toEqual([])

      await fresh.query('insert into plain select i, i / 7, i, i::text from generate_series(1, 5000) i')
      await fresh.query(
        `insert into event select i % 5000, '2024-01-01'::date + i % 300, i from generate_series(1, 20000) i`,
      )
      await fresh.query('analyze')
      expect(stepLines(await planFor(url, wanted, { prune: true, drop: true }))).toEqual([])
    })

    it('as they come and go one by one, in an order of chance', async () => {
      const { url } = await database(major)
      const names = Object.keys(chains)
      const random = randomNumbers(20_240_501)
      let present: string[] = []
      for (let round = 0; round < 16; round++) {
        const name = names[Math.floor(random() * names.length)] ?? ''
        present = present.includes(name) ? present.filter((one) => one !== name) : [...present, name]
        // What others read has to be there.
        const whole = present.some((one) => !(one in every))
          ? [...new Set([...present, 'expressions', 'chained', 'second', 'order'])]
          : present
        if (whole.length === 0) continue
        const wanted = definitions(Object.fromEntries(whole.map((one) => [one, chains[one] as Written])))
        const options = { prune: true, drop: true }

        await applyTo(url, wanted, options)

        expect(stepLines(await planFor(url, wanted, options))).toEqual([])
      }
    })
  })

  it('the printed SQL, run by hand, does what apply does', async () => {
    const fresh = await database(major)
    const { url } = fresh
    const wanted = definitions(chains)
    const client = await fresh.connect()

    await client.query(planSql(await planFor(url, wanted)))

    expect(stepLines(await planFor(url, wanted))).toEqual([])
    expect(planSql(await planFor(url, wanted))).toBe('-- Nothing to do.\n')
  })
})

/** The same numbers for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
