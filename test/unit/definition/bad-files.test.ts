/** Each way in which a folder or a file of definitions can be wrong: the exact words, the file, the line. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadDefinitions } from '../../../src/definition/load.ts'
import { caught, folderOf, mistakesOf, printed } from './folder.ts'

const head = "import { defineColumns, sql } from 'pgfresh'\n"

function one(table: string, rest = ''): string {
  return `defineColumns({ table: '${table}', columns: { total: sql\`1\` }${rest} })`
}

describe('a folder', () => {
  test('that does not exist', async () => {
    const folder = folderOf({})
    const error = await caught(() => loadDefinitions(join(folder, 'nowhere')))

    expect(printed(error, folder)).toEqual([
      'the definitions directory nowhere does not exist\n  Name the folder of the definition files: --definitions DIR, or PGFRESH_DEFINITIONS.',
    ])
  })

  test('that is a file', async () => {
    const folder = folderOf({ 'a.ts': '' })
    const error = await caught(() => loadDefinitions(join(folder, 'a.ts')))

    expect(printed(error, folder)).toEqual([
      'a.ts is a file, not a definitions directory\n  Name the folder of the definition files: --definitions DIR, or PGFRESH_DEFINITIONS.',
    ])
  })

  test('with no definition file in it', async () => {
    expect(await mistakesOf({ 'README.md': '', 'a.d.ts': '' })).toEqual([
      'no definition file in FOLDER\n  Write one there (its name ends in .ts, .mts, .js or .mjs), or name another directory.',
    ])
  })

  test('whose files declare nothing', async () => {
    expect(await mistakesOf({ 'a.ts': 'export const a = 1' })).toEqual([
      'no file in FOLDER declares anything\n  Export what defineColumns or defineView returns: export const name = defineColumns({ … }), or in an exported array.',
    ])
  })

  test('whose files export nothing of what they declare', async () => {
    expect(await mistakesOf({ 'a.ts': `${head}const a = ${one('a')}` })).toEqual([
      'a.ts:2: no definition in FOLDER is exported\n  Export what defineColumns returns: export const name = defineColumns({ … }), or in an exported array.',
    ])
  })

  test('with definitions in SQL', async () => {
    expect(
      await mistakesOf({ 'a.ts': `${head}export const a = ${one('a')}`, 'b/b.sql': 'select 1' }),
    ).toEqual([
      "b/b.sql:1: definitions in .sql files aren't supported yet\n  Write it in a .ts file: defineColumns({ table: …, query: sql`…` }).",
    ])
  })

  test('with several mistakes is told all of them at once, by file and line, those of one file together', async () => {
    const mistakes = await mistakesOf({
      'c.ts': 'enum Kind { A }',
      'b.ts': `${head}export const x = ${one('x', ', batch: 0')}\n\nexport const y = ${one('y', ', priority: 10, stamp: ""')}`,
      'a.ts': `${head}export const b = ${one('b')}`,
    })

    expect(mistakes.map((text) => text.split('\n')[0])).toEqual([
      'b.ts:2: option batch is 0',
      'b.ts:4: option stamp is ""',
      'b.ts:4: option priority is 10',
      "c.ts:1: an enum can't be used here",
    ])
  })
})

describe('a file', () => {
  /** The errors of one file `a.ts`. */
  const ofFile = (text: string) => mistakesOf({ 'a.ts': text })
  const stripped = 'Definition files run with their types stripped, not compiled'

  test.each([
    [
      'an enum',
      '\nenum Kind { A }',
      `2: an enum can't be used here`,
      `write const Kind = { a: 'a' } as const instead.`,
    ],
    [
      'a namespace',
      '\nnamespace N { export const x = 1 }',
      `2: a namespace can't be used here`,
      'write plain exports instead.',
    ],
    [
      'a parameter property',
      '\n\nclass A { constructor(private x: number) {} }',
      `3: a parameter property can't be used here`,
      'declare the field, and set it in the constructor.',
    ],
    [
      'import equals',
      "import fs = require('fs')",
      `1: import … = require(…) can't be used here`,
      "write import … from '…' instead.",
    ],
    ['export equals', 'export = 1', `1: export = … can't be used here`, 'write export default … instead.'],
    [
      'a type assertion in angle brackets',
      'let x = <number>5',
      `1: a type assertion <T>value can't be used here`,
      'write value as T instead.',
    ],
  ])('with %s', async (_what, text, message, instead) => {
    expect(await ofFile(text)).toEqual([`a.ts:${message}\n  ${stripped}: ${instead}`])
  })

  test('with a syntax error in TypeScript', async () => {
    expect(await ofFile('const a: number = {\n  b: 1\n  c: 2 }')).toEqual([
      "a.ts:3: syntax error: Expected ',', got 'ident'",
    ])
  })

  test('with a syntax error in JavaScript', async () => {
    expect(await mistakesOf({ 'a.js': 'const a = {\n  b: 1\n  c: 2 }' })).toEqual([
      "a.js:3: syntax error: Unexpected identifier 'c'",
    ])
  })

  test('with a decorator, which only JavaScript refuses', async () => {
    expect(await ofFile('const a: number = 1\n\n@dec class A {}\nexport {}')).toEqual([
      'a.ts:3: syntax error: Invalid or unexpected token',
    ])
  })

  test('with a syntax error in what it imports, told once and there', async () => {
    expect(
      await mistakesOf({ 'a.js': "import './b.mjs'", 'b.mjs': '\nlet x = ;', 'c.ts': "import './b.mjs'" }),
    ).toEqual(["b.mjs:2: syntax error: Unexpected token ';'"])
  })

  test('that imports without an ending', async () => {
    expect(await mistakesOf({ 'a.ts': "import {\n  x } from './b'", 'b.ts': 'export const x = 1' })).toEqual([
      'a.ts:2: imports "./b", which is no file\n  Imports name the whole file: write "./b.ts".',
    ])
  })

  test('that imports the compiled name of a TypeScript file, or a folder', async () => {
    expect(
      await mistakesOf({
        'a.ts': "import './b.js'",
        'b.ts': '',
        'c.ts': "export * from './d'",
        'd/index.ts': '',
      }),
    ).toEqual([
      'a.ts:1: imports "./b.js", which is no file\n  Imports name the whole file: write "./b.ts".',
      'c.ts:1: imports "./d", which is no file\n  Imports name the whole file: write "./d/index.ts".',
    ])
  })

  test('that imports a file which does not exist, or a package which is not installed', async () => {
    expect(
      await mistakesOf({ 'a.ts': "\nimport './none.ts'", 'b.ts': "const x = 1\nimport 'no-such-package'" }),
    ).toEqual([
      'a.ts:2: imports "./none.ts", which is no file\n  none.ts does not exist.',
      'b.ts:2: imports "no-such-package", which can\'t be found\n' +
        "  Only 'pgfresh', 'kysely' and Node's own modules are always there; other packages must be installed in a node_modules above the file.",
    ])
  })

  test('that imports a type as if it were a value', async () => {
    expect(await mistakesOf({ 'a.ts': "\nimport { T } from './b.ts'", 'b.ts': 'export type T = 1' })).toEqual(
      [
        "a.ts:2: './b.ts' exports no T\n  If it is a type, say so, since types are stripped: import { type T } from './b.ts'.",
      ],
    )
    expect(await ofFile("import { ColumnsOptions } from 'pgfresh'")).toEqual([
      "a.ts:1: 'pgfresh' exports no ColumnsOptions\n  If it is a type, say so, since types are stripped: import { type ColumnsOptions } from 'pgfresh'.",
    ])
  })

  test('that imports a default which is not there', async () => {
    expect(await ofFile("import pgfresh from 'pgfresh'")).toEqual([
      "a.ts:1: 'pgfresh' exports no default\n  Name what you import: import { … }.",
    ])
  })

  test('that throws', async () => {
    const once = 'A definition file runs once, from top to bottom, when it is loaded.'
    expect(await ofFile('\nfunction f() {\n  throw new TypeError("no such thing") }\nf()')).toEqual([
      `a.ts:3: fails while it is loaded: TypeError: no such thing\n  ${once}`,
    ])
    expect(await ofFile('\nthrow "words"')).toEqual([`a.ts:1: throws "words"\n  ${once}`])
    expect(await mistakesOf({ 'a.ts': "\nimport './b.ts'", 'b.ts': '\nnull.x' })).toEqual([
      `b.ts:2: fails while it is loaded: TypeError: Cannot read properties of null (reading 'x')\n  ${once}`,
    ])
  })

  test('that is CommonJS', async () => {
    expect(
      await mistakesOf({ 'a.js': "\nconst { sql } = require('pgfresh')", 'b.js': 'const d = __dirname' }),
    ).toEqual([
      'a.js:2: fails while it is loaded: ReferenceError: require is not defined in ES module scope, you can use import instead\n' +
        "  Definition files are ES modules, whatever package.json says: write import … from '…' and export const ….",
      'b.js:1: fails while it is loaded: ReferenceError: __dirname is not defined in ES module scope\n' +
        '  Definition files are ES modules: write import.meta.dirname or import.meta.filename.',
    ])
  })
})

describe('two definitions', () => {
  test('of one name', async () => {
    expect(
      await mistakesOf({
        'a.ts': `${head}export const x = ${one('a')}`,
        'b.ts': `${head}\nexport const x = ${one('b')}`,
      }),
    ).toEqual([
      'b.ts:3: two definitions are called x: this one and that at a.ts:2\n  Export one of them by another name (a default export is called after its file).',
    ])
  })

  test('that write one column of one table, however its name is written', async () => {
    expect(
      await mistakesOf({
        'a.ts': `${head}export const a = ${one('Sales.Venue')}\n`,
        'b.ts': `${head}export const b = ${one('sales."venue"', ", stamp: 'b_at'")}`,
      }),
    ).toEqual([
      'b.ts:2: a (a.ts:2) and b (b.ts:2) both write the column "total" of sales.venue\n  Leave it in one of them.',
    ])
  })

  test('that share a stamp', async () => {
    expect(
      await mistakesOf({
        'a.ts': `${head}export const a = ${one('venue')}\nexport const b = defineColumns({ table: 'VENUE', columns: { other: sql\`1\` } })`,
      }),
    ).toEqual([
      'a.ts:3: a (a.ts:2) and b (a.ts:3) share the stamp "materialized_at" of venue\n' +
        "  Give one of them a stamp of its own: stamp: 'facts_materialized_at'.",
    ])
  })

  test("one of which has the other's stamp as a column, or names a column of its query", async () => {
    expect(
      await mistakesOf({
        'a.ts': `${head}export const a = ${one('venue', ", stamp: 'a_at'")}`,
        'b.ts': `${head}export const b = defineColumns({ table: 'venue', stamp: 'total', query: sql\`select 1\`, defaults: { a_at: 1 } })`,
      }),
    ).toEqual([
      'b.ts:2: a (a.ts:2) and b (b.ts:2) both write the column "total" of venue\n  Leave it in one of them.',
      'b.ts:2: a (a.ts:2) and b (b.ts:2) both write the column "a_at" of venue\n  Leave it in one of them.',
    ])
  })
})
