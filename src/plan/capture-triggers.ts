/**
 * Which triggers a source must have, and what is wrong with those it has: told by name, function, state and argument, never by SQL
 * that the catalog prints back. Pure.
 */

import { captureTriggerNames, triggerFunction } from '../capture/triggers.ts'
import { type Catalog, type Column, descendants, type Relation, type Trigger } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import type { CaptureShape } from '../materialization/compiled.ts'
import type { StoredCapture } from '../materialization/store.ts'
import { displayTable } from './target.ts'

/** The relations that need triggers: row triggers reach partitions by themselves, TRUNCATE triggers don't; inheritance children need all. */
export function capturedTables(
  catalog: Catalog,
  source: Relation,
): { readonly rows: readonly Relation[]; readonly leaves: readonly Relation[] } {
  const below = descendants(catalog, source).filter((relation) => relation.kind === 'r')
  return source.kind === 'p' ? { rows: [source], leaves: below } : { rows: [source, ...below], leaves: [] }
}

/** What is wrong with one trigger. */
export interface TriggerProblem {
  /** In words. */
  readonly text: string
  /** Changes may have gone unnoticed. */
  readonly gap: boolean
}

/** What is wrong with the triggers of a source. */
export function triggerProblems(
  catalog: Catalog,
  source: Relation,
  capture: StoredCapture,
): TriggerProblem[] {
  const captureId = capture.id
  const { rows, leaves } = capturedTables(catalog, source)
  const byStatement = insertsByStatement(catalog, source)
  const wanted = [
    ...rows.flatMap((relation) => captureTriggerNames.map((name) => ({ relation, name }))),
    // Row triggers of the root are on each partition too, and each of them can be disabled there.
    ...leaves.flatMap((relation) =>
      captureTriggerNames.flatMap((name) => (name === 'pgfresh_columns' ? [] : { relation, name })),
    ),
  ]
  return wanted.flatMap(({ relation, name }) => {
    const trigger = relation.triggers.find((one) => one.name === name)
    const expected = {
      functions: [
        triggerFunction(name, captureId, byStatement),
        triggerFunction(name, captureId, !byStatement),
      ] as const,
      captureId,
      // A part of it may be truncated over there that is no table of its own here.
      replicated: isReplicated(catalog, rows.includes(relation) ? relation : source),
    }
    const problem =
      name === 'pgfresh_columns'
        ? guardProblem(trigger, {
            columns: columnsOf(relation, capture.shape),
            generated: generatedColumns(catalog, relation, capture.shape),
          })
        : problemOf(trigger, expected)
    const on = relation === source ? '' : ` on ${displayTable(relation)}`
    return problem === null ? [] : [{ ...problem, text: `trigger ${name}${on} ${problem.text}` }]
  })
}

interface ExpectedTrigger {
  /** What it calls, and what it could call and miss nothing. */
  readonly functions: readonly [string, string]
  readonly captureId: string
  readonly replicated: boolean
}

function problemOf(trigger: Trigger | undefined, expected: ExpectedTrigger): TriggerProblem | null {
  const gap = (text: string) => ({ text, gap: true })
  if (trigger === undefined) return gap('is missing')
  if (trigger.enabled === 'disabled') return gap('is disabled')
  if (trigger.enabled === 'replica') return gap('fires for replication only')
  if (expected.replicated && trigger.enabled === 'origin') return gap('does not fire for replication')
  const [preferred, other] = expected.functions
  if (trigger.function !== preferred && trigger.function !== other) return gap(`calls ${trigger.function}`)
  if (trigger.argument !== null && trigger.argument !== expected.captureId)
    return gap('belongs to another capture')
  return trigger.function === preferred ? null : { text: `calls ${other}`, gap: false }
}

/**
 * It never runs: it only keeps people from dropping what the others need, or giving it another type. Where it is missing, a column
 * may have been replaced by another one of its name (DROP … CASCADE, ADD), whose values came without a write.
 */
function guardProblem(
  trigger: Trigger | undefined,
  { columns, generated }: { columns: readonly Column[]; generated: readonly Column[] },
): TriggerProblem | null {
  if (trigger === undefined) return { text: 'is missing', gap: true }
  // Columns that changed names with others: the bodies don't know them any more.
  if (columns.some((column) => !trigger.columns.includes(column.number)))
    return { text: 'is about other columns of these names', gap: true }
  const known = new Set(trigger.argument?.split(','))
  const changed = generated.filter(({ expression }) => expression !== null && !known.has(expression))
  const names = [...new Set(changed.map((column) => displayIdentifier(column.name)))]
  return names.length === 0 ? null : { text: `is about another expression of ${names.join(', ')}`, gap: true }
}

/** The columns that a capture is about, as they are called now. */
function columnsOf(relation: Relation, shape: CaptureShape): Column[] {
  const names = new Set([
    ...shape.logs.map((column) => column.name),
    ...shape.interests.flatMap((interest) => interest.reads),
  ])
  return relation.columns.filter((column) => names.has(column.name))
}

/** The generated columns that a capture is about: of a table itself, or of a partitioned one's partitions, each of which has its own expressions. */
export function generatedColumns(catalog: Catalog, relation: Relation, shape: CaptureShape): Column[] {
  const tables = relation.kind === 'p' ? descendants(catalog, relation) : [relation]
  return tables
    .filter((table) => table.kind === 'r')
    .flatMap((table) => columnsOf(table, shape).filter((column) => column.expression !== null))
}

/** See CapturedRelation.insertsByStatement. */
export function insertsByStatement(catalog: Catalog, source: Relation): boolean {
  return (
    source.kind === 'r' &&
    source.children.length === 0 &&
    source.parents.length === 0 &&
    !isReplicated(catalog, source)
  )
}

/** Logical replication writes to it, or to a part of it. */
export function isReplicated(catalog: Catalog, relation: Relation): boolean {
  return [relation, ...descendants(catalog, relation)].some((one) => one.subscribed)
}
