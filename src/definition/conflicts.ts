/**
 * Definitions that can't stand side by side.
 *
 * Two writers of one column or view would undo each other for ever, and a stamp says when one definition computed (invariant
 * 13). Tables and views are compared as written, folded; that `venue` and `public.venue` are one only a database can tell, and
 * the columns of a `query` too: plan checks all of it again. Called by load.ts.
 */
import { displayQualified, parseIdentifier } from '../db/identifier.ts'
import { OperatorError, type Place } from '../kernel/errors.ts'
import type { ColumnsDefinition, Definition, ViewDefinition } from './definition.ts'

/** One error for each name, view, column or stamp that two definitions share, in the order of the definitions. */
export function findConflicts(definitions: readonly Definition[]): OperatorError[] {
  const columns = definitions.filter((definition) => definition.kind === 'columns')
  const views = definitions.filter((definition) => definition.kind === 'view')
  return [
    ...sameNames(definitions),
    ...sameViews(views),
    ...viewsAsTables(views, columns),
    ...sameColumns(columns),
  ]
}

/** Each item whose key an earlier one has too, with the first of those. */
function repeated<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
): { readonly item: T; readonly twin: T }[] {
  const first = new Map<string, T>()
  return items.flatMap((item) => {
    const key = keyOf(item)
    const twin = first.get(key)
    if (twin !== undefined) return { item, twin }
    first.set(key, item)
    return []
  })
}

function sameNames(definitions: readonly Definition[]): OperatorError[] {
  return repeated(definitions, ({ name }) => name).map(
    ({ item, twin }) =>
      new OperatorError({
        message: `two definitions are called ${item.name}: this one and that at ${at(twin.place)}`,
        hint: 'Export one of them by another name (a default export is called after its file).',
        place: item.place,
      }),
  )
}

function sameViews(views: readonly ViewDefinition[]): OperatorError[] {
  return repeated(views, ({ view }) => shown(view)).map(
    ({ item, twin }) =>
      new OperatorError({
        message: `${both(twin, item)} both declare the view ${shown(item.view)}`,
        hint: 'Take one of them away, or give it another name.',
        place: item.place,
      }),
  )
}

function viewsAsTables(
  views: readonly ViewDefinition[],
  columns: readonly ColumnsDefinition[],
): OperatorError[] {
  const declared = new Map(views.map((view) => [shown(view.view), view]))
  return columns.flatMap((definition) => {
    const name = shown(definition.table)
    const view = declared.get(name)
    if (view === undefined) return []
    return new OperatorError({
      message: `${name} is the view of ${label(view)} and the table of ${label(definition)}`,
      hint: "A materialized view can't get columns: add them to its query.",
      place: definition.place,
    })
  })
}

function sameColumns(definitions: readonly ColumnsDefinition[]): OperatorError[] {
  const written = definitions.flatMap((definition) =>
    writtenColumns(definition).map((column) => ({ ...column, definition, table: shown(definition.table) })),
  )
  return repeated(written, ({ table, column }) => JSON.stringify([table, column])).map(({ item, twin }) => {
    const { definition, table } = item
    const column = JSON.stringify(item.column)
    const stamps = item.isStamp && twin.isStamp
    const what = stamps
      ? `share the stamp ${column} of ${table}`
      : `both write the column ${column} of ${table}`
    return new OperatorError({
      message: `${both(twin.definition, definition)} ${what}`,
      hint: stamps
        ? "Give one of them a stamp of its own: stamp: 'facts_materialized_at'."
        : 'Leave it in one of them.',
      place: definition.place,
    })
  })
}

/** What is known without a database: of a query's columns just those that other options name. */
function writtenColumns(definition: ColumnsDefinition): { column: string; isStamp: boolean }[] {
  const { form, stamp, defaults, adopt } = definition
  const named =
    form.kind === 'columns' ? form.columns.map((column) => column.name) : [...Object.keys(defaults), ...adopt]
  const columns = new Set(named)
  columns.delete(stamp)
  return [{ column: stamp, isStamp: true }, ...[...columns].map((column) => ({ column, isStamp: false }))]
}

/** A table or view, folded: two that show alike are one. */
function shown(identifier: string): string {
  const { schema, name } = parseIdentifier(identifier)
  return displayQualified(schema, name)
}

function both(first: Definition, second: Definition): string {
  return `${label(first)} and ${label(second)}`
}

function label(definition: Definition): string {
  return `${definition.name} (${at(definition.place)})`
}

function at(place: Place): string {
  return `${place.file}:${place.line}`
}
