/** What defineView makes of its options, alone and beside defineColumns. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadDefinitions } from '../../../src/definition/load.ts'
import { folderOf, load, mistakesOf } from './folder.ts'

const head = "import { defineColumns, defineView, sql } from 'pgfresh'\n"

/** A view with just what it must have, and maybe more. */
function view(name: string, rest = ''): string {
  return `defineView({ name: '${name}', query: sql\`select 1 as id\`${rest} })`
}

/** A definition of one column. */
function columns(table: string): string {
  return `defineColumns({ table: '${table}', columns: { total: sql\`1\` } })`
}

test('every form of a view loads, with every option, its default and its place', async () => {
  const folder = folderOf({
    'views.ts': `${head}
export const lastWeekEvent = defineView({
  name: 'last_week_event',
  query: sql\`select * from event where starts_at >= now() - interval '7 days' and kind = \${'film'}\`,
  key: ['id', 'Kind'],
  refresh: { every: '10 minutes' },
  settings: { work_mem: '256MB', Enable_Nestloop: false },
  maximumExecutionDuration: '2 hours',
  skipUnchanged: true,
  adopt: true,
})

export const sold = defineView({
  name: 'Reporting."Sold"',
  query: (db) => db.selectFrom('showtime').select('venue_id'),
  refresh: { cron: '*/10 * * * *', timeZone: 'Europe/London' },
})

export const total = ${view('total')}
`,
  })
  const file = join(folder, 'views.ts')

  const { definitions, warnings } = await loadDefinitions(folder)

  expect(warnings).toEqual([])
  expect(definitions).toEqual([
    {
      kind: 'view',
      name: 'lastWeekEvent',
      place: { file, line: 3 },
      view: 'last_week_event',
      query: {
        sql: "select * from event where starts_at >= now() - interval '7 days' and kind = 'film'",
        place: { file, line: 5 },
      },
      key: ['id', 'Kind'],
      schedule: { kind: 'every', every: '10 minutes' },
      maximumExecutionDuration: '2 hours',
      skipUnchanged: true,
      adopt: true,
      settings: { work_mem: '256MB', enable_nestloop: 'off' },
    },
    {
      kind: 'view',
      name: 'sold',
      place: { file, line: 14 },
      view: 'Reporting."Sold"',
      query: { sql: 'select "venue_id" from "showtime"', place: { file, line: 14 } },
      key: [],
      schedule: { kind: 'cron', cron: '*/10 * * * *', timeZone: 'Europe/London' },
      maximumExecutionDuration: '30 minutes',
      skipUnchanged: false,
      adopt: false,
      settings: {},
    },
    {
      kind: 'view',
      name: 'total',
      place: { file, line: 20 },
      view: 'total',
      query: { sql: 'select 1 as id', place: { file, line: 20 } },
      key: [],
      schedule: { kind: 'request' },
      maximumExecutionDuration: '30 minutes',
      skipUnchanged: false,
      adopt: false,
      settings: {},
    },
  ])
  expect(
    definitions.flatMap((definition) => [definition, ...Object.values(definition)]).every(Object.isFrozen),
  ).toBe(true)
})

test.each([
  ["{ every: 'PT10M' }", { kind: 'every', every: 'PT10M' }],
  ["{ every: '10 minutes', cron: undefined, timeZone: undefined }", { kind: 'every', every: '10 minutes' }],
  ["{ cron: '0 6 * * mon' }", { kind: 'cron', cron: '0 6 * * mon', timeZone: 'UTC' }],
  ["{ cron: ' 30 0 6 * * * ' }", { kind: 'cron', cron: ' 30 0 6 * * * ', timeZone: 'UTC' }],
  ["{ cron: '@daily', timeZone: 'US/Eastern' }", { kind: 'cron', cron: '@daily', timeZone: 'US/Eastern' }],
  ['undefined', { kind: 'request' }],
])('refresh: %s is kept as it was written', async (refresh, schedule) => {
  const { definitions } = await load({
    'a.ts': `${head}export const a = ${view('a', `, refresh: ${refresh}`)}`,
  })

  expect(definitions).toMatchObject([{ schedule }])
})

test('views and columns stand in one file, in the order in which they were declared', async () => {
  const { definitions } = await load({
    'a.ts': `${head}export const b = ${columns('b')}\nexport default ${view('a')}\nexport const more = [${view('c')}, ${columns('d')}]`,
  })

  expect(definitions.map(({ kind, name }) => [kind, name])).toEqual([
    ['columns', 'b'],
    ['view', 'a'],
    ['view', 'more[0]'],
    ['columns', 'more[1]'],
  ])
})

test('views of one name in different schemas are no conflict', async () => {
  const { definitions } = await load({
    'a.ts': `${head}export const a = ${view('a.sold')}, b = ${view('b.sold')}, c = ${view('sold')}, d = ${view('"a.sold"')}`,
  })

  expect(definitions.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd'])
})

test('a view that is not exported is told, with the call to export', async () => {
  const hint =
    'Export what defineView returns: export const name = defineView({ … }), or in an exported array.'
  const { warnings } = await load({ 'a.ts': `${head}export const a = ${columns('a')}\n${view('b')}` })

  expect(warnings).toMatchObject([
    { message: 'this definition is not exported, and does nothing', hint, place: { line: 3 } },
  ])
  expect(await mistakesOf({ 'a.ts': `${head}${view('b')}` })).toEqual([
    `a.ts:2: no definition in FOLDER is exported\n  ${hint}`,
  ])
})

test('two definitions of one view, however its name is written, are a conflict', async () => {
  expect(
    await mistakesOf({
      'a.ts': `${head}export const a = ${view('Reporting.Sold')}`,
      'b.ts': `${head}\nexport const b = ${view('reporting."sold"')}`,
    }),
  ).toEqual([
    'b.ts:3: a (a.ts:2) and b (b.ts:3) both declare the view reporting.sold\n  Take one of them away, or give it another name.',
  ])
})

test('a view and columns of one export name are a conflict', async () => {
  expect(
    await mistakesOf({
      'a.ts': `${head}export const sold = ${view('a')}`,
      'b.ts': `${head}export const sold = ${columns('b')}`,
    }),
  ).toEqual([
    'b.ts:2: two definitions are called sold: this one and that at a.ts:2\n  Export one of them by another name (a default export is called after its file).',
  ])
})

test('columns on a view that another definition declares are a conflict', async () => {
  expect(
    await mistakesOf({
      'a.ts': `${head}export const a = ${columns('Sold')}\nexport const b = ${view('sold')}`,
    }),
  ).toEqual([
    "a.ts:2: sold is the view of b (a.ts:3) and the table of a (a.ts:2)\n  A materialized view can't get columns: add them to its query.",
  ])
})
