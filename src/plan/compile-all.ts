/**
 * All definitions of a plan: each on its own, so that all mistakes show at once, and each with the columns in view that the others
 * are about to add, so that chains (a materialized column that another definition reads) are planned in one go.
 */
import type { Catalog, Relation } from '../catalog/catalog.ts'
import { isExactInJson, isInteger } from '../catalog/scalar.ts'
import type { Session } from '../db/session.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import type { Definition } from '../definition/definition.ts'
import { InvariantError, OperatorError, OperatorErrors } from '../kernel/errors.ts'
import { compileDefinition, type Wanted } from './compile.ts'
import { Mistakes } from './mistakes.ts'
import { beingApplied } from './registration.ts'
import { matchOf, ourColumns, type StoredState } from './stored.ts'
import { findUnbornCycle } from './unborn-cycles.ts'

/** What is compiled, against what. */
export interface CompileAllArguments {
  readonly session: Session
  readonly catalog: Catalog
  readonly state: StoredState
  readonly options: { readonly definitions: readonly Definition[]; readonly project: string }
}

/** Every definition compiled, in the order given. Throws all mistakes. */
export async function compileAll({
  session,
  catalog,
  state,
  options,
}: CompileAllArguments): Promise<Wanted[]> {
  const { project } = options
  const context = {
    session,
    project,
    ours: ourColumns(state.materializations, project),
    stored: (targetOid: string, stamp: string) => {
      const found = matchOf(state, { project, targetOid, stamp })
      // What was chosen before its columns existed may be chosen better now.
      return found?.fingerprint === beingApplied ? undefined : found?.compiled
    },
  }
  const done = new Map<Definition, Wanted>()
  for (;;) {
    // What failed may read a column that another definition adds: again, as long as that makes a difference.
    const before = done.size
    const planned = withPlannedColumns(catalog, [...done.values()])
    const failures: Failure[] = []
    for (const definition of options.definitions.filter((one) => !done.has(one))) {
      try {
        done.set(definition, await compileDefinition({ ...context, catalog: planned }, definition))
      } catch (error) {
        failures.push({ definition, error })
      }
    }
    if (failures.length === 0) return options.definitions.flatMap((definition) => done.get(definition) ?? [])
    if (done.size === before) throwAll(failures)
  }
}

interface Failure {
  readonly definition: Definition
  readonly error: unknown
}

function throwAll(failures: readonly Failure[]): never {
  const mistakes = new Mistakes()
  const unborn = failures.filter(({ error }) => isUndefinedColumn(error))
  const cycle = findUnbornCycle(unborn.map((failure) => failure.definition))
  if (cycle !== null) mistakes.keep(cycle)
  for (const failure of failures)
    if (cycle === null || !unborn.includes(failure)) mistakes.keep(failure.error)
  mistakes.throwIfAny()
  throw new InvariantError('definitions failed without a mistake')
}

function isUndefinedColumn(error: unknown): boolean {
  const errors = error instanceof OperatorErrors ? error.errors : [error]
  return errors.every(
    (one) => one instanceof OperatorError && sqlstateOf(one.cause) === sqlstate.undefinedColumn,
  )
}

/** The catalog as it will be once these columns are added, in this order. */
export function withPlannedColumns(catalog: Catalog, wanted: readonly Wanted[]): Catalog {
  const adding = Map.groupBy(
    wanted.filter((one) => one.added.length > 0),
    (one) => one.target.oid,
  )
  const relations = new Map(catalog.relations)
  for (const [oid, group] of adding) {
    const relation = catalog.relations.get(oid)
    if (relation !== undefined) relations.set(oid, withColumns(catalog, relation, group))
  }
  return { ...catalog, relations }
}

function withColumns(catalog: Catalog, relation: Relation, group: readonly Wanted[]): Relation {
  const added = group.flatMap((one) => one.added)
  const columns = added.map((column, at) => ({
    name: column.name,
    type: column.type,
    json: isExactInJson(column.typeOid, catalog.types),
    integer: isInteger(column.typeOid, catalog.types),
    number: relation.lastNumber + at + 1,
    notNull: false,
    generated: null,
    identityAlways: false,
    planned: true as const,
  }))
  return { ...relation, columns: [...relation.columns, ...columns] }
}
