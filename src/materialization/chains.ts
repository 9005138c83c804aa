/**
 * Materializations that read one another's columns.
 */
import type { Catalogue, Stored } from './store.ts'

/**
 * How many materializations, at most, lie one behind the other before each: 0 for one that reads no materialized column.
 * By id. (apply refuses cycles; should there be one, its length bounds the count.)
 */
export function chainDepths({ materializations }: Catalogue): ReadonlyMap<string, number> {
  const depthOf = (reader: Stored, path: readonly string[]): number => {
    const before = materializations.filter((writer) => !path.includes(writer.id) && reads(reader, writer))
    return Math.max(0, ...before.map((writer) => 1 + depthOf(writer, [...path, writer.id])))
  }
  return new Map(materializations.map((one) => [one.id, depthOf(one, [one.id])]))
}

function reads(reader: Stored, writer: Stored): boolean {
  const written = new Set([writer.compiled.stamp, ...writer.compiled.columns.map((column) => column.name)])
  return reader.compiled.routes.some(
    (route) =>
      route.sourceOid === writer.targetOid &&
      !route.unlessOurs &&
      route.reads.some((name) => written.has(name)),
  )
}
