/**
 * Definitions that can't stand side by side.
 *
 * Two writers of one column would undo each other for ever, and a stamp says when one definition computed (invariant 13).
 * Tables are compared as written, folded; that `venue` and `public.venue` are one only a database can tell, and the
 * columns of a `query` too: plan checks both again. Called by load.ts.
 */
import { displayQualified, parseIdentifier } from '../db/identifier.ts'
import { OperatorError, type Place } from '../kernel/errors.ts'
import type { ColumnsDefinition, Definition } from './definition.ts'

/** One error for each name, column or stamp that two definitions share, in the order of the definitions. */
export function findConflicts(definitions: readonly Definition[]): OperatorError[] {
  return [...sameNames(definitions), ...sameColumns(definitions)]
}

function sameNames(definitions: readonly Definition[]): OperatorError[] {
  const first = new Map<string, Definition>()
  return definitions.flatMap((definition) => {
    const twin = first.get(definition.name)
    if (twin === undefined) {
      first.set(definition.name, definition)
      return []
    }
    return new OperatorError({
      message: `two definitions are called ${definition.name}: this one and that at ${at(twin.place)}`,
      hint: 'Export one of them by another name (a default export is called after its file).',
      place: definition.place,
    })
  })
}

function sameColumns(definitions: readonly Definition[]): OperatorError[] {
  const first = new Map<string, { definition: Definition; isStamp: boolean }>()
  const errors: OperatorError[] = []
  for (const definition of definitions) {
    const { schema, name: table } = parseIdentifier(definition.table)
    const shown = displayQualified(schema, table)
    for (const { column, isStamp } of writtenColumns(definition)) {
      const key = JSON.stringify([schema, table, column])
      const twin = first.get(key)
      if (twin === undefined) first.set(key, { definition, isStamp })
      else
        errors.push(conflict(definition, twin.definition, { column, shown, stamps: isStamp && twin.isStamp }))
    }
  }
  return errors
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

function conflict(
  definition: Definition,
  twin: Definition,
  found: { readonly column: string; readonly shown: string; readonly stamps: boolean },
): OperatorError {
  const both = `${twin.name} (${at(twin.place)}) and ${definition.name} (${at(definition.place)})`
  const column = JSON.stringify(found.column)
  return new OperatorError({
    message: found.stamps
      ? `${twin.name} (${at(twin.place)}) and ${definition.name} (${at(definition.place)}) share the stamp ${column} of ${found.shown}`
      : `${both} both write the column ${column} of ${found.shown}`,
    hint: found.stamps
      ? "Give one of them a stamp of its own: stamp: 'facts_materialized_at'."
      : 'Leave it in one of them.',
    place: definition.place,
  })
}

function at(place: Place): string {
  return `${place.file}:${place.line}`
}
