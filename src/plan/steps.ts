/**
 * Steps: what apply does, as data. Each is one short transaction that names its lock, says in one line what it does, and leaves
 * the database such that a plan made after it has all that remains and nothing else.
 */
import { quoteIdentifier, quoteLiteral, quoteQualified, textArray } from '../db/identifier.ts'

/** What a step is. In the order that they are executed in. */
export type StepKind =
  | 'migrate'
  | 'unregister'
  | 'drop-view'
  | 'add-columns'
  | 'capture'
  | 'create-view'
  | 'change-view'
  | 'schedule-view'
  | 'register'
  | 'index-view'
  | 'drop-capture'
  | 'drop-columns'

/** The lock that a step takes on people's tables; null: none. */
export interface StepLock {
  readonly mode: 'ACCESS EXCLUSIVE' | 'SHARE ROW EXCLUSIVE' | 'SHARE'
  /** As people name it. */
  readonly on: string
  /** Oids of all relations that are locked: who holds them is named when the lock can't be had. */
  readonly relations: readonly string[]
}

/** One step. */
export interface Step {
  readonly kind: StepKind
  /** `+` makes, `~` changes, `-` removes. */
  readonly sign: '+' | '~' | '-'
  /** `column venue.country_id, …`: what it is about. */
  readonly object: string
  /** One line, without sign and lock. */
  readonly description: string
  readonly lock: StepLock | null
  /** What a step without a lock of its own may have to wait for, unless that is a batch. */
  readonly waitsFor?: { readonly what: string; readonly relations: readonly string[] }
  /** Without begin and commit; each without a semicolon. */
  readonly statements: readonly string[]
  /** True: daemons must load what is stored again, so the last statement counts the epoch up. */
  readonly countsEpoch: boolean
  /** Equal for steps that do the same thing, whatever ids they were given: what was approved in one plan is so in the next. */
  readonly id: string
}

/** The advisory lock class that batches hold shared, and apply exclusively, on a materialization's id. */
export const materializationLockClass = 7_331_002

/** Waits until no batch of this materialization runs; none begins before the transaction ends. */
export function lockMaterialization(id: string): string {
  return `select pg_catalog.pg_advisory_xact_lock(${materializationLockClass}, ${Number(id)})`
}

/** One short ALTER TABLE: nullable columns without a default cost no rewrite. */
export function addColumnsSql(
  table: { schema: string; name: string },
  columns: readonly { name: string; type: string }[],
): string {
  const parts = columns.map((column) => `add column ${quoteIdentifier(column.name)} ${column.type}`)
  return `alter table ${quoteQualified(table.schema, table.name)} ${parts.join(', ')}`
}

/** Without CASCADE: what depends on a column is people's. */
export function dropColumnsSql(table: { schema: string; name: string }, columns: readonly string[]): string {
  const parts = columns.map((column) => `drop column if exists ${quoteIdentifier(column)}`)
  return `alter table ${quoteQualified(table.schema, table.name)} ${parts.join(', ')}`
}

/** Asks for a walk. `materialization` is an expression; columns null means all of them. */
export function walkColumns(columns: readonly string[] | null): string {
  return columns === null ? 'null::text[]' : `${quoteLiteral(textArray(columns))}::text[]`
}
