/**
 * Whether the role may do all that a definition needs, and whether row-level security would hide rows from it.
 * A policy is an error, never a smaller sum [A14]. Each mistake names the GRANT to run.
 */
import type { Catalog, Relation } from '../catalog/catalog.ts'
import { quoteIdentifier, quoteQualified } from '../db/identifier.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import type { ColumnsDefinition, Definition } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { Scratch } from '../lineage/scratch.ts'
import { Mistakes } from './mistakes.ts'
import { displayTable } from './target.ts'

/** What is asked. */
export interface RightsArguments {
  readonly scratch: Scratch
  readonly catalog: Catalog
  readonly definition: ColumnsDefinition
  readonly target: Relation
  /** Tables that are read, the target among them or not. */
  readonly sources: readonly Relation[]
  /** Tables that get triggers. */
  readonly captured: readonly Relation[]
  /** Scratch views that hold the definition's SQL. */
  readonly views: readonly string[]
  /** True if columns have to be added. */
  readonly addsColumns: boolean
}

/** Throws what is missing. Must be the last question of its scratch transaction: a refusal breaks it. */
export async function checkRights(args: RightsArguments): Promise<void> {
  const { catalog, definition, target } = args
  const mistakes = new Mistakes()
  const role = quoteIdentifier(catalog.role)
  const missing = (message: string, statement: string) =>
    mistakes.add(
      definition.place,
      `role ${catalog.role} ${message}`,
      `Run as somebody who may: ${statement};`,
    )
  const table = (relation: Relation) => quoteQualified(relation.schema, relation.name)
  if (args.addsColumns && !target.owned) {
    missing(
      `may not add columns to ${displayTable(target)}, which belongs to ${target.owner}`,
      `grant ${quoteIdentifier(target.owner)} to ${role}`,
    )
  }
  if (!target.may.update || !target.may.select) {
    missing(
      `may not read and update ${displayTable(target)}`,
      `grant select, update on ${table(target)} to ${role}`,
    )
  }
  const captured = args.captured.filter((relation) => !(relation === target && args.addsColumns))
  checkTriggerRights(catalog, definition, captured, mistakes)
  mistakes.throwIfAny()
  await checkReadRights(args)
}

/** Notes tables that get triggers and aren't ours to put them on. A materialized view gets none. */
export function checkTriggerRights(
  catalog: Catalog,
  definition: Definition,
  captured: readonly Relation[],
  mistakes: Mistakes,
): void {
  for (const relation of captured) {
    // The privilege TRIGGER lets a role create them, but not drop or disable them again.
    if (relation.owned || relation.kind === 'm') continue
    mistakes.add(
      definition.place,
      `role ${catalog.role} may not put triggers on ${displayTable(relation)}, which belongs to ${relation.owner}`,
      `Run as somebody who may: grant ${quoteIdentifier(relation.owner)} to ${quoteIdentifier(catalog.role)};`,
    )
  }
}

/** What is read, by whom. */
export interface ReadRightsArguments {
  readonly scratch: Scratch
  readonly catalog: Catalog
  readonly definition: Definition
  /** Null: it has no table of people's to write to. */
  readonly target: Relation | null
  readonly sources: readonly Relation[]
  readonly views: readonly string[]
}

/** EXPLAIN checks rights and policies as a run would. A refusal breaks the scratch transaction. */
export async function checkReadRights(args: ReadRightsArguments): Promise<void> {
  const { catalog, definition, target } = args
  const reads = [
    ...args.views.map((view) => `pg_temp.${quoteIdentifier(view)}`),
    ...(target === null ? [] : [quoteQualified(target.schema, target.name)]),
  ]
  try {
    for (const read of reads) await args.scratch.session.run(`explain select * from ${read}`)
  } catch (error) {
    if (sqlstateOf(error) !== sqlstate.insufficientPrivilege) throw error
    const refuse = (message: string, hint: string) =>
      new OperatorError({ message, hint, place: definition.place, cause: error })
    const role = quoteIdentifier(catalog.role)
    const tables = [...new Set([...(target === null ? [] : [target]), ...args.sources])]
    const unreadable = tables.filter((relation) => !relation.may.select)
    const secured = tables.find((relation) => relation.rowSecurity)
    if (unreadable.length === 0 && secured !== undefined) {
      throw refuse(
        `row-level security of ${displayTable(secured)} hides rows from role ${catalog.role}: ${(error as Error).message}`,
        secured.owned
          ? `Its policies are forced on its owner too. Run as somebody who may: alter role ${role} bypassrls;`
          : `Run pgfresh as the table's owner (${secured.owner}), or: alter role ${role} bypassrls;`,
      )
    }
    const grants = unreadable.map(
      (relation) => `grant select on ${quoteQualified(relation.schema, relation.name)} to ${role};`,
    )
    throw refuse(
      `role ${catalog.role} may not read all that ${definition.name} reads: ${(error as Error).message}`,
      grants.length === 0
        ? 'Grant it what the message names.'
        : `Run as somebody who may: ${grants.join(' ')}`,
    )
  }
}
