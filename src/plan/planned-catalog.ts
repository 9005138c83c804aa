/**
 * The catalog as it will be once the plan under way has added its columns and views. Pure.
 */
import type { Catalog, Column, Relation } from '../catalog/catalog.ts'
import { isBuiltIn, isExactInJson, isInteger } from '../catalog/scalar.ts'

/** A column that is yet to be added. */
export interface AddedColumn {
  readonly name: string
  readonly type: string
  readonly typeOid: string
}

/** What a definition adds to its target. */
interface Adding {
  readonly target: Relation
  readonly added: readonly AddedColumn[]
}

/** With the columns of these definitions, added in this order. */
export function withPlannedColumns(catalog: Catalog, wanted: readonly Adding[]): Catalog {
  const adding = Map.groupBy(
    wanted.filter((one) => one.added.length > 0),
    (one) => one.target.oid,
  )
  const relations = new Map(catalog.relations)
  for (const [oid, group] of adding) {
    const relation = catalog.relations.get(oid)
    if (relation !== undefined) relations.set(oid, withColumns(catalog, relation, group))
  }
  return { ...catalog, relations }
}

/** With those of these views that don't exist yet. */
export function withPlannedViews(
  catalog: Catalog,
  views: readonly { readonly relation: Relation }[],
): Catalog {
  const planned = views.map((one) => one.relation).filter((relation) => relation.planned)
  if (planned.length === 0) return catalog
  return {
    ...catalog,
    relations: new Map([
      ...catalog.relations,
      ...planned.map((relation) => [relation.oid, relation] as const),
    ]),
  }
}

function withColumns(catalog: Catalog, relation: Relation, group: readonly Adding[]): Relation {
  const added = group.flatMap((one) => one.added)
  const columns = added.map((column, at) => plannedColumn(catalog, column, relation.lastNumber + at + 1))
  return { ...relation, columns: [...relation.columns, ...columns] }
}

/** A column that the plan under way makes. */
export function plannedColumn(
  catalog: Catalog,
  { name, type, typeOid }: AddedColumn,
  number: number,
): Column {
  return {
    name,
    type,
    json: isExactInJson(typeOid, catalog.types),
    integer: isInteger(typeOid, catalog.types),
    builtIn: isBuiltIn(typeOid, catalog.types),
    number,
    notNull: false,
    generated: null,
    expression: null,
    identityAlways: false,
    planned: true,
  }
}
