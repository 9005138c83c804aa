/** A folder of definition files becomes definitions: which files, which exports, which names, from anywhere. */
import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadDefinitions } from '../../../src/definition/load.ts'
import { columnsOf, folderOf, load, loadColumns, write } from './folder.ts'

const head = "import { defineColumns, sql } from 'pgfresh'\n"

/** A definition of one column on a table of its own. */
function one(table: string, column = 'total'): string {
  return `defineColumns({ table: '${table}', columns: { ${column}: sql\`1\` } })`
}

const venueFile = `import { defineColumns, sql } from 'pgfresh'

export const venue = defineColumns({
  table: 'venue',
  columns: {
    country_id:     sql\`(select c.country_id from cinema c where c.id = venue.cinema_id)\`,
    showtime_count: sql\`(select count(*) from showtime s where s.venue_id = venue.id)\`,
  },
  dependsOn: {
    cinema: { via: sql\`select v.id from venue v join changed c on c.id = v.cinema_id\` },
    showtime: { via: (db) => db.selectFrom('changed').select('venue_id as id') },
    rate: 'all',
    'audit."Log"': 'ignore',
  },
  expires: '1 day',
})

export const venueFacts = defineColumns({
  table: 'venue',
  stamp: 'facts_materialized_at',
  query: sql\`select s.venue_id as id, sum(s.sold) as sold_total, max(s.starts_at) as last_showtime_at
             from showtime s group by s.venue_id\`,
  defaults: { sold_total: 0 },
  dependsOn: { showtime: { via: sql\`select venue_id as id from changed\` } },
  adopt: ['sold_total'],
  settings: { work_mem: '256MB', Join_Collapse_Limit: 50, enable_nestloop: false },
  batch: 500,
  priority: 9,
  freshness: '2 s',
})
`

describe('definitions', () => {
  test('both forms load, with every option, its default and its place', async () => {
    const folder = folderOf({ 'venue.ts': venueFile })
    const file = join(folder, 'venue.ts')

    const { definitions, warnings } = await loadDefinitions(folder)

    expect(warnings).toEqual([])
    expect(definitions).toEqual([
      {
        kind: 'columns',
        name: 'venue',
        place: { file, line: 3 },
        table: 'venue',
        stamp: 'materialized_at',
        form: {
          kind: 'columns',
          columns: [
            {
              name: 'country_id',
              sql: '(select c.country_id from cinema c where c.id = venue.cinema_id)',
              place: { file, line: 6 },
            },
            {
              name: 'showtime_count',
              sql: '(select count(*) from showtime s where s.venue_id = venue.id)',
              place: { file, line: 7 },
            },
          ],
        },
        defaults: {},
        dependsOn: {
          cinema: {
            kind: 'via',
            sql: 'select v.id from venue v join changed c on c.id = v.cinema_id',
            place: { file, line: 10 },
          },
          showtime: {
            kind: 'via',
            sql: 'select "venue_id" as "id" from "changed"',
            place: { file, line: 3 },
          },
          rate: { kind: 'all' },
          'audit."Log"': { kind: 'ignore' },
        },
        expires: '1 day',
        adopt: [],
        settings: {},
        batch: null,
        priority: 5,
        freshness: null,
      },
      {
        kind: 'columns',
        name: 'venueFacts',
        place: { file, line: 18 },
        table: 'venue',
        stamp: 'facts_materialized_at',
        form: {
          kind: 'query',
          sql: 'select s.venue_id as id, sum(s.sold) as sold_total, max(s.starts_at) as last_showtime_at\n             from showtime s group by s.venue_id',
          place: { file, line: 21 },
        },
        defaults: { sold_total: '0' },
        dependsOn: {
          showtime: { kind: 'via', sql: 'select venue_id as id from changed', place: { file, line: 24 } },
        },
        expires: null,
        adopt: ['sold_total'],
        settings: { work_mem: '256MB', join_collapse_limit: '50', enable_nestloop: 'off' },
        batch: 500,
        priority: 9,
        freshness: '2 s',
      },
    ])
    expect(Object.isFrozen(definitions[0])).toBe(true)
  })

  test('are named by their export, a default export by its file, those in arrays by their index', async () => {
    const { definitions } = await loadColumns({
      'film.mts': `${head}export default ${one('film')}`,
      'many.js': `${head}export const counts = ['a', 'b'].map((table) => defineColumns({ table, columns: { n: sql\`1\` } }))`,
      'venue.mjs': `${head}export const other = 1, venue = ${one('venue')}, words = ['x', null]`,
    })

    expect(definitions.map(({ name }) => name)).toEqual(['film', 'counts[0]', 'counts[1]', 'venue'])
  })

  test('exported again elsewhere count once, under the name that their own file gives them', async () => {
    const { definitions, warnings } = await loadColumns({
      'all.ts': "export * from './venue.ts'\nexport { venue as renamed } from './venue.ts'\n",
      'venue.ts': `${head}export const venue = ${one('v')}\nexport const list = [venue]\nexport default venue`,
      'film.ts': `${head}const film = ${one('f')}\nexport { film as default }\nexport const films = [film]`,
    })

    expect(definitions.map(({ name, table }) => [name, table])).toEqual([
      ['venue', 'v'],
      ['film', 'f'],
    ])
    expect(warnings).toEqual([])
  })

  test('come in the order in which they were declared, not in that of their names', async () => {
    const { definitions } = await load({
      'a.ts': `import './z.ts'\n${head}export const y = ${one('a')}\nexport const x = ${one('b')}`,
      'z.ts': `${head}export const z = ${one('z')}`,
    })

    expect(definitions.map(({ name }) => name)).toEqual(['z', 'y', 'x'])
  })

  test('may have reserved words, capitals and any letters as column names', async () => {
    const { definitions } = await loadColumns({
      'a.ts': `${head}export const a = defineColumns({ table: '"Order"', stamp: 'Stamp', columns: { order: sql\`1\`, 'Größe %': sql\`2\`, ${'x'.repeat(63)}: sql\`3\` } })`,
    })

    const [form] = definitions.map((definition) => definition.form)
    expect(form?.kind === 'columns' && form.columns.map(({ name }) => name)).toEqual([
      'order',
      'Größe %',
      'x'.repeat(63),
    ])
  })

  test('of tables in different schemas, or with stamps that they adopt, are no conflict', async () => {
    const { definitions } = await loadColumns({
      'a.ts': [
        head,
        `export const a = ${one('a.venue')}, b = ${one('b.venue')}, c = ${one('venue')}`,
        "export const d = defineColumns({ table: 'film', query: sql`select 1`, adopt: ['materialized_at', 'n'], defaults: { n: 0 } })",
      ].join('\n'),
    })

    expect(definitions.map(({ table }) => table)).toEqual(['a.venue', 'b.venue', 'venue', 'film'])
  })

  test('made by a package are placed where their own file calls it', async () => {
    const folder = folderOf({
      'a.ts': `${head}import { make } from 'kit'\n\nexport const a = make(defineColumns, { table: 't', columns: { c: sql\`1\` } })`,
      'node_modules/kit/package.json': '{ "type": "module", "exports": "./index.js" }',
      'node_modules/kit/index.js': 'export function make(define, options) {\n  return define(options)\n}',
    })

    const { definitions } = await loadDefinitions(folder)

    expect(definitions.map(({ place }) => place)).toEqual([{ file: join(folder, 'a.ts'), line: 4 }])
  })

  test('take an option that is undefined as left out', async () => {
    const { definitions } = await loadColumns({
      'a.ts': `${head}export const a = defineColumns({ table: 't', columns: { c: sql\`1\` }, query: undefined, expires: undefined, batch: undefined })`,
    })

    expect(definitions[0]).toMatchObject({ expires: null, batch: null, form: { kind: 'columns' } })
  })
})

describe('files', () => {
  test('are found in folders too, but not in node_modules and dot-folders, and not with types alone', async () => {
    const { definitions } = await load({
      'b/c/deep.ts': `${head}export const deep = ${one('deep')}`,
      'a.ts': `${head}export const a = ${one('a')}`,
      'a.d.ts': 'export const broken: = 1',
      'README.md': '# words',
      '.hidden/x.ts': 'throw 1',
      'node_modules/x/index.js': 'throw 1',
    })

    expect(definitions.map(({ name }) => name)).toEqual(['a', 'deep'])
  })

  test('are followed through links, as a mounted ConfigMap has them, and a circle of links ends', async () => {
    const folder = folderOf({
      '..2026/venue.ts': `${head}import { table } from './shared.ts'\nexport const venue = ${one('venue')}\nexport default table`,
      '..2026/shared.ts': "export const table = 'x'",
    })
    symlinkSync('..2026', join(folder, '..data'))
    for (const name of ['venue.ts', 'shared.ts']) symlinkSync(`..data/${name}`, join(folder, name))
    symlinkSync('.', join(folder, 'again'))

    const { definitions, warnings } = await loadDefinitions(folder)

    expect(definitions.map(({ place }) => place)).toEqual([{ file: join(folder, 'venue.ts'), line: 3 }])
    expect(warnings).toEqual([])
  })

  test('are ES modules even where a package.json says commonjs, and without any type they declare what they import', async () => {
    const { definitions } = await loadColumns({
      'package.json': '{ "type": "commonjs" }',
      'a.ts': `${head}import { type Kind, table } from './shared/names.js'\nexport const a = defineColumns({ table: table as Kind, columns: { c: sql\`1\` } })`,
      'shared/names.js': "export const table = 'venue'",
      'b.js': `${head}import config from './b.json' with { type: 'json' }\nexport const b = defineColumns({ ...config, columns: { c: sql\`2\` } })`,
      'b.json': '{ "table": "film", "expires": "1 day" }',
    })

    expect(definitions.map(({ table, expires }) => [table, expires])).toEqual([
      ['venue', null],
      ['film', '1 day'],
    ])
  })

  test('see kysely, its subpaths and types, from our own package', async () => {
    const { definitions } = await loadColumns({
      'a.ts': [
        "import { defineColumns, type ColumnsOptions } from 'pgfresh'",
        "import { type Kysely, sql } from 'kysely'",
        "import { jsonArrayFrom } from 'kysely/helpers/postgres'",
        'interface Tables { showtime: { venue_id: number; sold: number } }',
        'const options: ColumnsOptions<Tables> = {',
        "  table: 'venue',",
        '  columns: {',
        `    a: sql\`\${'x'}\`,`,
        "    b: (db: Kysely<Tables>) => jsonArrayFrom(db.selectFrom('showtime').select('sold')),",
        '  },',
        '}',
        'export const a = defineColumns(options)',
      ].join('\n'),
    })

    const [form] = definitions.map((definition) => definition.form)
    expect(form?.kind === 'columns' && form.columns.map(({ sql, place }) => [sql, place.line])).toEqual([
      ["'x'", 8],
      [`(select coalesce(json_agg(agg), '[]') from (select "sold" from "showtime") as agg)`, 12],
    ])
  })

  test('that changed are seen by the next load, and so are files that they import', async () => {
    const folder = folderOf({
      'a.ts': `${head}import { table } from './shared/table.ts'\nexport const a = defineColumns({ table, columns: { c: sql\`1\` } })`,
      'shared/table.ts': "export const table = 'first'",
    })
    const before = await loadDefinitions(folder)

    write(folder, 'shared/table.ts', "export const table = 'second'")
    const after = await loadDefinitions(folder)

    expect(columnsOf(before).map(({ table }) => table)).toEqual(['first'])
    expect(columnsOf(after).map(({ table }) => table)).toEqual(['second'])
  })

  test('may have any signs in their names', async () => {
    const folder = folderOf({ 'a b/(group) %20/c#1?.ts': `${head}export const c = ${one('c')}` })

    const { definitions } = await loadDefinitions(folder)

    expect(definitions.map(({ place }) => place)).toEqual([
      { file: join(folder, 'a b/(group) %20/c#1?.ts'), line: 2 },
    ])
  })

  test('of two folders can be loaded at the same time', async () => {
    const slow = 'await new Promise((resolve) => setTimeout(resolve, 20))\n'
    const both = await Promise.all(
      ['left', 'right'].map((table) =>
        loadColumns({ 'a.ts': `${head}${slow}export const a = ${one(table)}` }),
      ),
    )

    expect(both.map(({ definitions }) => definitions.map(({ table }) => table))).toEqual([
      ['left'],
      ['right'],
    ])
  })
})

describe('warnings', () => {
  test('name a definition that is not exported, a file that declares nothing, and one that is not loaded', async () => {
    const folder = folderOf({
      'a.ts': `${head}export const a = ${one('a')}\nconst hidden = ${one('b')}\nexport const inObject = { hidden }`,
      'alone.ts': 'export const nothing = 1',
      'legacy.cjs': 'module.exports = 1',
      'page.tsx': 'export default 1',
    })

    const { warnings } = await loadDefinitions(folder)

    expect(warnings.map(({ message, place }) => `${place.file}:${place.line}: ${message}`)).toEqual([
      `${folder}/a.ts:3: this definition is not exported, and does nothing`,
      `${folder}/alone.ts:1: declares nothing`,
      `${folder}/legacy.cjs:1: is not loaded`,
      `${folder}/page.tsx:1: is not loaded`,
    ])
  })
})

test('what a file outside of the folder declares counts if the folder exports it, and is no omission else', async () => {
  const root = folderOf({
    'shared/many.ts': `${head}export const a = ${one('a')}\nexport const b = ${one('b')}`,
    'definitions/a.ts': "export { a } from '../shared/many.ts'",
  })

  const { definitions, warnings } = await loadDefinitions(join(root, 'definitions'))

  expect(definitions.map(({ name, place }) => [name, place.file])).toEqual([
    ['a', join(root, 'shared/many.ts')],
  ])
  expect(warnings).toEqual([])
})

test('a folder loads in a process of its own, from where no package.json and no node_modules is', () => {
  const folder = folderOf({ 'venue.ts': venueFile })
  const program = `
    const { loadDefinitions } = await import(${JSON.stringify(import.meta.resolve('../../../src/definition/load.ts'))})
    const { definitions } = await loadDefinitions('.')
    process.stdout.write(JSON.stringify(definitions.map(({ name, place }) => [name, place.file, place.line])))`

  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: folder,
    env: {},
    encoding: 'utf8',
  })

  expect(JSON.parse(output)).toEqual([
    ['venue', 'venue.ts', 3],
    ['venueFacts', 'venue.ts', 18],
  ])
})
