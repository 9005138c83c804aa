/** Each mistake in the options of defineColumns: the exact words, the line, what to write instead. */
import { describe, expect, test } from 'vitest'
import { defineColumns, sql } from '../../../src/index.ts'
import { OperatorErrors } from '../../../src/kernel/errors.ts'
import { caught, mistakesOf, mistakesOfOptions } from './folder.ts'

/** A whole set of options but for what `rest` adds. */
const withRest = (rest: string) => `{ table: 'venue', columns: { total: sql\`1\` }, ${rest} }`

describe('options', () => {
  test.each([
    [
      'no object',
      '"venue"',
      'defineColumns got "venue"',
      "Write defineColumns({ table: 'venue', columns: { … } }).",
    ],
    [
      'nothing',
      '',
      'defineColumns got undefined',
      "Write defineColumns({ table: 'venue', columns: { … } }).",
    ],
    [
      'a misspelt one',
      withRest("expire: '1 day'"),
      'defineColumns has no option "expire"',
      'Did you mean expires?',
    ],
    [
      'one in another case',
      withRest('dependson: {}'),
      'defineColumns has no option "dependson"',
      'Did you mean dependsOn?',
    ],
    [
      'an unknown one',
      withRest('where: 1'),
      'defineColumns has no option "where"',
      'It knows table, columns, query, stamp, expires, dependsOn, defaults, adopt, settings, batch, priority, freshness.',
    ],
    [
      'no table',
      '{ columns: { total: sql`1` } }',
      'defineColumns needs a table',
      "Name the table that gets the columns: table: 'venue', or table: 'sales.\"Order\"'.",
    ],
    [
      'a table of another type',
      '{ table: 7, columns: { total: sql`1` } }',
      'option table is 7',
      "Name the table that gets the columns: table: 'venue', or table: 'sales.\"Order\"'.",
    ],
    [
      'a table that is no identifier',
      '{ table: "sales order", columns: { total: sql`1` } }',
      'table: "sales order" is not a name as SQL writes it',
      'Write name or schema.name; put parts with capitals, spaces or other signs in double quotes: sales."Order".',
    ],
    [
      'neither form',
      "{ table: 'venue' }",
      'neither columns nor query is given',
      'Write columns: { name: sql`…` }, an expression for each, or query: sql`select …`, which returns the key and the columns.',
    ],
    [
      'both forms',
      withRest('query: sql`select 1`'),
      'columns and query are both given',
      'Keep one. A second defineColumns on the table, with a stamp of its own, can hold the other.',
    ],
    [
      'no columns',
      "{ table: 'venue', columns: {} }",
      'columns is empty',
      'Write at least one: columns: { name: sql`…` }.',
    ],
    [
      'columns in a list',
      "{ table: 'venue', columns: [sql`1`] }",
      'option columns is an array',
      'Write columns: { name: sql`…` }.',
    ],
    [
      'defaults without a query',
      withRest('defaults: { total: 0 }'),
      'defaults belong to query, and columns is given',
      'In an expression write the default into it: coalesce(…, 0).',
    ],
    [
      'an interval as a number',
      withRest('expires: 60'),
      'option expires is 60',
      "It is an interval with its unit: expires: '1 day'.",
    ],
    [
      'an interval without a unit',
      withRest("freshness: '2'"),
      'option freshness is "2"',
      "It is an interval with its unit: freshness: '2 s'.",
    ],
    [
      'a fraction of a row',
      withRest('batch: 1.5'),
      'option batch is 1.5',
      'It is the most rows of one transaction, a whole number from 1: batch: 500.',
    ],
    [
      'a priority as text',
      withRest("priority: 'high'"),
      'option priority is "high"',
      'It is a whole number from 0 (last) to 9 (first).',
    ],
    [
      'adopt as text',
      withRest("adopt: 'total'"),
      'option adopt is "total"',
      "It is a list of column names: adopt: ['country_id'].",
    ],
    [
      'a column adopted twice',
      withRest("adopt: ['total', 'total']"),
      'adopt names "total" twice',
      'Name it once.',
    ],
    [
      'a column adopted that is none',
      withRest("adopt: ['materialized_at', 'sum']"),
      'adopt names "sum", which is no column of this definition',
      'Its columns are total, materialized_at.',
    ],
    [
      'settings as text',
      withRest("settings: 'fast'"),
      'option settings is "fast"',
      "Write settings: { work_mem: '256MB' }.",
    ],
    [
      'a setting of no value',
      withRest('settings: { work_mem: null }'),
      'option settings.work_mem is null',
      'It is a string, a number or a boolean.',
    ],
    [
      'a setting that is no name',
      withRest("settings: { 'work mem': 1 }"),
      'settings: "work mem" is no name of a setting',
      "Write settings: { work_mem: '256MB' }.",
    ],
    [
      'a setting twice',
      withRest('settings: { jit: true, JIT: false }'),
      'settings names jit twice',
      'Keep one: names of settings ignore case.',
    ],
    [
      "a setting that is pgfresh's own",
      withRest("settings: { Search_Path: 'x' }"),
      "settings: search_path can't be set by a definition",
      'Leave it out: it was fixed by apply, so that names mean tomorrow what they meant then; qualify names instead.',
    ],
  ])('with %s', async (_what, options, message, hint) => {
    expect(await mistakesOfOptions(options)).toEqual([`a.ts:2: ${message}\n  ${hint}`])
  })
})

describe('names of columns', () => {
  const long = 'ä'.repeat(32)

  test.each([
    ['empty', '', 'a column name is empty', 'Give every column a name.'],
    [
      'too long in bytes',
      long,
      `the column name "${long}" has 64 bytes`,
      'PostgreSQL keeps 63 bytes and cuts the rest: choose a shorter name.',
    ],
    ['a system column', 'ctid', '"ctid" is a system column of every table', 'Give the column another name.'],
    [
      'quoted',
      '"Total"',
      'the column name "\\"Total\\"" has its quotes inside',
      'Names of columns are taken exactly as written: "Total".',
    ],
    ['not storable', 'a\0', 'the column name "a\\u0000" can\'t be stored', 'Use plain text without U+0000.'],
  ])('that are %s', async (_what, name, problem, hint) => {
    const key = JSON.stringify(name)
    expect(await mistakesOfOptions(`{ table: 't', columns: { [${key}]: sql\`1\` } }`)).toEqual([
      `a.ts:2: ${problem}\n  ${hint}`,
    ])
    expect(
      await mistakesOfOptions(`{ table: 't', query: sql\`select 1\`, defaults: { [${key}]: 1 } }`),
    ).toEqual([`a.ts:2: defaults: ${problem}\n  ${hint}`])
    if (name !== '')
      expect(await mistakesOfOptions(withRest(`stamp: ${key}`))).toEqual([
        `a.ts:2: stamp: ${problem}\n  ${hint}`,
      ])
  })

  test('one of which is the stamp', async () => {
    expect(await mistakesOfOptions("{ table: 't', columns: { materialized_at: sql`now()` } }")).toEqual([
      'a.ts:2: "materialized_at" is both a column and the stamp\n  Leave it out of columns, or name another stamp: pgfresh writes the stamp itself.',
    ])
    expect(
      await mistakesOfOptions("{ table: 't', stamp: 's', query: sql`select 1`, defaults: { s: 1 } }"),
    ).toEqual(['a.ts:2: defaults: "s" is the stamp\n  Leave it out: pgfresh writes the stamp itself.'])
  })
})

describe('dependsOn', () => {
  const choices = "Write 'all', 'ignore' or { via: sql`select … from changed …` }."

  test.each([
    [
      'no object',
      "'all'",
      'option dependsOn is "all"',
      "Write dependsOn: { rate: 'all' }, an entry for each table that is read.",
    ],
    ['an unknown word', "{ rate: 'some' }", 'dependsOn "rate" is "some"', choices],
    ['an empty route', '{ rate: {} }', 'dependsOn "rate" is an object of nothing', choices],
    [
      'more than via',
      '{ rate: { via: sql`select 1`, all: true } }',
      'dependsOn "rate" is an object of via, all',
      choices,
    ],
    ['SQL without via', '{ rate: sql`select 1` }', 'dependsOn "rate" is SQL', choices],
    [
      'via as text',
      "{ rate: { via: 'select 1' } }",
      'dependsOn "rate": via is "select 1", not SQL',
      "Write it as SQL: sql`…`, with import { sql } from 'pgfresh'.",
    ],
    [
      'via that is no query',
      '{ rate: { via: sql`changed.id` } }',
      'dependsOn "rate": via is not a SELECT',
      'Write one statement that begins with select or with.',
    ],
    [
      'one table twice',
      "{ rate: 'all', RATE: 'ignore' }",
      'dependsOn names rate twice, as "rate" and "RATE"',
      'Keep one of them: names without quotes fold to lower case.',
    ],
    [
      'no identifier',
      "{ 'a.b.c': 'all' }",
      'dependsOn: "a.b.c" has more than two parts',
      'Write name or schema.name: the database is the one that pgfresh is connected to.',
    ],
  ])('with %s', async (_what, dependsOn, message, hint) => {
    expect(await mistakesOfOptions(withRest(`dependsOn: ${dependsOn}`))).toEqual([
      `a.ts:2: ${message}\n  ${hint}`,
    ])
  })
})

test('every mistake of one call is told, and a wrong value causes no second message', async () => {
  const mistakes = await mistakesOfOptions(
    `{ tabel: 't', columns: { a: 'count(*)', ctid: sql\`1\` }, adopt: ['a'], priority: -1 }`,
  )

  expect(mistakes.map((text) => text.split('\n')[0])).toEqual([
    'a.ts:2: defineColumns has no option "tabel"',
    'a.ts:2: defineColumns needs a table',
    'a.ts:2: column "a" is "count(*)", not SQL',
    'a.ts:2: "ctid" is a system column of every table',
    'a.ts:2: option priority is -1',
  ])
})

test('a call through a function of their own is placed where defineColumns stands', async () => {
  const mistakes = await mistakesOf({
    'a.ts': "import { count } from './count.ts'\n\nexport const a = count('')",
    'count.ts':
      "import { defineColumns, sql } from 'pgfresh'\nexport function count(table: string) {\n  return defineColumns({ table, columns: { n: sql`1` } })\n}",
  })

  expect(mistakes.map((text) => text.split('\n')[0])).toEqual(['count.ts:3: option table is ""'])
})

test('outside a load, defineColumns throws its mistakes', async () => {
  const single = await caught(async () => defineColumns({ table: '1', columns: { a: sql`1` } }))
  const several = await caught(async () => defineColumns({ table: '1', columns: {} }))

  expect(single).toMatchObject({
    name: 'OperatorError',
    message: 'table: "1" is not a name as SQL writes it',
    place: { file: 'test/unit/definition/bad-options.test.ts' },
  })
  expect(several).toBeInstanceOf(OperatorErrors)
})
