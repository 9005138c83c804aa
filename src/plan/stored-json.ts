/**
 * Compiled definitions as the literals that apply stores. What reads a view that the same plan is yet to create can't know its oid:
 * a stand-in has its place, until the server puts the real one in.
 */
import { quoteLiteral, quoteQualified } from '../db/identifier.ts'
import type { Route } from '../materialization/compiled.ts'

/** Oids end below this. */
const firstPlannedOid = 2 ** 32

/** The stand-in for the oid of the view that the `at`-th definition is about. */
export function plannedOid(at: number): string {
  return String(firstPlannedOid + at)
}

/** True for a stand-in. */
export function isPlannedOid(oid: string): boolean {
  return Number(oid) >= firstPlannedOid
}

/** A relation's oid as SQL: by its name where it has none yet. */
export function oidSql(relation: {
  readonly oid: string
  readonly schema: string
  readonly name: string
}): string {
  return isPlannedOid(relation.oid)
    ? `${quoteLiteral(quoteQualified(relation.schema, relation.name))}::pg_catalog.regclass::pg_catalog.oid`
    : String(Number(relation.oid))
}

/** A compiled definition as a jsonb expression. */
export function storedJson(compiled: { readonly routes: readonly Route[] }): string {
  const unborn = new Map(
    compiled.routes
      .filter((route) => isPlannedOid(route.sourceOid))
      .map((route) => [route.sourceOid, oidSql({ ...route.source, oid: route.sourceOid })]),
  )
  const json = [...unborn].reduce(
    (text, [oid, sql]) =>
      `pg_catalog.replace(${text}, '"sourceOid":"${oid}"', pg_catalog.format('"sourceOid":"%s"', ${sql}))`,
    quoteLiteral(JSON.stringify(compiled)),
  )
  return `${unborn.size === 0 ? json : `(${json})`}::jsonb`
}
