/** Each mistake in the options of defineView: the exact words, the line, what to write instead. */
import { describe, expect, test } from 'vitest'
import { defineView, sql } from '../../../src/index.ts'
import { OperatorErrors } from '../../../src/kernel/errors.ts'
import { caught, mistakesOfOptions } from './folder.ts'

/** A whole set of options but for what `rest` adds. */
const withRest = (rest: string) => `{ name: 'sold', query: sql\`select 1 as id\`, ${rest} }`

const everyHint = "It goes into refresh: refresh: { every: '10 minutes' }."
const cronHint = "It goes into refresh: refresh: { cron: '*/10 * * * *', timeZone: 'Europe/London' }."
const nameHint = "The view is named by name: name: 'last_week_event'."

describe('options', () => {
  test.each([
    [
      'no object',
      '"sold"',
      'defineView got "sold"',
      "Write defineView({ name: 'last_week_event', query: sql`select …` }).",
    ],
    ['a misspelt one', withRest("keyy: ['id']"), 'defineView has no option "keyy"', 'Did you mean key?'],
    [
      'one as the schedule has it',
      withRest("maximum_execution_duration: '1 hour'"),
      'defineView has no option "maximum_execution_duration"',
      'Did you mean maximumExecutionDuration?',
    ],
    [
      'an unknown one',
      withRest('where: 1'),
      'defineView has no option "where"',
      'It knows name, query, key, refresh, maximumExecutionDuration, skipUnchanged, adopt, settings.',
    ],
    [
      'one that every object has',
      withRest('constructor: 1'),
      'defineView has no option "constructor"',
      'It knows name, query, key, refresh, maximumExecutionDuration, skipUnchanged, adopt, settings.',
    ],
    [
      'keys',
      withRest("keys: ['id']"),
      'defineView has no option "keys"',
      "Write key: ['id'], a list of the columns that tell its rows apart.",
    ],
    ['every outside of refresh', withRest("every: '1 hour'"), 'defineView has no option "every"', everyHint],
    [
      'interval',
      withRest("refresh_interval: '1 hour'"),
      'defineView has no option "refresh_interval"',
      everyHint,
    ],
    ['cron outside of refresh', withRest("cron: '@daily'"), 'defineView has no option "cron"', cronHint],
    [
      'timeZone outside of refresh',
      withRest("timeZone: 'Europe/London'"),
      'defineView has no option "timeZone"',
      cronHint,
    ],
    ['a table', withRest("table: 'sold'"), 'defineView has no option "table"', nameHint],
    ['a view', withRest("view: 'sold'"), 'defineView has no option "view"', nameHint],
    [
      'concurrently',
      withRest('concurrently: true'),
      'defineView has no option "concurrently"',
      'Leave it out: a view with a key is refreshed concurrently wherever that is possible.',
    ],
    [
      'dependsOn',
      withRest("dependsOn: { event: 'all' }"),
      'defineView has no option "dependsOn"',
      'Leave it out: pgfresh asks the server what a view reads.',
    ],
    [
      'enabled',
      withRest('enabled: false'),
      'defineView has no option "enabled"',
      'Leave it out: views are switched off and on by pgfresh pause and pgfresh resume.',
    ],
    [
      'no name',
      '{ query: sql`select 1` }',
      'defineView needs a name',
      "Name the materialized view: name: 'last_week_event', or name: 'reporting.\"Sold\"'.",
    ],
    [
      'an empty name',
      "{ name: ' ', query: sql`select 1` }",
      'option name is " "',
      "Name the materialized view: name: 'last_week_event', or name: 'reporting.\"Sold\"'.",
    ],
    [
      'a name that is no identifier',
      "{ name: 'last week', query: sql`select 1` }",
      'name: "last week" is not a name as SQL writes it',
      'Write name or schema.name; put parts with capitals, spaces or other signs in double quotes: sales."Order".',
    ],
    [
      'no query',
      "{ name: 'sold' }",
      'defineView needs a query',
      'Write query: sql`select …`, or query: (db) => db.selectFrom(…)….',
    ],
    [
      'a query as text',
      "{ name: 'sold', query: 'select 1' }",
      'query is "select 1", not SQL',
      "Write it as SQL: sql`…`, with import { sql } from 'pgfresh'.",
    ],
    [
      'a query that creates the view itself',
      "{ name: 'sold', query: sql`create materialized view sold as select 1` }",
      'query is not a SELECT',
      'Write one statement that begins with select or with.',
    ],
    [
      'a key as text',
      withRest("key: 'id'"),
      'option key is "id"',
      "It is a list of column names: key: ['id'].",
    ],
    [
      'a key of other things than names',
      withRest("key: ['id', , 'at']"),
      'option key is an array',
      "It is a list of column names: key: ['id'].",
    ],
    [
      'an empty key',
      withRest('key: []'),
      'key is empty',
      "Name the columns that tell its rows apart: key: ['id'], or leave key out.",
    ],
    [
      'a column twice in the key',
      withRest("key: ['id', 'at', 'id', 'id']"),
      'key names "id" twice',
      'Name it once.',
    ],
    [
      'an empty column in the key',
      withRest("key: ['']"),
      'key: a column name is empty',
      'Give every column a name.',
    ],
    [
      'a quoted column in the key',
      withRest(`key: ['"Id"']`),
      'key: the column name "\\"Id\\"" has its quotes inside',
      'Names of columns are taken exactly as written: "Id".',
    ],
    [
      'a duration without a unit',
      withRest("maximumExecutionDuration: '30'"),
      'option maximumExecutionDuration is "30"',
      "It is an interval with its unit: maximumExecutionDuration: '30 minutes'.",
    ],
    [
      'skipUnchanged as text',
      withRest("skipUnchanged: 'yes'"),
      'option skipUnchanged is "yes"',
      'It is true or false: with skipUnchanged: true, refreshes are left out while nothing that it reads has changed.',
    ],
    [
      'adopt as a list',
      withRest("adopt: ['sold']"),
      'option adopt is an array',
      'It is true or false: adopt: true takes over a materialized view of this name that exists already.',
    ],
    [
      "a setting that is pgfresh's own",
      withRest('settings: { transaction_read_only: true }'),
      "settings: transaction_read_only can't be set by a definition",
      'Leave it out: what is computed is written.',
    ],
    [
      'a setting of no value',
      withRest('settings: { constructor: null }'),
      'option settings.constructor is null',
      'It is a string, a number or a boolean.',
    ],
  ])('with %s', async (_what, options, message, hint) => {
    expect(await mistakesOfOptions(options, 'defineView')).toEqual([`a.ts:2: ${message}\n  ${hint}`])
  })
})

test('every mistake of one call is told, and a wrong value causes no second message', async () => {
  const mistakes = await mistakesOfOptions(
    "{ nam: 'sold', query: 7, key: 'id', refresh: { every: '', timeZone: 'x' }, adopt: 1 }",
    'defineView',
  )

  expect(mistakes.map((text) => text.split('\n')[0])).toEqual([
    'a.ts:2: defineView has no option "nam"',
    'a.ts:2: defineView needs a name',
    'a.ts:2: query is 7, not SQL',
    'a.ts:2: option key is "id"',
    'a.ts:2: refresh has a timeZone without cron',
    'a.ts:2: option refresh.every is ""',
    'a.ts:2: option refresh.timeZone is "x", which is no time zone',
    'a.ts:2: option adopt is 1',
  ])
})

test('outside a load, defineView throws its mistakes', async () => {
  const single = await caught(async () => defineView({ name: '1', query: sql`select 1` }))
  const several = await caught(async () => defineView({ name: '1', query: sql`select 1`, key: [] }))

  expect(single).toMatchObject({
    name: 'OperatorError',
    message: 'name: "1" is not a name as SQL writes it',
    place: { file: 'test/unit/definition/bad-view-options.test.ts' },
  })
  expect(several).toBeInstanceOf(OperatorErrors)
})
