/**
 * With skipUnchanged: through what changes of a view's sources are noticed. Whatever a view reads and nobody notices would leave out a
 * refresh that is needed, so it is a mistake here. Pure.
 */
import { type Catalog, partitionRoot, type Relation } from '../catalog/catalog.ts'
import type { ViewDefinition } from '../definition/definition.ts'
import type { Reads, TableReads } from '../lineage/reads.ts'
import type { Route } from '../materialization/compiled.ts'
import type { Mistakes } from './mistakes.ts'
import { displayTable } from './target.ts'

/** What routes are made of. */
export interface ViewRouteArguments {
  readonly catalog: Catalog
  readonly definition: ViewDefinition
  readonly reads: Reads
  /** Somebody refreshes this materialized view through pgfresh: then its refreshes are in the log. */
  readonly isRefreshed: (relation: Relation) => boolean
}

/** One route for each table that is read; none without skipUnchanged. */
export function findViewRoutes(args: ViewRouteArguments, mistakes: Mistakes): Route[] {
  const { catalog, definition, reads } = args
  if (!definition.skipUnchanged) return []
  const sources = [...reads.tables.values()].flatMap((read) => {
    const relation = catalog.relations.get(read.oid)
    return relation === undefined ? [] : [{ read, relation }]
  })
  const unseen = whatNobodySees(
    args,
    sources.map((source) => source.relation),
  )
  if (unseen.length > 0) {
    mistakes.add(
      definition.place,
      `skipUnchanged: changes of what ${definition.name} reads would go unnoticed: ${unseen.join('; ')}`,
      'Leave skipUnchanged out: then each refresh is made.',
    )
    return []
  }
  const bySource = Map.groupBy(sources, ({ relation }) => partitionRoot(catalog, relation))
  const ordered = [...bySource].sort(([a], [b]) => (displayTable(a) < displayTable(b) ? -1 : 1))
  return ordered.map(([source, group]) => ({
    source: { schema: source.schema, name: source.name },
    sourceOid: source.oid,
    kind: 'all',
    via: null,
    logs: [],
    reads: [...new Set(group.flatMap(columnsRead))].sort(),
    unlessOurs: false,
    columns: null,
  }))
}

function whatNobodySees({ reads, isRefreshed }: ViewRouteArguments, sources: readonly Relation[]): string[] {
  const opaque = reads.functions.filter((called) => called.opaque).map((called) => called.name)
  const clock = [...new Set(reads.clock)]
  return [
    ...(clock.length === 0 ? [] : [`it reads the clock (${clock.join(', ')})`]),
    ...(reads.volatile.length === 0 ? [] : [`it calls ${reads.volatile.join(', ')}, declared volatile`]),
    ...(opaque.length === 0
      ? []
      : [`it calls ${opaque.join(', ')}, whose body PostgreSQL doesn't look into before it runs`]),
    ...reads.systemTables.map((name) => `${name} is a system table`),
    ...(sources.length === reads.tables.size ? [] : ["it reads pgfresh's own tables"]),
    ...sources
      .filter((source) => source.kind === 'f')
      .map((source) => `${displayTable(source)} is a foreign table`),
    ...sources
      .filter((source) => source.kind === 'm' && !isRefreshed(source))
      .map(
        (source) =>
          `materialized view ${displayTable(source)} has no definition and no row in the refresh schedule`,
      ),
  ]
}

/** A trigger has to read something: where only the rows count, it is what hardly ever changes. */
function columnsRead({ read, relation }: { read: TableReads; relation: Relation }): readonly string[] {
  const { columns } = read
  const names = relation.columns
    .filter((column) => columns === 'all' || columns.has(column.number))
    .map((column) => column.name)
  if (names.length > 0) return names
  return relation.key.length > 0 ? relation.key : relation.columns.slice(0, 1).map((column) => column.name)
}
