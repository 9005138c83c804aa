/**
 * From the options of defineView to the facts of a definition, or to a list of mistakes.
 *
 * All that can be told without a database is told here, in one go; a definition that passes is whole and frozen. Called by
 * define-view.ts through declare.ts.
 */
import { checkColumnName } from './column-names.ts'
import { compileQuery } from './compile.ts'
import type { Unnamed } from './declaration.ts'
import type { ViewDefinition } from './definition.ts'
import type { OptionReader } from './option-reader.ts'
import { readRefresh } from './read-refresh.ts'
import { readSettings } from './read-settings.ts'
import type { ViewOptions } from './view-options.ts'

/** Every option there is: a new one in the types must be named here, or this fails to compile. */
const known = Object.keys({
  name: true,
  query: true,
  key: true,
  refresh: true,
  maximumExecutionDuration: true,
  skipUnchanged: true,
  adopt: true,
  settings: true,
} satisfies Record<keyof ViewOptions, true>)

const everyHint = "It goes into refresh: refresh: { every: '10 minutes' }."
const cronHint = "It goes into refresh: refresh: { cron: '*/10 * * * *', timeZone: 'Europe/London' }."
const nameHint = "The view is named by name: name: 'last_week_event'."

/** What people write from memory of other tools, of the schedule's columns, or of defineColumns. */
const misplaced: ReadonlyMap<string, string> = new Map([
  ['every', everyHint],
  ['interval', everyHint],
  ['refresh_interval', everyHint],
  ['cron', cronHint],
  ['schedule', cronHint],
  ['timezone', cronHint],
  ['time_zone', cronHint],
  ['keys', "Write key: ['id'], a list of the columns that tell its rows apart."],
  ['view', nameHint],
  ['table', nameHint],
  ['materialized_view_name', nameHint],
  ['concurrently', 'Leave it out: a view with a key is refreshed concurrently wherever that is possible.'],
  ['dependson', 'Leave it out: pgfresh asks the server what a view reads.'],
  ['enabled', 'Leave it out: views are switched off and on by pgfresh pause and pgfresh resume.'],
])

const defaultMaximumExecutionDuration = '30 minutes'

/** The facts, or null with at least one mistake noted. */
export function readViewOptions(reader: OptionReader): Unnamed<ViewDefinition> | null {
  const before = reader.mistakes
  reader.refuseUnknown(known, 'defineView', misplaced)
  const view = readName(reader)
  const query = readQuery(reader)
  const facts = {
    kind: 'view' as const,
    place: reader.place,
    key: readKey(reader),
    schedule: readRefresh(reader),
    maximumExecutionDuration:
      reader.interval('maximumExecutionDuration', '30 minutes') ?? defaultMaximumExecutionDuration,
    skipUnchanged:
      reader.boolean(
        'skipUnchanged',
        'It is true or false: with skipUnchanged: true, refreshes are left out while nothing that it reads has changed.',
      ) ?? false,
    adopt:
      reader.boolean(
        'adopt',
        'It is true or false: adopt: true takes over a materialized view of this name that exists already.',
      ) ?? false,
    settings: readSettings(reader),
  }
  if (reader.mistakes > before || view === null || query === null) return null
  return Object.freeze({ ...facts, view, query })
}

function readName(reader: OptionReader): string | null {
  const example = "Name the materialized view: name: 'last_week_event', or name: 'reporting.\"Sold\"'."
  if (!reader.has('name')) reader.mistake('defineView needs a name', example)
  return reader.identifier('name', example)
}

function readQuery(reader: OptionReader): ViewDefinition['query'] | null {
  if (!reader.has('query')) {
    reader.mistake(
      'defineView needs a query',
      'Write query: sql`select …`, or query: (db) => db.selectFrom(…)….',
    )
    return null
  }
  return reader.attempt(() =>
    Object.freeze(compileQuery(reader.value('query'), { what: 'query', place: reader.place })),
  )
}

function readKey(reader: OptionReader): readonly string[] {
  const names = reader.names('key', "It is a list of column names: key: ['id'].")
  if (names?.length === 0) {
    reader.mistake(
      'key is empty',
      "Name the columns that tell its rows apart: key: ['id'], or leave key out.",
    )
  }
  for (const name of names ?? []) checkColumnName(reader, name, 'key: ')
  return names ?? Object.freeze([])
}
