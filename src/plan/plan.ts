/**
 * The difference between what the definitions say and what the database has, as ordered steps.
 *
 * Reads only: whatever it tries out is rolled back. Right after its steps were executed, the next plan is empty (invariant 9).
 * Called by the commands plan and apply, and by apply again after each conflict.
 */
import { type Catalog, descendants, type Relation } from '../catalog/catalog.ts'
import { readCatalog } from '../catalog/read.ts'
import { quoteIdentifier } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import type { Definition } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import { loadParser } from '../lineage/parser.ts'
import { captureSteps } from './capture-steps.ts'
import type { Wanted } from './compile.ts'
import { compileAll, withPlannedColumns } from './compile-all.ts'
import { type Neighbour, refuseCycles, refuseSharedColumns } from './conflicts.ts'
import { Mistakes } from './mistakes.ts'
import { addColumnsStep, computesAll, type Registration, registerStep } from './registration.ts'
import { declaredBy, droppingSteps, leftovers, stoppingSteps } from './removals.ts'
import type { Step } from './steps.ts'
import { matchOf, readStored, type StoredMaterialization, type StoredState } from './stored.ts'

/** What is asked for. */
export interface PlanOptions {
  readonly definitions: readonly Definition[]
  readonly project: string
  /** Also remove what the files no longer declare. */
  readonly prune: boolean
  /** With prune: drop the columns that pgfresh made for it, too. */
  readonly drop: boolean
}

/** What apply would do. */
export interface Plan {
  readonly steps: readonly Step[]
  /** Worth knowing, and of no weight for the exit code. */
  readonly advice: readonly string[]
  /** A sentence for each thing of this project that no file declares any more, and that stays for want of --prune or --drop. */
  readonly undeclared: readonly string[]
  /** The epoch that the plan was made at; null: there is no schema yet. */
  readonly epoch: string | null
  /** The version of the schema that was found; null: there is none. */
  readonly schemaFound: number | null
}

/** Makes the plan. Throws OperatorError or OperatorErrors for every mistake in the definitions. */
export async function makePlan(session: Session, options: PlanOptions): Promise<Plan> {
  await loadParser()
  const { catalog, stored } = await readDatabase(session)
  requireDatabaseRights(catalog, stored)
  const state = relocated(catalog, stored)
  const wanted = await compileAll({ session, catalog, state, options })
  const matched = new Set(wanted.map((one) => storedOf(state, one)?.id))
  const undeclared = state.materializations.filter(
    (one) => one.compiled.project === options.project && !matched.has(one.id),
  )
  const others = state.materializations.filter((one) => one.compiled.project !== options.project)
  const pruned = options.prune ? undeclared : []
  const kept = undeclared.filter((one) => !pruned.includes(one))
  refuseConflicts(wanted, [
    ...others.map((one) => ({ stored: one, undeclared: false })),
    ...kept.map((one) => ({ stored: one, undeclared: true })),
  ])

  const registrations = wanted.map((one) => registration(state, pruned, one))
  const staying = [
    ...others,
    ...kept,
    ...registrations.flatMap((one) => (computesAll(one) ? [] : (one.stored ?? []))),
  ]
  const captures = captureSteps({
    catalog: withPlannedColumns(catalog, wanted),
    captures: state.captures,
    routes: [
      ...wanted.flatMap((one) => one.compiled.routes),
      ...[...others, ...kept].flatMap((one) => one.compiled.routes),
    ],
    staying,
  })
  const removals = { catalog, registrations, pruned, kept, others, drop: options.drop }
  const steps = [
    ...migrateSteps(state),
    ...stoppingSteps(removals),
    ...addColumnSteps(catalog, registrations),
    ...captures.changes,
    ...registrations.flatMap((one) => registerStep(one) ?? []),
    ...captures.removals,
    ...droppingSteps(removals),
  ]
  return {
    steps,
    advice: [...new Set([...superuserAdvice(catalog), ...wanted.flatMap((one) => one.advice)])],
    undeclared: leftovers(removals),
    epoch: state.epoch,
    schemaFound: state.schema.found,
  }
}

function requireDatabaseRights(catalog: Catalog, stored: StoredState): void {
  const refuse = (what: string, privilege: string) => {
    const [database, role] = [quoteIdentifier(catalog.database), quoteIdentifier(catalog.role)]
    return new OperatorError({
      message: `role ${catalog.role} may not create ${what} in database ${catalog.database}`,
      hint: `Run as somebody who may: grant ${privilege} on database ${database} to ${role};`,
    })
  }
  if (stored.schema.found === null && !catalog.mayCreateSchema) throw refuse("pgfresh's schema", 'create')
  if (!catalog.mayCreateTemporary) {
    throw refuse('temporary views, by which a plan asks what a query reads,', 'temporary')
  }
}

/** Both as of one moment: what another apply does in between would look like damage. */
async function readDatabase(session: Session): Promise<{ catalog: Catalog; stored: StoredState }> {
  try {
    await session.run('begin isolation level repeatable read read only')
    const stored = await readStored(session)
    return { stored, catalog: await readCatalog(session) }
  } finally {
    await session.rollback()
  }
}

function refuseConflicts(wanted: readonly Wanted[], neighbours: readonly Neighbour[]): void {
  const mistakes = new Mistakes()
  refuseSharedColumns(wanted, neighbours, mistakes)
  refuseCycles(wanted, neighbours, mistakes)
  mistakes.throwIfAny()
}

/** Oids mean nothing after a restore or when a table was swapped for another one: names are what was meant. */
function relocated(catalog: Catalog, state: StoredState): StoredState {
  const byName = new Map(
    [...catalog.relations.values()].map((relation) => [
      JSON.stringify([relation.schema, relation.name]),
      relation.oid,
    ]),
  )
  return {
    ...state,
    materializations: state.materializations.map((one) => {
      const { schema, name } = one.compiled.target
      const oid = byName.get(JSON.stringify([schema, name]))
      // Where its oid is another one's, nothing that is stored was computed for this table.
      return oid === undefined || oid === one.targetOid
        ? one
        : { ...one, targetOid: oid, moved: true as const }
    }),
  }
}

function storedOf(state: StoredState, { compiled, target }: Wanted): StoredMaterialization | undefined {
  return matchOf(state, { project: compiled.project, targetOid: target.oid, stamp: compiled.stamp })
}

function registration(
  state: StoredState,
  pruned: readonly StoredMaterialization[],
  wanted: Wanted,
): Registration {
  const stored = storedOf(state, wanted)
  const columns = declaredBy({ wanted })
  // A column that moves here from a definition that is pruned stays one that we made.
  const inherited = pruned
    .filter((one) => one.targetOid === wanted.target.oid)
    .flatMap((one) => one.compiled.made.filter((name) => columns.includes(name)))
  const made = new Set([
    ...(stored?.compiled.made ?? []),
    ...inherited,
    ...wanted.added.map((column) => column.name),
  ])
  return { wanted, stored, made: [...made].sort(), estimatedRows: wanted.estimatedRows }
}

function migrateSteps({ schema }: StoredState): Step[] {
  if (schema.found !== null && schema.found >= schema.known) return []
  const description =
    schema.found === null
      ? "create pgfresh's own schema"
      : `bring pgfresh's own schema from version ${schema.found} to ${schema.known}`
  return [
    {
      kind: 'migrate',
      sign: schema.found === null ? '+' : '~',
      object: 'schema pgfresh',
      description,
      lock: null,
      statements: [],
      countsEpoch: false,
      id: JSON.stringify(['migrate', schema.known]),
    },
  ]
}

/** One ALTER TABLE for each target. */
function addColumnSteps(catalog: Catalog, registrations: readonly Registration[]): Step[] {
  const adding = registrations.filter((one) => one.wanted.added.length > 0)
  return [...Map.groupBy(adding, (one) => one.wanted.target.oid).values()].map((group) =>
    addColumnsStep(group, lockedWith(catalog, group[0]?.wanted.target)),
  )
}

function lockedWith(catalog: Catalog, relation: Relation | undefined): string[] {
  return relation === undefined ? [] : [relation, ...descendants(catalog, relation)].map((one) => one.oid)
}

function superuserAdvice(catalog: Catalog): string[] {
  return catalog.superuser
    ? [
        `role ${catalog.role} is a superuser, and people's triggers run as the role that writes: whoever owns a target could act as a superuser. Use a role of its own`,
      ]
    : []
}
