/**
 * What files no longer declare: said always, taken out by --prune, and dropped with its values by --drop too. Columns that pgfresh
 * didn't make are never dropped.
 *
 * A row that alone knows which columns are ours goes last: after they are dropped, or remembered by the definition they moved to.
 */
import { type Catalog, columnOf, descendants } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import { writtenColumns } from './conflicts.ts'
import { beingRemoved, dropColumnsStep, type Registration, unregisterStep } from './registration.ts'
import type { Step } from './steps.ts'
import type { StoredMaterialization } from './stored.ts'
import { displayTable } from './target.ts'

/** What removals depend on. */
export interface RemovalArguments {
  readonly catalog: Catalog
  readonly registrations: readonly Registration[]
  /** Stored, in no file, and to be taken out. */
  readonly pruned: readonly StoredMaterialization[]
  /** Stored, in no file, and staying for want of --prune. */
  readonly kept: readonly StoredMaterialization[]
  /** Of other projects. */
  readonly others: readonly StoredMaterialization[]
  readonly drop: boolean
}

/** Steps before anything is added: what is pruned stops. */
export function stoppingSteps(args: RemovalArguments): Step[] {
  return args.pruned.flatMap((stored) => {
    const keepRow = keepsRow(args, stored)
    return keepRow && stored.fingerprint === beingRemoved ? [] : [unregisterStep(stored, { keepRow })]
  })
}

/** Steps at the very end: no trigger names these columns any more. */
export function droppingSteps(args: RemovalArguments): Step[] {
  const { catalog } = args
  const ending = args.pruned
    .filter((stored) => keepsRow(args, stored))
    .map((stored) => ({ stored, removesRow: true }))
  const staying = args.registrations.flatMap(({ stored, made }) =>
    stored === undefined
      ? []
      : [{ stored: { ...stored, compiled: { ...stored.compiled, made } }, removesRow: false }],
  )
  return [...ending, ...staying].flatMap(({ stored, removesRow }) => {
    const columns = args.drop ? undeclaredColumns(args, stored) : []
    if (columns.length === 0 && !removesRow) return []
    const target = catalog.relations.get(stored.targetOid)
    const relations = target === undefined ? [] : [target, ...descendants(catalog, target)]
    return [dropColumnsStep(stored, columns, { removesRow, relations: relations.map((one) => one.oid) })]
  })
}

/** One sentence for all that is declared no more, and stays. */
export function leftovers(args: RemovalArguments): string[] {
  const kept = args.kept.map(
    ({ compiled }) =>
      `${compiled.name} (${displayTable(compiled.target)}) is in no file any more, and stays: --prune removes it`,
  )
  if (args.drop) return kept
  const columns = (stored: StoredMaterialization, flags: string) => {
    const names = undeclaredColumns(args, stored).map(displayIdentifier)
    const table = displayTable(stored.compiled.target)
    if (names.length === 0) return []
    return names.length === 1
      ? [`column ${names[0]} of ${table} is declared no more, and stays with its values: ${flags} drops it`]
      : [
          `columns ${names.join(', ')} of ${table} are declared no more, and stay with their values: ${flags} drops them`,
        ]
  }
  return [
    ...kept,
    ...args.pruned.flatMap((stored) => columns(stored, '--drop')),
    ...args.registrations.flatMap(({ stored }) =>
      stored === undefined ? [] : columns(stored, '--prune --drop'),
    ),
  ]
}

function keepsRow(args: RemovalArguments, stored: StoredMaterialization): boolean {
  const made = existing(args.catalog, stored)
  const moving = args.registrations.some(
    (one) =>
      one.wanted.target.oid === stored.targetOid && made.some((name) => declaredBy(one).includes(name)),
  )
  return moving || (args.drop && made.length > 0)
}

/** Columns that we made, that still exist, and that no definition declares. */
function undeclaredColumns(
  { catalog, registrations, kept, others }: RemovalArguments,
  stored: StoredMaterialization,
): string[] {
  const staying = [...kept, ...others].filter((one) => one.targetOid === stored.targetOid)
  const declared = new Set([
    ...registrations.filter((one) => one.wanted.target.oid === stored.targetOid).flatMap(declaredBy),
    // Somebody else may have adopted what we left behind.
    ...staying.flatMap((one) => writtenColumns(one.compiled)),
  ])
  return existing(catalog, stored).filter((name) => !declared.has(name))
}

function existing(catalog: Catalog, stored: StoredMaterialization): string[] {
  const target = catalog.relations.get(stored.targetOid)
  return target === undefined
    ? []
    : stored.compiled.made.filter((name) => columnOf(target, name) !== undefined)
}

/** Columns and stamp of a definition. */
export function declaredBy({ wanted }: Pick<Registration, 'wanted'>): string[] {
  return writtenColumns(wanted.compiled)
}
