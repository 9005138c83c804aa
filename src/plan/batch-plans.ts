/**
 * How the server would run a batch: its own estimates, for keys that the target really has. Asked in scratch transactions, before
 * the materialized columns exist.
 */
import type { Relation } from '../catalog/catalog.ts'
import { quoteIdentifier } from '../db/identifier.ts'
import type { Scratch } from '../lineage/scratch.ts'
import type { KeyColumn } from '../materialization/compiled.ts'
import { keyedQuery } from '../refresh/fresh-sql.ts'
import { limitToLocked, setLocked } from '../refresh/key.ts'

/** Keys of a batch that is neither small nor large. */
const sampleKeys = 100

/** A node of what EXPLAIN (FORMAT JSON, VERBOSE) prints. */
export interface PlanNode {
  readonly 'Node Type': string
  readonly 'Total Cost': number
  readonly 'Relation Name'?: string
  readonly Schema?: string
  readonly Filter?: string
  readonly Plans?: readonly PlanNode[]
}

/** Takes some keys of the target as those of the batches that are asked about from here on. */
export async function sampleBatch(
  scratch: Scratch,
  target: Relation,
  key: readonly KeyColumn[],
): Promise<void> {
  const columns = key.map((column, at) => `${quoteIdentifier(column.name)} as k${at + 1}`).join(', ')
  const sample = `select ${columns} from ${scratch.nameOf(target)} limit ${sampleKeys}`
  await scratch.session.run(
    `with pgfresh_keys as materialized (${sample}) select ${setLocked(key, 'pgfresh_keys')}`,
  )
}

/** A batch of a `query`, its keys handed in one way or the other. */
export function planOfQuery(
  scratch: Scratch,
  args: {
    readonly target: Relation
    readonly key: readonly KeyColumn[]
    readonly sql: string
    readonly keys: 'any' | 'lateral'
  },
): Promise<PlanNode> {
  const { before, after } = keyedQuery(args.target, args.key, args.keys)
  return explain(scratch, `select * ${before}${scratch.redirected(args.sql)}${after}`)
}

/** A batch of one column's expression, by the scratch view that holds it and what that one calls the key. */
export function planOfColumn(
  scratch: Scratch,
  view: string,
  key: readonly KeyColumn[],
  keyNames: readonly string[],
): Promise<PlanNode> {
  const named = key.map((column, at) => ({ ...column, name: keyNames[at] ?? column.name }))
  const limit = limitToLocked(named, 'v')
  return explain(
    scratch,
    `select v.* from pg_temp.${quoteIdentifier(view)} v ${limit.join} where ${limit.where}`,
  )
}

/** A node and all below it. */
export function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}

async function explain(scratch: Scratch, sql: string): Promise<PlanNode> {
  const [rows] = await scratch.session.run(`explain (format json, verbose) ${sql}`)
  const [plan] = JSON.parse(rows?.[0]?.['QUERY PLAN'] ?? '[]') as { readonly Plan: PlanNode }[]
  if (plan === undefined) throw new RangeError('EXPLAIN gave no plan')
  return plan.Plan
}
