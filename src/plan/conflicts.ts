/**
 * What definitions may not do to each other: write one column or stamp twice, or go round in a circle. Over this project's
 * definitions and everything that is stored besides.
 */
import { type Catalog, partitionRoot } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import { OperatorError, type Place } from '../kernel/errors.ts'
import type { Compiled } from '../materialization/compiled.ts'
import type { Wanted } from './compile.ts'
import type { WantedView } from './compile-view.ts'
import type { Mistakes } from './mistakes.ts'
import type { StoredMaterialization } from './stored.ts'
import { displayTable } from './target.ts'

/** A stored materialization that goes on existing beside the definitions of a plan. */
export interface Neighbour {
  readonly stored: StoredMaterialization
  /** Of this project, but in no file any more. */
  readonly undeclared: boolean
}

/** Notes every column or stamp that two of them write. */
export function refuseSharedColumns(
  wanted: readonly Wanted[],
  neighbours: readonly Neighbour[],
  mistakes: Mistakes,
): void {
  const writers = new Map<string, { readonly who: string; readonly hint: string }>()
  const key = (oid: string, column: string) => JSON.stringify([oid, column])
  for (const { stored, undeclared } of neighbours) {
    const { compiled } = stored
    const who = `${compiled.name} of project ${compiled.project}${undeclared ? ', which no file declares any more,' : ''}`
    const hint = undeclared
      ? 'Take that one out first: pgfresh apply --prune.'
      : `Both write to ${displayTable(compiled.target)}: give one of them another column.`
    for (const column of writtenColumns(compiled)) writers.set(key(stored.targetOid, column), { who, hint })
  }
  for (const { definition, compiled, target } of wanted) {
    for (const column of writtenColumns(compiled)) {
      const other = writers.get(key(target.oid, column))
      if (other === undefined) {
        writers.set(key(target.oid, column), {
          who: definition.name,
          hint: "Give one of them another column, or another stamp: stamp: '…'.",
        })
      } else {
        mistakes.add(
          definition.place,
          `${definition.name} writes column ${displayIdentifier(column)} of ${displayTable(target)}, and so does ${other.who}`.replace(
            /,$/,
            '',
          ),
          other.hint,
        )
      }
    }
  }
}

/** Columns and stamp. */
export function writtenColumns(compiled: Compiled): string[] {
  return [...compiled.columns.map((column) => column.name), compiled.stamp]
}

/** One materialized column, or a view, in the graph of who reads whom. */
interface GraphNode {
  readonly label: string
  /** Of its definition, if this plan has it. */
  readonly place: Place | null
  /** True if a change of `other` makes this one stale. */
  readonly reads: (other: GraphNode) => boolean
  readonly relation: string
  /** Null: a view, which changes as a whole. */
  readonly column: string | null
}

/** Refuses columns and views that are computed from each other: each would make the other stale for ever. */
export function refuseCycles(
  catalog: Catalog,
  { columns, views }: { readonly columns: readonly Wanted[]; readonly views: readonly WantedView[] },
  neighbours: readonly Neighbour[],
  mistakes: Mistakes,
): void {
  const nodes = [
    ...columns.flatMap((one) => columnNodes(one.compiled, one.target.oid, one.definition.place)),
    ...neighbours.flatMap(({ stored }) => columnNodes(stored.compiled, stored.targetOid, null)),
    ...views.map((one) => viewNode(catalog, one)),
  ]
  const feeds = new Map(nodes.map((node) => [node, nodes.filter((other) => other.reads(node))]))
  const cycle = findCycle(
    nodes.filter((node) => node.place !== null),
    (node) => feeds.get(node) ?? [],
  )
  const first = cycle?.find((node) => node.place !== null)
  if (cycle === null || first === undefined || first.place === null) return
  mistakes.keep(
    computedFromEachOther({
      labels: cycle.map((node) => node.label),
      hasViews: cycle.some((node) => node.column === null),
      place: first.place,
    }),
  )
}

/** The mistake of a circle. */
export function computedFromEachOther(circle: {
  /** In order, the first one again at the end. */
  readonly labels: readonly string[]
  readonly hasViews: boolean
  readonly place: Place
}): OperatorError {
  const { labels, hasViews, place } = circle
  return new OperatorError({
    message: `these ${hasViews ? 'materializations' : 'materialized columns'} are computed from each other: ${labels.join(' → ')}`,
    hint: 'Compute one of them from the tables that the others are computed from.',
    place,
  })
}

function columnNodes(compiled: Compiled, relation: string, place: Place | null): GraphNode[] {
  return compiled.columns.map(({ name }) => ({
    label: `${displayTable(compiled.target)}.${displayIdentifier(name)}`,
    place,
    relation,
    column: name,
    reads: (other) =>
      compiled.routes.some(
        (route) =>
          route.sourceOid === other.relation &&
          !route.unlessOurs &&
          (other.column === null || route.reads.includes(other.column)) &&
          (route.columns === null || route.columns.includes(name)),
      ),
  }))
}

function viewNode(catalog: Catalog, { definition, relation, reads }: WantedView): GraphNode {
  const read = [...reads.tables.values()].flatMap(({ oid, columns }) => {
    const table = catalog.relations.get(oid)
    return table === undefined
      ? []
      : [
          {
            oid: partitionRoot(catalog, table).oid,
            names: table.columns
              .filter((column) => columns === 'all' || columns.has(column.number))
              .map((column) => column.name),
          },
        ]
  })
  return {
    label: displayTable(relation),
    place: definition.place,
    relation: relation.oid,
    column: null,
    reads: (other) =>
      read.some(
        ({ oid, names }) => oid === other.relation && (other.column === null || names.includes(other.column)),
      ),
  }
}

function findCycle(
  starts: readonly GraphNode[],
  next: (node: GraphNode) => readonly GraphNode[],
): GraphNode[] | null {
  const done = new Set<GraphNode>()
  const visit = (node: GraphNode, path: readonly GraphNode[]): GraphNode[] | null => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node]
    if (done.has(node)) return null
    for (const one of next(node)) {
      const found = visit(one, [...path, node])
      if (found !== null) return found
    }
    done.add(node)
    return null
  }
  for (const start of starts) {
    const found = visit(start, [])
    if (found !== null) return found
  }
  return null
}
