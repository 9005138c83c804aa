/**
 * What definitions may not do to each other: write one column or stamp twice, or go round in a circle. Over this project's
 * definitions and everything that is stored besides.
 */
import { displayIdentifier } from '../db/identifier.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { Compiled } from '../materialization/compiled.ts'
import type { Wanted } from './compile.ts'
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

/** One materialized column in the graph of who reads whom. */
interface GraphNode {
  readonly label: string
  readonly targetOid: string
  readonly column: string
  readonly compiled: Compiled
  readonly wanted: Wanted | null
}

/** Refuses columns that are computed from each other: each would make the other stale for ever. */
export function refuseCycles(
  wanted: readonly Wanted[],
  neighbours: readonly Neighbour[],
  mistakes: Mistakes,
): void {
  const nodes = [
    ...wanted.flatMap((one) => nodesOf(one.compiled, one.target.oid, one)),
    ...neighbours.flatMap(({ stored }) => nodesOf(stored.compiled, stored.targetOid, null)),
  ]
  const feeds = new Map(nodes.map((node) => [node, nodes.filter((other) => readsOf(other, node))]))
  const cycle = findCycle(
    nodes.filter((node) => node.wanted !== null),
    (node) => feeds.get(node) ?? [],
  )
  const first = cycle?.find((node) => node.wanted !== null)
  if (cycle === null || first?.wanted == null) return
  mistakes.keep(
    new OperatorError({
      message: `these materialized columns are computed from each other: ${cycle.map((node) => node.label).join(' → ')}`,
      hint: 'Compute one of them from the tables that the others are computed from.',
      place: first.wanted.definition.place,
    }),
  )
}

function nodesOf(compiled: Compiled, targetOid: string, wanted: Wanted | null): GraphNode[] {
  return compiled.columns.map((column) => ({
    label: `${displayTable(compiled.target)}.${displayIdentifier(column.name)}`,
    targetOid,
    column: column.name,
    compiled,
    wanted,
  }))
}

/** True if a change of `node` makes `reader` stale. */
function readsOf(reader: GraphNode, node: GraphNode): boolean {
  return reader.compiled.routes.some(
    (route) =>
      route.sourceOid === node.targetOid &&
      !route.unlessOurs &&
      route.reads.includes(node.column) &&
      (route.columns === null || route.columns.includes(reader.column)),
  )
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
