/**
 * Bad input in the definition of a view: each mistake gets one clear message with file, line and what to do, and nothing is changed.
 */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { forEachMajor, freshDatabase, testDatabase } from '../../support/database.ts'
import { applyTo, definitions, mistakesOf, planFor, stepLines, views, type WrittenView } from './planning.ts'

const tables = `${readFileSync(new URL('mistakes.sql', import.meta.url), 'utf8')};
  create index venue_by_cinema on venue (cinema_id);
  create type mood as enum ('good', 'bad');
  create extension postgres_fdw;
  create server elsewhere foreign data wrapper postgres_fdw;
  create foreign table far (id integer) server elsewhere;
  create schema empty;`

const fine: WrittenView = { query: 'select id, name from venue', key: ['id'], every: '1 minute' }

interface ViewCase {
  readonly written: WrittenView
  /** As it is printed, line by line. */
  readonly expected: readonly string[]
}

const cases: Readonly<Record<string, ViewCase>> = {
  'a query that cannot be read, with its line': {
    written: { ...fine, query: 'select id\nfrom venue v\nwhere v.zzzzzz = 1' },
    expected: ['v.ts:32: the query: column v.zzzzzz does not exist', '  In: where v.zzzzzz = 1'],
  },
  'a table that does not exist': {
    written: { ...fine, query: 'select id from venues' },
    expected: [
      'v.ts:30: the query: relation "venues" does not exist',
      '  There is no table or alias of that name in it; tables without a schema are looked up along the search_path public, others are written schema.table.',
      '  In: select id from venues',
    ],
  },
  'more than one statement': {
    written: { ...fine, query: 'select id from venue) as (select 1' },
    expected: [
      'v.ts:30: the query: syntax error at or near "as"',
      '  In: select id from venue) as (select 1',
    ],
  },
  'a query that writes': {
    written: { ...fine, query: 'with gone as (delete from venue returning id) select id from gone' },
    expected: ['v.ts:30: the query writes to a table', '  Definitions only read: write a SELECT.'],
  },
  'a column without a name': {
    written: { ...fine, query: 'select id, 1 from venue' },
    expected: ['v.ts:30: the query returns a column without a name', '  Name it: … as total.'],
  },
  'a key that the query does not return': {
    written: { ...fine, key: ['id', 'Id'] },
    expected: [
      'v.ts:10: key: the query of v does not return "Id"; it returns id, name',
      '  Name columns that it returns, or add these to its select list.',
    ],
  },
  'a key that no index can be on': {
    written: { ...fine, query: 'select to_json(id) as id from venue' },
    expected: [
      'v.ts:10: key: no unique index can be on id: data type json has no default operator class for access method "btree"',
      '  Name other columns, or cast them in the query to a type that can be compared.',
    ],
  },
  'an interval that is none, all of them at once': {
    written: { ...fine, every: 'now and then', maximumExecutionDuration: 'long' },
    expected: [
      "v.ts:10: refresh.every: 'now and then' is no interval",
      "  Write an interval as PostgreSQL reads it: '15 minutes', '1 day'.",
      "v.ts:10: maximumExecutionDuration: 'long' is no interval",
      "  Write an interval as PostgreSQL reads it: '15 minutes', '1 day'.",
    ],
  },
  'an interval of less than nothing': {
    written: { ...fine, every: '-1 minute', maximumExecutionDuration: '0' },
    expected: [
      "v.ts:10: refresh.every: '-1 minute' is not more than nothing",
      "  Write an interval as PostgreSQL reads it: '15 minutes', '1 day'.",
      "v.ts:10: maximumExecutionDuration: '0' is not more than nothing",
      "  Write an interval as PostgreSQL reads it: '15 minutes', '1 day'.",
    ],
  },
  'an interval of less than a second': {
    written: { ...fine, every: '500 ms' },
    expected: [
      "v.ts:10: refresh.every: '500 ms' is less than a second",
      '  Refresh a view less often, or materialize columns: they are kept fresh row by row.',
    ],
  },
  'an interval with a negative part': {
    written: { ...fine, every: '1 mon -29 days' },
    expected: [
      "v.ts:10: refresh.every: '1 mon -29 days' has a negative part",
      "  Write it without: '29 days', say.",
    ],
  },
  'a cron text that never comes': {
    written: { query: fine.query, cron: '0 0 30 2 *' },
    expected: ['v.ts:10: refresh: cron "0 0 30 2 *" never comes'],
  },
  'a setting that there is not': {
    written: { ...fine, settings: { work_memory: '1MB' } },
    expected: [
      `v.ts:10: settings: work_memory can't be '1MB': unrecognized configuration parameter "work_memory"`,
      '  Write what "set work_memory = …" takes; a setting of your own has a dot in its name, like app.tenant.',
    ],
  },
  'a name that a table has': {
    written: { ...fine, view: 'nokey' },
    expected: [
      'v.ts:10: nokey is a table, not a materialized view',
      '  Give the view another name, or write its schema: schema.name.',
    ],
  },
  'a name that a view has': {
    written: { ...fine, view: 'public.busy' },
    expected: [
      'v.ts:10: busy is a view, not a materialized view',
      '  Give the view another name, or write its schema: schema.name.',
    ],
  },
  'a name that an index has': {
    written: { ...fine, view: 'venue_by_cinema' },
    expected: [
      "v.ts:10: the name venue_by_cinema is taken by an index, a sequence, a system table or one of pgfresh's own",
      '  Give the view another name, or write its schema: schema.name.',
    ],
  },
  'a name that a type has': {
    written: { ...fine, view: 'mood' },
    expected: [
      'v.ts:10: the name mood is taken by a type, and a view has a type of its own name',
      '  Give the view another name.',
    ],
  },
  'a schema that does not exist': {
    written: { ...fine, view: 'reporting.v' },
    expected: [
      'v.ts:10: there is no schema reporting to create reporting.v in',
      '  Create it: create schema reporting;',
    ],
  },
  "pgfresh's own schema": {
    written: { ...fine, view: 'pgfresh.v' },
    expected: [
      "v.ts:10: schema pgfresh holds pgfresh's own tables, and no views of yours",
      '  Create the view in another schema.',
    ],
  },
  'a materialized view that exists': {
    written: { ...fine, view: 'totals' },
    expected: [
      'v.ts:10: materialized view totals exists, and pgfresh did not make it',
      '  To let pgfresh take it over: adopt: true. Otherwise choose another name.',
    ],
  },
  'a view that reads itself': {
    written: { view: 'totals', query: 'select * from totals', adopt: true },
    expected: ['v.ts:10: the query of v reads totals itself', '  Read the tables that it is made of.'],
  },
  'skipUnchanged where changes go unnoticed': {
    written: {
      skipUnchanged: true,
      query: `select random() as r, sold_of(1) as s, now() as t, (select count(*) from far) as f,
        (select count(*) from totals) as m, (select count(*) from pg_class) as c`,
    },
    expected: [
      "v.ts:10: skipUnchanged: changes of what v reads would go unnoticed: it reads the clock (now()); it calls random(), declared volatile; it calls public.sold_of(venue integer), whose body PostgreSQL doesn't look into before it runs; pg_catalog.pg_class is a system table; far is a foreign table; materialized view totals has no definition and no row in the refresh schedule",
      '  Leave skipUnchanged out: then each refresh is made.',
    ],
  },
}

forEachMajor((major) => {
  describe('a plan with mistakes in a view', () => {
    const database = testDatabase(major)
    beforeAll(async () => {
      const client = await database.connect()
      await client.query(tables)
    })

    it.each(Object.entries(cases))('explains %s', async (_, { written, expected }) => {
      const told = await mistakesOf(planFor(database.url, views({ v: { view: 'v', ...written } })))

      expect(told.split('\n')).toEqual(expected)
    })

    it('explains two definitions of one view', async () => {
      const told = await mistakesOf(
        planFor(database.url, views({ one: { ...fine, view: 'v' }, other: { ...fine, view: 'public.v' } })),
      )

      expect(told).toBe(
        'other.ts:10: other declares materialized view v, and so does one\n' +
          '  Take one of them away, or give it another name.',
      )
    })

    it('explains views that are made of each other', async () => {
      const told = await mistakesOf(
        planFor(
          database.url,
          views({ one: { query: 'select * from other' }, other: { query: 'select * from one' } }),
        ),
      )

      expect(told).toBe(
        'one.ts:10: these materializations are computed from each other: one → other → one\n' +
          '  Compute one of them from the tables that the others are computed from.',
      )
    })

    it('explains a view and a column that are computed from each other', async () => {
      const told = await mistakesOf(
        planFor(database.url, [
          ...views({ v: { query: 'select id, sold from venue' } }),
          ...definitions({
            venue: {
              table: 'venue',
              columns: { sold: '(select count(*) from v where v.id = venue.id)' },
              dependsOn: { v: 'all' },
            },
          }),
        ]),
      )

      expect(told).toBe(
        'v.ts:10: these materializations are computed from each other: v → venue.sold → v\n' +
          '  Compute one of them from the tables that the others are computed from.',
      )
    })

    it('gives advice where nothing is wrong', async () => {
      const plan = await planFor(database.url, [
        ...views({ v: { query: "select id, now() as at, 'today'::date as day from venue" } }),
        ...definitions({
          venue: {
            table: 'venue',
            columns: { t: '(select sold from totals t where t.venue_id = venue.id)' },
            dependsOn: { totals: 'all' },
          },
        }),
      ])

      expect(plan.advice.slice(1)).toEqual([
        "venue reads materialized view totals, which has no definition and no row in the refresh schedule: refreshes that others make aren't seen",
        "v has no key: whoever reads it waits while it is refreshed (ACCESS EXCLUSIVE on v). Name columns that tell its rows apart: key: ['id'], or the like",
        "v reads the clock (now()) and is refreshed only when somebody asks: add refresh: { every: '10 minutes' }, or the like",
        "v says 'today': as a date or time that is read once, when the view is created, and stays what it was then. Write current_date",
      ])
    })
  })

  it('a column and a view that are computed from each other are found too where they exist', async () => {
    const database = await freshDatabase(major)
    await database.query(tables)
    const venue = { table: 'venue', columns: { sold: 'venue.id + 1' } }
    const v = { query: 'select id, sold from venue', key: ['id'] }
    await applyTo(database.url, [...definitions({ venue }), ...views({ v })])
    const leaning = {
      ...venue,
      columns: { sold: '(select count(*)::integer from v where v.id = venue.id)' },
      dependsOn: { v: 'all' },
    }

    const told = await mistakesOf(
      planFor(database.url, [...definitions({ venue: leaning }), ...views({ v })]),
    )

    expect(told).toBe(
      'venue.ts:10: these materializations are computed from each other: venue.sold → v → venue.sold\n' +
        '  Compute one of them from the tables that the others are computed from.',
    )
  })

  it('rights that are missing are named, each with its GRANT', async () => {
    const database = await freshDatabase(major)
    await database.query(tables)
    const role = await database.createRole()
    await database.query(`
      grant create on database "${database.name}" to "${role.name}";
      revoke create on schema public from public;
      create materialized view theirs as select id from venue`)
    const told = (written: WrittenView) => mistakesOf(planFor(role.url, views({ v: written })))

    expect(await told(fine)).toBe(
      `v.ts:10: role ${role.name} may not create views in schema public\n` +
        `  Run as somebody who may: grant create on schema "public" to "${role.name}";`,
    )
    await database.query(`grant create on schema public to "${role.name}"`)
    expect(await told({ ...fine, skipUnchanged: true })).toBe(
      `v.ts:10: role ${role.name} may not put triggers on venue, which belongs to postgres\n` +
        `  Run as somebody who may: grant "postgres" to "${role.name}";`,
    )
    expect(await told(fine)).toBe(
      `v.ts:10: role ${role.name} may not read all that v reads: permission denied for table venue\n` +
        `  Run as somebody who may: grant select on "public"."venue" to "${role.name}";`,
    )
    await database.query(`grant select on venue to "${role.name}"`)
    expect(await told({ view: 'theirs', query: 'select id from venue', adopt: true })).toBe(
      `v.ts:10: role ${role.name} may not refresh theirs, which belongs to postgres\n` +
        `  Run as somebody who may: grant "postgres" to "${role.name}";`,
    )
    await applyTo(role.url, views({ v: fine }))
    expect(stepLines(await planFor(role.url, views({ v: fine })))).toEqual([])
  })
})
