/**
 * Keys cross the log, the queue and the batches exactly, whatever the writer's session prints and whatever their types are [A13].
 */
import { expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { type Comparison, createProject, type Project } from '../../support/project.ts'

/** How a writer's session may print things: each of these once sent a key past its row. */
const strangeSession = `set datestyle = 'SQL, DMY'; set timezone = 'America/St_Johns'; set intervalstyle = 'sql_standard';
  set extra_float_digits = 0; set bytea_output = 'escape'; set xmloption = 'content'; set lc_numeric = 'C'`

/** Key columns and values of theirs as SQL, of which each is a trap of its own. */
const keys: Readonly<
  Record<string, { readonly columns: Readonly<Record<string, string>>; readonly values: readonly string[] }>
> = {
  'timestamptz with microseconds, mixed-case text, numeric': {
    columns: { at: 'timestamptz', '"Name"': 'text', amount: 'numeric' },
    values: [
      `'2024-02-01 03:04:05.123456+00', 'Aa', 1.10`,
      `'2024-01-02 03:04:05.123457+00', 'aA', 1.100000000000000000001`,
      `'2024-01-02 03:04:05.123456+00', 'AA "q" \\ '',', 12345678901234567890.5`,
      `'infinity', '', 'NaN'`,
      `'0044-03-15 12:00:00 BC', 'ä€😀', -0.000001`,
    ],
  },
  'numeric of several scales': {
    columns: { amount: 'numeric' },
    values: ['1.0', '2.00', '3', '1e30', '-7.50', `'NaN'`, `'Infinity'`],
  },
  uuid: {
    columns: { id: 'uuid' },
    values: [`'6a1f0b1e-0000-4000-8000-00000000000a'`, `'FFFFFFFF-0000-4000-8000-00000000000B'`],
  },
  bytea: { columns: { id: 'bytea' }, values: [`'\\x00ff'`, `'\\x5c78'`, `''`, `'\\x6162'`] },
  interval: {
    columns: { id: 'interval' },
    values: [`'1 mon'`, `'-1 year 2 mons -3 days 04:05:06.000007'`, `'36 hours'`, `'-00:00:01.5'`],
  },
  float8: {
    columns: { id: 'float8' },
    values: ['0.1::float8 + 0.2', '1e-300', '123456789.123456789', `'-Infinity'`, `'NaN'`],
  },
  float4: { columns: { id: 'float4' }, values: ['0.1', '16777217', '3.4e38'] },
  date: {
    columns: { id: 'date' },
    values: [`'2024-02-01'`, `'2024-01-02'`, `'0001-01-01 BC'`, `'infinity'`],
  },
  'timestamp and time': {
    columns: { at: 'timestamp', of: 'time' },
    values: [`'2024-02-01 01:02:03.000001', '23:59:59.999999'`, `'2024-01-02 01:02:03', '00:00'`],
  },
  timetz: { columns: { id: 'timetz' }, values: [`'12:00:00.5+05:45'`, `'12:00:00-03:30'`] },
  'bigint past what a double keeps': {
    columns: { id: 'bigint' },
    values: ['9007199254740993', '-9223372036854775808', '9223372036854775807'],
  },
  'smallint and boolean': {
    columns: { id: 'smallint', flag: 'boolean' },
    values: ['-32768, true', '7, false'],
  },
  'char(n) and varchar(n)': {
    columns: { a: 'char(5)', b: 'varchar(5)' },
    values: [`'ab', 'cd '`, `'ab', 'cd'`, `'', ' '`],
  },
  'an enum and a domain': {
    columns: { mood: 'mood', code: 'code' },
    values: [`'so, so', 'X1'`, `'"fine"', 'x1'`],
  },
  'an array': {
    columns: { id: 'text[]' },
    values: [`array['a,b', '{c}', 'null', '']`, `array['d']`, `'{}'`],
  },
  'an array of timestamps': {
    columns: { id: 'timestamptz[]' },
    values: [`array['2024-02-01 03:04:05.123456+00', 'infinity']::timestamptz[]`],
  },
  'a range': {
    columns: { id: 'tstzrange' },
    values: [`tstzrange('2024-02-01 00:00:00.000001+00', null)`, `'empty'`],
  },
  'inet and oid': { columns: { a: 'inet', o: 'oid' }, values: [`'10.0.0.1/24', 4294967295`, `'::1', 0`] },
  'a composite type': {
    columns: { id: 'pair' },
    values: [`row('a,"b', '2024-02-01')::pair`, `row('', '2024-01-02')::pair`],
  },
}

const types = `create type mood as enum ('so, so', '"fine"'); create domain code as varchar(4) check (value <> '');
  create type pair as (name text, day date)`

forEachMajor((major) => {
  test('keys of every type find their rows, though a session wrote them that prints everything another way [A13]', async () => {
    const project = await createProject(major, types)
    const all = Object.entries(keys).map(([name, { columns, values }], at) => ({ name, columns, values, at }))
    for (const { columns, at } of all) await project.query(tablesFor(columns, at))
    await project.materialize(all.map(({ columns, at }) => definitionFor(columns, at)).join('\n'))
    await project.drain()
    const writer = await project.database.connect()
    await writer.query(strangeSession)
    const everywhere = async (when: string) => {
      expect(await project.drain(), when).toEqual({ quarantined: 0, failing: [], paused: [] })
      for (const { name, columns, at } of all)
        await project.expectFresh(comparisonFor(Object.keys(columns), at), `${name}, ${when}`)
    }

    for (const { columns, values, at } of all) {
      const names = Object.keys(columns).join(', ')
      for (const value of values) {
        await writer.query(`insert into target_${at} (${names}) values (${value})`)
        await writer.query(`insert into sale_${at} (${names}, sold) values (${value}, 1)`)
        await writer.query(
          `update target_${at} set factor = 2 where (${names}) is not distinct from (${value})`,
        )
      }
    }
    await everywhere('row by row')
    for (const { at } of all)
      await writer.query(`update sale_${at} set sold = sold + 10; update target_${at} set factor = 3`)
    await everywhere('all at once')
    for (const { at } of all) await writer.query(`delete from sale_${at}`)
    await everywhere('gone')
    // Broken: keys are logged as text under the writer's settings; or they pass through JavaScript values.
  })

  test('a walk goes over keys of any type in small steps, and forgets none', async () => {
    for (const name of [
      'timestamptz with microseconds, mixed-case text, numeric',
      'float8',
      'interval',
      'an array',
      'bytea',
      'a composite type',
    ]) {
      const { columns, values } = keys[name] ?? { columns: {}, values: [] }
      const project = await createProject(major, types)
      const named = Object.entries(columns)
      await project.query(
        `create table target (${named.map(([column, type]) => `${column} ${type}`).join(', ')}, primary key (${Object.keys(columns).join(', ')}))`,
      )
      await project.query(`insert into target values ${values.map((value) => `(${value})`).join(', ')}`)

      await project.materialize(
        `export const target = defineColumns({ table: 'target', batch: 1, columns: { five: sql\`5\` } })`,
      )
      await project.drain()

      await project.expectFresh(
        {
          stored: 'select five, materialized_at is not null from target',
          expected: 'select 5, true from target',
        },
        name,
      )
    }
  })

  test('pgfresh.refresh takes a key however it is spelled', async () => {
    const project = await withKeys(major, { at: 'timestamptz', '"Name"': 'text' }, [
      `'2024-02-01 03:04:05.123456+00', 'Aa'`,
      `'2024-01-02 00:00:00+00', 'b'`,
    ])
    await project.query(
      `alter table target_0 disable trigger pgfresh_update; update target_0 set total = -1; alter table target_0 enable trigger pgfresh_update`,
    )

    await project.query(
      `select pgfresh.refresh('target_0', '[["2024-02-01T08:49:05.123456+05:45", "Aa"], {"Name": "b", "at": "2024-01-01 19:00:00-05"}]')`,
    )
    await project.drain()

    await project.expectFresh(comparisonFor(['at', '"Name"'], 0))
  })

  test.each([
    ['a bigint', 'bigint', '[["abc"]]', '22P02'],
    ['a timestamp', 'timestamptz', '["soon"]', '22007'],
    ['a key of two columns', 'bigint', '[[1, 2]]', '22023'],
  ])('pgfresh.refresh refuses what is no key of the table: %s', async (_, type, asked, code) => {
    const project = await withKeys(major, { id: type }, [])

    await expect(project.query(`select pgfresh.refresh('target_0', $1)`, [asked])).rejects.toMatchObject({
      code,
    })
  })
})

function tablesFor(columns: Readonly<Record<string, string>>, at: number): string {
  const declared = Object.entries(columns).map(([name, type]) => `${name} ${type}`)
  return `create table target_${at} (${declared.join(', ')}, factor int default 1, primary key (${Object.keys(columns).join(', ')}));
    create table sale_${at} (number bigint generated always as identity primary key, ${declared.join(', ')}, sold int)`
}

function definitionFor(columns: Readonly<Record<string, string>>, at: number): string {
  const names = Object.keys(columns)
  const same = names.map((name) => `s.${name} = target_${at}.${name}`).join(' and ')
  return `export const target${at} = defineColumns({
    table: 'target_${at}',
    columns: { total: sql\`(select coalesce(sum(s.sold), 0) * target_${at}.factor from sale_${at} s where ${same})\` },
    dependsOn: { sale_${at}: { via: sql\`select ${names.join(', ')} from changed\` } },
  })`
}

function comparisonFor(names: readonly string[], at: number): Comparison {
  const key = names.map((name) => `t.${name}`).join(', ')
  const same = names.map((name) => `s.${name} = t.${name}`).join(' and ')
  return {
    stored: `select ${key}, t.total, t.materialized_at is not null from target_${at} t`,
    expected: `select ${key}, coalesce((select sum(sold) from sale_${at} s where ${same}), 0) * t.factor, true from target_${at} t`,
  }
}

/** A project with one target of this key, and these rows in it. */
async function withKeys(
  major: Major,
  columns: Readonly<Record<string, string>>,
  values: readonly string[],
): Promise<Project> {
  const project = await createProject(major, types)
  await project.query(tablesFor(columns, 0))
  for (const value of values)
    await project.query(`insert into target_0 (${Object.keys(columns).join(', ')}) values (${value})`)
  await project.materialize(definitionFor(columns, 0))
  await project.drain()
  return project
}
