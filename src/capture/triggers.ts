/**
 * The triggers of a source as text: what apply executes, one relation at a time.
 *
 * They are only ever changed by CREATE OR REPLACE TRIGGER, which waits for open writers: whoever ran the old one has
 * committed before a later backfill takes its snapshot [A6]. What counts as a change is decided on the final row, never
 * by UPDATE OF: a BEFORE trigger's own changes must count too [A4].
 */
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../db/identifier.ts'
import type { CaptureShape, TableName } from '../materialization/compiled.ts'
import {
  changed,
  type LoggedEvent,
  logFunction,
  logFunctionsDdl,
  logFunctionsRights,
} from './log-functions.ts'

/** Our triggers' names on any source. */
export const captureTriggerNames = [
  'pgfresh_insert',
  'pgfresh_update',
  'pgfresh_delete',
  'pgfresh_truncate',
  'pgfresh_columns',
] as const
export type CaptureTriggerName = (typeof captureTriggerNames)[number]

/** One relation to capture: a plain table, a partitioned root (its row triggers reach every partition) or an inheritance child. */
export interface CapturedRelation {
  readonly relation: TableName
  /** The source itself, which for an inheritance child is its parent: names are checked there, and a RENAME reaches all. */
  readonly source: {
    readonly oid: string
    /** pg_class.relkind: `p` for a partitioned table. */
    readonly kind: string
    readonly columns: readonly CapturedColumn[]
  }
  readonly shape: CaptureShape
  /** pgfresh.capture.id, written into each entry. */
  readonly captureId: string
  /** True where logical replication writes to the table: its triggers must fire for the apply worker too. */
  readonly replicated: boolean
  /**
   * INSERT by statement, which costs a bulk load a quarter. Row by row instead: partitioned tables and inheritance (a
   * statement trigger on the parent sees no direct write to a child), and replicated tables (the apply worker fires none).
   */
  readonly insertsByStatement: boolean
  /** Oids of the expressions that its generated columns are made by, its partitions' too, as far as the capture is about them. */
  readonly expressions: readonly string[]
}

/** A column of a source. */
export interface CapturedColumn {
  readonly name: string
  /** attnum */
  readonly number: number
  /** See isBuiltIn in catalog/scalar.ts. */
  readonly builtIn: boolean
  /** A virtual generated column reads as NULL in a trigger's body, but not in its WHEN. */
  readonly generated: 'stored' | 'virtual' | null
}

/** The statements that capture all changes of a relation. They take SHARE ROW EXCLUSIVE: one table per transaction. */
export function captureDdl(captured: CapturedRelation): string[] {
  const { relation, source, shape, captureId, replicated, insertsByStatement } = captured
  const on = quoteQualified(relation.schema, relation.name)
  const reads = [...new Set(shape.interests.flatMap((interest) => interest.reads))]
  const decidedByWhen = source.columns.some(
    (column) => column.generated === 'virtual' && reads.includes(column.name),
  )
  const numbers = new Map(source.columns.map((column) => [column.name, column.number]))
  const castable = new Set(source.columns.flatMap((column) => (column.builtIn ? [] : [column.name])))
  const partitioned = source.kind === 'p'
  const insert: LoggedEvent = insertsByStatement ? 'inserted' : 'insert'
  const each = (event: 'insert' | 'update' | 'delete', when = '') =>
    `create or replace trigger pgfresh_${event} after ${event} on ${on} for each row ${when} execute function ${logFunction(captureId, event)}()`
  return [
    ...logFunctionsDdl({ captureId, shape, oid: source.oid, numbers, castable, partitioned, decidedByWhen }, [
      insert,
      'update',
      'delete',
    ]),
    ...logFunctionsRights(captureId, partitioned, [insert, 'update', 'delete']),
    insertsByStatement
      ? `create or replace trigger pgfresh_insert after insert on ${on} referencing new table as new_rows for each statement execute function ${logFunction(captureId, insert)}()`
      : each('insert'),
    each('update', decidedByWhen ? `when (${shape.interests.map(changed).join(' or ')})` : ''),
    each('delete'),
    ...truncateDdl(relation, captureId, replicated),
    ...(replicated ? ['insert', 'update', 'delete'].map((event) => alwaysDdl(on, event)) : []),
    ...columnsDdl(
      on,
      [...new Set([...reads, ...shape.logs.map((column) => column.name)])],
      captured.expressions,
    ),
  ]
}

/** The TRUNCATE trigger alone: a partitioned root's doesn't fire when one partition is truncated, so each leaf needs it. */
export function truncateDdl(relation: TableName, captureId: string, replicated: boolean): string[] {
  const on = quoteQualified(relation.schema, relation.name)
  return [
    `create or replace trigger pgfresh_truncate after truncate on ${on} for each statement execute function pgfresh.log_truncate('${Number(captureId)}')`,
    ...(replicated ? [alwaysDdl(on, 'truncate')] : []),
  ]
}

/** A trigger that logical replication's apply worker fires too. */
function alwaysDdl(on: string, event: string): string {
  return `alter table ${on} enable always trigger pgfresh_${event}`
}

/** Takes our triggers off a relation. */
export function dropCaptureDdl(relation: TableName): string[] {
  const on = quoteQualified(relation.schema, relation.name)
  return captureTriggerNames.map((name) => `drop trigger if exists ${name} on ${on}`)
}

/** The function that a trigger of a capture calls, as `schema.name`. */
export function triggerFunction(
  name: CaptureTriggerName,
  captureId: string,
  insertsByStatement: boolean,
): string {
  switch (name) {
    case 'pgfresh_insert':
      return logFunction(captureId, insertsByStatement ? 'inserted' : 'insert')
    case 'pgfresh_update':
      return logFunction(captureId, 'update')
    case 'pgfresh_delete':
      return logFunction(captureId, 'delete')
    case 'pgfresh_truncate':
      return 'pgfresh.log_truncate'
    case 'pgfresh_columns':
      return 'pgfresh.captured'
  }
}

/**
 * A trigger that never runs: its column list makes DROP COLUMN and ALTER TYPE of what the bodies touch fail with the
 * server's own error, instead of making every later write fail. Its argument says which expressions generated columns had: SET
 * EXPRESSION gives all rows other values and fires nothing, so it is plan that sees it.
 */
function columnsDdl(on: string, columns: readonly string[], expressions: readonly string[]): string[] {
  const argument = expressions.length === 0 ? '' : quoteLiteral(expressions.map(Number).join(','))
  return [
    `create or replace trigger pgfresh_columns after update of ${columns.map(quoteIdentifier).join(', ')} on ${on} for each statement when (false) execute function pgfresh.captured(${argument})`,
    `alter table ${on} disable trigger pgfresh_columns`,
  ]
}
