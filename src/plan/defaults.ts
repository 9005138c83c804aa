/**
 * Defaults: the values of rows that a query returns nothing for. Checked before anything is changed, since a wrong one would fail row by row.
 */
import type { Session } from '../db/session.ts'
import { sqlstateOf } from '../db/sqlstate.ts'
import type { ColumnsDefinition } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import { inScratch } from '../lineage/scratch.ts'
import type { Compiled } from '../materialization/compiled.ts'
import type { Mistakes } from './mistakes.ts'
import type { Settings } from './settings.ts'
import type { Computed } from './values.ts'

/** Notes defaults for columns that the query doesn't return. */
export function refuseUnknownDefaults(
  definition: ColumnsDefinition,
  computed: Computed,
  mistakes: Mistakes,
): void {
  for (const name of Object.keys(definition.defaults)) {
    if (computed.columns.some((column) => column.name === name)) continue
    mistakes.add(
      definition.place,
      `defaults names ${name}, which the query of ${definition.name} does not return`,
      `It returns ${computed.columns.map((column) => column.name).join(', ')}.`,
    )
  }
}

/** Has the server read each default as a value of its column's type. */
export async function checkDefaults(
  session: Session,
  settings: Settings,
  definition: ColumnsDefinition,
  compiled: Compiled,
): Promise<void> {
  for (const column of compiled.columns) {
    if (column.default === null) continue
    try {
      await inScratch(session, settings, (scratch) =>
        scratch.session.run(`select (${column.default}\n)::${column.type}`),
      )
    } catch (error) {
      if (sqlstateOf(error) === null) throw error
      throw new OperatorError({
        message: `defaults: ${column.default} can't be a value of column ${column.name}, which is ${column.type}: ${(error as Error).message}`,
        hint: 'Write a value of that type.',
        place: definition.place,
        cause: error,
      })
    }
  }
}
