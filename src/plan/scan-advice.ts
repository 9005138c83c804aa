/**
 * Large tables that every batch would read from end to end, by the server's own estimate: advice, since an index may be all that is
 * missing, and a batch that takes long holds its rows for long. Pure.
 */
import { type Catalog, partitionRoot, type Relation } from '../catalog/catalog.ts'
import { nodesOf, type PlanNode } from './batch-plans.ts'
import { displayTable } from './target.ts'

/** Below that many rows a scan is as good as anything. */
const manyRows = 20_000

/** One sentence for each large table that these batches of `name` scan. */
export function scanAdvice(catalog: Catalog, name: string, plans: readonly PlanNode[]): string[] {
  const scanned = new Map<string, string>()
  for (const node of plans.flatMap(nodesOf)) {
    if (node['Node Type'] !== 'Seq Scan') continue
    const table = relationOf(catalog, node)
    if (table === undefined || rowsOf(catalog, table) < manyRows) continue
    scanned.set(displayTable(partitionRoot(catalog, table)), node.Filter ?? '')
  }
  return [...scanned].map(([table, filter]) => {
    const byKey = /([^()]+) = ANY .*pgfresh\.locked_/.exec(filter)?.[1]
    const sought = byKey === undefined ? filter : `its rows by ${byKey}`
    return sought === ''
      ? `every batch of ${name} would read all of ${table}: it computes each row from all of them`
      : `every batch of ${name} would read all of ${table} to find ${sought}: an index may be missing`
  })
}

function relationOf(catalog: Catalog, node: PlanNode): Relation | undefined {
  return [...catalog.relations.values()].find(
    (relation) => relation.name === node['Relation Name'] && relation.schema === node.Schema,
  )
}

function rowsOf(catalog: Catalog, table: Relation): number {
  const root = partitionRoot(catalog, table)
  return root === table ? table.estimatedRows : Math.max(table.estimatedRows, root.estimatedRows)
}
