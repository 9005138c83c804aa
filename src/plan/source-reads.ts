/**
 * What a definition reads of each table, over all its columns. Pure.
 */
import type { Catalog, Relation } from '../catalog/catalog.ts'
import type { ColumnsDefinition } from '../definition/definition.ts'
import { InvariantError } from '../kernel/errors.ts'
import type { Computed } from './values.ts'

/** One table that a definition reads. */
export interface SourceRead {
  readonly relation: Relation
  /** Names of the columns that are read; empty where only the rows count. */
  readonly columns: readonly string[]
  /** The view that it is read through, or null. */
  readonly through: string | null
  /** The most that one column's expression, or the query, mentions it. */
  readonly mentions: number
  /** Which of the definition's columns read it; null for all of them. */
  readonly readers: readonly string[] | null
}

/** Each table once, in the order it was met. */
export function mergeReads(
  catalog: Catalog,
  definition: ColumnsDefinition,
  computed: Computed,
): SourceRead[] {
  const merged = new Map<string, SourceRead & { readonly readers: readonly string[] }>()
  for (const [reader, reads] of computed.reads) {
    for (const read of reads.tables.values()) {
      const relation = catalog.relations.get(read.oid)
      if (relation === undefined)
        throw new InvariantError(`${definition.name} reads a table that the catalog has not: ${read.oid}`)
      const known = merged.get(read.oid)
      const { columns } = read
      const names = relation.columns
        .filter((column) => columns === 'all' || columns.has(column.number))
        .map((column) => column.name)
      merged.set(read.oid, {
        relation,
        columns: [...new Set([...(known?.columns ?? []), ...names])],
        through: known === undefined || known.through !== null ? read.through : null,
        mentions: Math.max(known?.mentions ?? 0, read.mentions),
        readers: [...(known?.readers ?? []), reader],
      })
    }
  }
  const all = computed.reads.size
  return [...merged.values()].map((read) => ({
    ...read,
    readers: definition.form.kind === 'query' || read.readers.length === all ? null : read.readers,
  }))
}
