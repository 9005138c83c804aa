/**
 * A column computed from another one of the same definition would be computed from a value that may be stale, and our own write of
 * that one is no change that is captured: nobody would notice.
 */
import type { Relation } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import type { ColumnsDefinition } from '../definition/definition.ts'
import type { Mistakes } from './mistakes.ts'
import { displayTable } from './target.ts'
import type { Computed } from './values.ts'

/** Notes each column, or the query, that reads what its own definition writes. */
export function refuseOwnValues(
  definition: ColumnsDefinition,
  target: Relation,
  computed: Computed,
  mistakes: Mistakes,
): void {
  const written = [...computed.columns.map((column) => column.name), definition.stamp]
  // That a key can't be materialized is said elsewhere.
  const own = new Set(written.filter((name) => !target.key.includes(name)))
  for (const [reader, reads] of computed.reads) {
    const read = reads.tables.get(target.oid)?.columns
    const found = target.columns.filter(
      (column) => own.has(column.name) && (read === 'all' || read?.has(column.number)),
    )
    if (found.length === 0) continue
    const names = found.map((column) => displayIdentifier(column.name)).join(', ')
    const whole = read === 'all' ? ` (in a whole row of ${displayTable(target)})` : ''
    mistakes.add(
      computed.columns.find((column) => column.name === reader)?.place ?? definition.place,
      `${reader === '' ? 'the query' : `column ${displayIdentifier(reader)}`} reads ${names}${whole}, which ${definition.name} itself writes`,
      'Name the columns that it needs; what builds on a materialized column goes into a definition of its own, with its own stamp.',
    )
  }
}
