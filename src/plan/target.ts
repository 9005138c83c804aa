/**
 * The table that a definition writes to: found, and fit for it.
 */
import { type Catalog, descendants, type Relation } from '../catalog/catalog.ts'
import { displayQualified, parseIdentifier } from '../db/identifier.ts'
import type { ColumnsDefinition } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { Scratch } from '../lineage/scratch.ts'

/** The target's relation. An OperatorError if there is none, or if it can't have materialized columns. */
export async function findTarget(
  scratch: Scratch,
  catalog: Catalog,
  definition: ColumnsDefinition,
): Promise<Relation> {
  const refuse = (message: string, hint?: string) =>
    new OperatorError({ message, hint, place: definition.place })
  const { schema } = parseIdentifier(definition.table)
  const oid = await scratch.resolve(definition.table, definition.place)
  if (oid === null) {
    throw refuse(
      `there is no table ${definition.table} in database ${catalog.database}`,
      schema === null
        ? `It was looked up along the search_path ${catalog.searchPath}. Write schema.table for a table elsewhere, and double quotes around capitals.`
        : 'Check schema and name; parts with capitals need double quotes.',
    )
  }
  const target = catalog.relations.get(oid)
  if (target === undefined) {
    throw refuse(
      `${definition.table} is a system table, a temporary one or one of pgfresh's own`,
      'Materialize columns on a table of your own.',
    )
  }
  const name = displayTable(target)
  const wrongKind = { v: 'a view', m: 'a materialized view', f: 'a foreign table' }
  if (target.kind !== 'r' && target.kind !== 'p') {
    throw refuse(
      `${name} is ${wrongKind[target.kind]}, not a table`,
      'Columns can be materialized on tables only.',
    )
  }
  if (target.isPartition) {
    throw refuse(
      `${name} is a partition, and has no columns of its own`,
      'Declare the columns on the partitioned table: its partitions get them too.',
    )
  }
  if (target.key.length === 0) {
    throw refuse(
      `table ${name} has no primary key`,
      `pgfresh finds rows by their primary key: alter table ${name} add primary key (…).`,
    )
  }
  if (target.kind === 'r' && descendants(catalog, target).length > 0) {
    throw refuse(
      `table ${name} has tables that inherit from it, and its primary key says nothing of their rows`,
      'Declare the columns on the tables that inherit, or make it a partitioned table.',
    )
  }
  return target
}

/** The table as people name it: without a schema where that is public. For messages. */
export function displayTable(table: { readonly schema: string; readonly name: string }): string {
  return displayQualified(table.schema === 'public' ? null : table.schema, table.name)
}
