/**
 * Whether columns that exist may be written to: they are ours or adopted, no key or constraint hangs on them, and what is
 * computed fits into them exactly. A column that pgfresh didn't make is never overwritten unless the definition says adopt.
 */
import { type Catalog, type Column, columnOf, type Relation } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import type { ColumnsDefinition } from '../definition/definition.ts'
import type { Place } from '../kernel/errors.ts'
import type { Mistakes } from './mistakes.ts'
import { displayTable } from './target.ts'
import { typeFits } from './type-fit.ts'
import type { ComputedColumn } from './values.ts'

/** PostgreSQL's name for what a stamp is. */
export const stampType = 'timestamp with time zone'
/** Its oid, the same in every database. */
export const stampTypeOid = '1184'

/** What is asked. */
export interface FitArguments {
  readonly catalog: Catalog
  readonly definition: ColumnsDefinition
  readonly target: Relation
  readonly columns: readonly ComputedColumn[]
  /** Columns of the target that this project's stored materializations made or write already. */
  readonly ours: ReadonlySet<string>
}

/** Notes every mistake; returns the type that each column has or will have. */
export function checkFit(args: FitArguments, mistakes: Mistakes): ReadonlyMap<string, string> {
  const { definition, target } = args
  const types = new Map<string, string>()
  for (const column of args.columns) {
    const existing = existingColumn(target, column.name)
    if (column.name === definition.stamp) {
      mistakes.add(
        column.place,
        `${displayIdentifier(column.name)} is both a column and the stamp of ${definition.name}`,
        "Give the stamp another name: stamp: '…'.",
      )
    } else if (existing === undefined) types.set(column.name, column.type)
    else {
      types.set(column.name, existing.type)
      const fits = checkExisting(args, existing, column.place, mistakes)
      if (fits) checkType(target, existing, column, mistakes)
    }
  }
  checkStamp(args, mistakes)
  for (const name of definition.adopt) {
    const shown = `${displayTable(target)} has no column ${displayIdentifier(name)} to adopt`
    if (existingColumn(target, name) === undefined)
      mistakes.add(definition.place, shown, 'Take it out of adopt: pgfresh will add the column.')
    else if (!types.has(name) && name !== definition.stamp) {
      mistakes.add(
        definition.place,
        `adopt names ${displayIdentifier(name)}, which ${definition.name} does not compute`,
        'Take it out of adopt.',
      )
    }
  }
  return types
}

/** What another definition is about to add is no column that exists: that both write it is told by conflicts.ts. */
function existingColumn(target: Relation, name: string): Column | undefined {
  const column = columnOf(target, name)
  return column?.planned ? undefined : column
}

function checkStamp(args: FitArguments, mistakes: Mistakes): void {
  const { definition, target } = args
  const existing = existingColumn(target, definition.stamp)
  if (existing === undefined || !checkExisting(args, existing, definition.place, mistakes)) return
  if (existing.type === stampType) return
  mistakes.add(
    definition.place,
    `the stamp ${displayIdentifier(definition.stamp)} of ${displayTable(target)} is ${existing.type}, and a stamp is timestamptz`,
    "Name another column: stamp: '…'.",
  )
}

/** True if it may be written to. */
function checkExisting(
  { catalog, definition, target, ours }: FitArguments,
  column: Column,
  place: Place,
  mistakes: Mistakes,
): boolean {
  const before = mistakes.count
  const shown = `column ${displayIdentifier(column.name)} of ${displayTable(target)}`
  const taken = belongsTo(catalog, target, column.name)
  if (taken !== null) {
    mistakes.add(
      place,
      `${shown} belongs to ${taken}, and can't be materialized`,
      'Materialize into a column of its own.',
    )
  } else if (column.generated !== null || column.identityAlways) {
    mistakes.add(
      place,
      `${shown} is ${column.generated === null ? 'an identity column' : 'a generated column'}: PostgreSQL alone writes it`,
      'Materialize into a column of its own.',
    )
  } else if (!ours.has(column.name) && !definition.adopt.includes(column.name)) {
    mistakes.add(
      place,
      `${shown} exists, and pgfresh did not make it`,
      `To let pgfresh overwrite its values: adopt: ['${column.name}']. Otherwise choose another name.`,
    )
  }
  return mistakes.count === before
}

/** The key or index that a column is part of, in words, or null. */
function belongsTo(catalog: Catalog, target: Relation, name: string): string | null {
  if (target.key.includes(name)) return 'the primary key'
  const unique = target.uniques.find((index) => index.columns.includes(name))
  if (target.replicaIdentity.includes(name)) return 'the replica identity'
  if (unique !== undefined) return `the unique index ${displayIdentifier(unique.name)}`
  return [target, ...below(catalog, target)].some((table) => table.partitionKey.includes(name))
    ? 'the partition key'
    : null
}

function below(catalog: Catalog, relation: Relation): Relation[] {
  const children = relation.children
    .map((oid) => catalog.relations.get(oid))
    .filter((child) => child !== undefined)
  return children.flatMap((child) => [child, ...below(catalog, child)])
}

function checkType(target: Relation, existing: Column, column: ComputedColumn, mistakes: Mistakes): void {
  const fit = typeFits(column.type, existing.type)
  if (fit === 'fits') return
  const shown = `column ${displayIdentifier(column.name)} of ${displayTable(target)} is ${existing.type}`
  mistakes.add(
    column.place,
    fit === 'wider'
      ? `${shown}, too narrow for ${column.type}, which is computed`
      : `${shown}, and what is computed is ${column.type}`,
    fit === 'wider'
      ? `Cast it if cutting or rounding is what you want: (…)::${existing.type}. Or widen the column.`
      : `Cast it: (…)::${existing.type}.`,
  )
}
