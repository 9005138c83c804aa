/**
 * From the options of defineColumns to the facts of a definition, or to a list of mistakes.
 *
 * All that can be told without a database is told here, in one go; a definition that passes is whole and frozen. Called by
 * define-columns.ts through declare.ts.
 */
import { displayQualified, parseIdentifier } from '../db/identifier.ts'
import { checkColumnName } from './column-names.ts'
import type { ColumnsOptions } from './columns-options.ts'
import { compileExpression, compileQuery } from './compile.ts'
import type { Unnamed } from './declaration.ts'
import type { ColumnsDefinition, ColumnsForm, DeclaredRoute } from './definition.ts'
import { describeValue, literal } from './literal.ts'
import { isPlainObject, type OptionReader } from './option-reader.ts'
import { readSettings } from './read-settings.ts'

/** Every option there is: a new one in the types must be named here, or this fails to compile. */
const known = Object.keys({
  table: true,
  columns: true,
  query: true,
  stamp: true,
  expires: true,
  dependsOn: true,
  defaults: true,
  adopt: true,
  settings: true,
  batch: true,
  priority: true,
  freshness: true,
} satisfies Record<keyof ColumnsOptions, true>)

const defaultStamp = 'materialized_at'
const defaultPriority = 5

/** The facts, or null with at least one mistake noted. */
export function readColumnsOptions(reader: OptionReader): Unnamed<ColumnsDefinition> | null {
  const before = reader.mistakes
  reader.refuseUnknown(known, 'defineColumns')
  const table = readTable(reader)
  const stamp = readStamp(reader)
  const form = readForm(reader)
  if (form?.kind === 'columns' && form.columns.some((column) => column.name === stamp)) {
    reader.mistake(
      `${JSON.stringify(stamp)} is both a column and the stamp`,
      'Leave it out of columns, or name another stamp: pgfresh writes the stamp itself.',
    )
  }
  const facts = {
    kind: 'columns' as const,
    place: reader.place,
    stamp,
    defaults: readDefaults(reader, stamp),
    dependsOn: readDependsOn(reader),
    expires: reader.interval('expires', '1 day'),
    adopt: readAdopt(reader, form, stamp),
    settings: readSettings(reader),
    batch: reader.integer(
      'batch',
      { from: 1, to: Number.MAX_SAFE_INTEGER },
      'It is the most rows of one transaction, a whole number from 1: batch: 500.',
    ),
    priority:
      reader.integer('priority', { from: 0, to: 9 }, 'It is a whole number from 0 (last) to 9 (first).') ??
      defaultPriority,
    freshness: reader.interval('freshness', '2 s'),
  }
  if (reader.mistakes > before || table === null || form === null) return null
  return Object.freeze({ ...facts, table, form })
}

function readTable(reader: OptionReader): string | null {
  const example = "Name the table that gets the columns: table: 'venue', or table: 'sales.\"Order\"'."
  if (!reader.has('table')) reader.mistake('defineColumns needs a table', example)
  return reader.identifier('table', example)
}

function readStamp(reader: OptionReader): string {
  const stamp = reader.text('stamp', `It is a column's name: stamp: 'facts_materialized_at'.`)
  if (stamp !== null) checkColumnName(reader, stamp, 'stamp: ')
  return stamp ?? defaultStamp
}

function readForm(reader: OptionReader): ColumnsForm | null {
  const [columns, query] = [reader.has('columns'), reader.has('query')]
  if (columns && query) {
    reader.mistake(
      'columns and query are both given',
      'Keep one. A second defineColumns on the table, with a stamp of its own, can hold the other.',
    )
    return null
  }
  if (query) {
    const context = { what: 'query', place: reader.place }
    const compiled = reader.attempt(() => compileQuery(reader.value('query'), context))
    return compiled === null ? null : Object.freeze({ kind: 'query', ...compiled })
  }
  if (columns) return readColumns(reader)
  reader.mistake(
    'neither columns nor query is given',
    'Write columns: { name: sql`…` }, an expression for each, or query: sql`select …`, which returns the key and the columns.',
  )
  return null
}

function readColumns(reader: OptionReader): ColumnsForm | null {
  const columns = reader.record('columns', 'Write columns: { name: sql`…` }.')
  if (columns === null) return null
  const names = Object.keys(columns)
  if (names.length === 0) reader.mistake('columns is empty', 'Write at least one: columns: { name: sql`…` }.')
  const read = names.map((name) => {
    checkColumnName(reader, name)
    const context = { what: `column ${JSON.stringify(name)}`, place: reader.place }
    const compiled = reader.attempt(() => compileExpression(columns[name], context))
    return compiled === null ? null : Object.freeze({ name, ...compiled })
  })
  return Object.freeze({ kind: 'columns', columns: Object.freeze(read.filter((column) => column !== null)) })
}

function readDefaults(reader: OptionReader, stamp: string): Readonly<Record<string, string>> {
  const given = reader.record(
    'defaults',
    "Write defaults: { total: 0 }, a value for each column that isn't NULL.",
  )
  if (given !== null && reader.has('columns') && !reader.has('query')) {
    reader.mistake(
      'defaults belong to query, and columns is given',
      'In an expression write the default into it: coalesce(…, 0).',
    )
    return {}
  }
  const entries = Object.entries(given ?? {}).map(([name, value]) => {
    checkColumnName(reader, name, 'defaults: ')
    if (name === stamp) {
      reader.mistake(
        `defaults: ${JSON.stringify(name)} is the stamp`,
        'Leave it out: pgfresh writes the stamp itself.',
      )
    }
    const text = literal(value)
    if (text.sql === undefined)
      reader.mistake(`default of ${JSON.stringify(name)}: ${text.problem}`, text.hint)
    return [name, (text.sql ?? '').trim()]
  })
  return Object.freeze(Object.fromEntries(entries))
}

function readAdopt(reader: OptionReader, form: ColumnsForm | null, stamp: string): readonly string[] {
  const names = reader.names('adopt', "It is a list of column names: adopt: ['country_id'].") ?? []
  for (const name of names) {
    if (form?.kind !== 'columns' || name === stamp) continue
    if (form.columns.some((column) => column.name === name) || isGiven(reader, name)) continue
    reader.mistake(
      `adopt names ${JSON.stringify(name)}, which is no column of this definition`,
      `Its columns are ${[...form.columns.map((column) => column.name), stamp].join(', ')}.`,
    )
  }
  return names
}

/** A column that was left out of the form because its SQL had a mistake is a column all the same. */
function isGiven(reader: OptionReader, name: string): boolean {
  const columns = reader.value('columns')
  return isPlainObject(columns) && Object.hasOwn(columns, name)
}

function readDependsOn(reader: OptionReader): Readonly<Record<string, DeclaredRoute>> {
  const given = reader.record(
    'dependsOn',
    "Write dependsOn: { rate: 'all' }, an entry for each table that is read.",
  )
  const seen = new Map<string, string>()
  const entries = Object.entries(given ?? {}).map(([source, route]) => {
    const parsed = reader.attempt(() => parseIdentifier(source), 'dependsOn: ')
    const name = parsed === null ? source : displayQualified(parsed.schema, parsed.name)
    const twin = seen.get(name)
    if (twin !== undefined) {
      reader.mistake(
        `dependsOn names ${name} twice, as ${JSON.stringify(twin)} and ${JSON.stringify(source)}`,
        'Keep one of them: names without quotes fold to lower case.',
      )
    }
    seen.set(name, source)
    return [source, readRoute(reader, source, route)] as const
  })
  return Object.freeze(Object.fromEntries(entries.filter(([, route]) => route !== null))) as Readonly<
    Record<string, DeclaredRoute>
  >
}

function readRoute(reader: OptionReader, source: string, route: unknown): DeclaredRoute | null {
  if (route === 'all' || route === 'ignore') return Object.freeze({ kind: route })
  const what = `dependsOn ${JSON.stringify(source)}`
  const keys = isPlainObject(route) ? Object.keys(route) : []
  if (!isPlainObject(route) || keys.length !== 1 || keys[0] !== 'via') {
    reader.mistake(
      `${what} is ${isPlainObject(route) ? `an object of ${keys.join(', ') || 'nothing'}` : describeValue(route)}`,
      "Write 'all', 'ignore' or { via: sql`select … from changed …` }.",
    )
    return null
  }
  const compiled = reader.attempt(() =>
    compileQuery(route.via, { what: `${what}: via`, place: reader.place }),
  )
  return compiled === null ? null : Object.freeze({ kind: 'via', ...compiled })
}
