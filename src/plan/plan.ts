/**
 * The difference between what the definitions say and what the database has, as ordered steps.
 *
 * Reads only: whatever it tries out is rolled back. Right after its steps were executed, the next plan is empty (invariant 9).
 * Called by the commands plan and apply, and by apply again after each conflict.
 */
import { type Catalog, descendants, type Relation } from '../catalog/catalog.ts'
import type { Session } from '../db/session.ts'
import type { Definition } from '../definition/definition.ts'
import { loadParser } from '../lineage/parser.ts'
import { captureSteps } from './capture-steps.ts'
import type { Wanted } from './compile.ts'
import { type AllWanted, compileAll } from './compile-all.ts'
import { type Neighbour, refuseCycles, refuseSharedColumns } from './conflicts.ts'
import { readDatabase, StaleCatalog } from './database.ts'
import { Mistakes } from './mistakes.ts'
import { addColumnsStep, computesAll, type Registration, registerStep } from './registration.ts'
import { declaredBy, droppingSteps, leftovers, stoppingSteps } from './removals.ts'
import type { Step } from './steps.ts'
import { matchOf, type StoredMaterialization, type StoredState } from './stored.ts'
import { refuseSharedViews, refuseUnsettledViews } from './view-conflicts.ts'
import { indexSteps } from './view-index.ts'
import {
  createViewStep,
  needlessRows,
  registerViewStep,
  scheduleStep,
  viewRegistration,
} from './view-registration.ts'
import { viewLeftovers, viewRemovalSteps } from './view-removals.ts'

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
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await planOnce(session, options)
    } catch (error) {
      if (!(error instanceof StaleCatalog) || attempt === mostAttempts) throw error
    }
  }
}

/** Each of them meets another change of the catalog. */
const mostAttempts = 20

async function planOnce(session: Session, options: PlanOptions): Promise<Plan> {
  const { catalog, state } = await readDatabase(session)
  const all = await compileAll({ session, catalog, state, options, ...staysScheduled(state, options) })
  const { columns: wanted, views } = all
  const { others, kept, pruned } = split(
    state.materializations,
    options,
    wanted.map((one) => storedOf(state, one)),
  )
  const stored = split(
    state.views,
    options,
    views.map((one) => one.stored),
  )
  refuseConflicts(all, [
    ...others.map((one) => ({ stored: one, undeclared: false })),
    ...kept.map((one) => ({ stored: one, undeclared: true })),
  ])

  const registrations = wanted.map((one) => registration(state, pruned, one))
  const viewRegistrations = views.map((one) => viewRegistration(catalog, one, state.schedule))
  const captures = captureSteps({
    catalog: all.catalog,
    captures: state.captures,
    routes: [...wanted, ...views, ...others, ...kept, ...stored.others, ...stored.kept].flatMap(
      (one) => one.compiled.routes,
    ),
    staying: [
      ...others,
      ...kept,
      ...registrations.flatMap((one) => (computesAll(one) ? [] : (one.stored ?? []))),
    ],
    stayingViews: [
      ...stored.others,
      ...stored.kept,
      ...views.flatMap((one) => (one.rebuild || one.relation.planned ? [] : (one.stored ?? []))),
    ],
  })
  const removals = { catalog, registrations, pruned, kept, others, drop: options.drop }
  const viewRemovals = {
    ...{ catalog, pruned: stored.pruned, kept: stored.kept, drop: options.drop },
    ...{ columns: wanted, views, staying: [...others, ...kept] },
  }
  const steps = [
    ...migrateSteps(state),
    ...stoppingSteps(removals),
    ...viewRemovalSteps(viewRemovals),
    ...addColumnSteps(catalog, registrations),
    // A view's first refresh must not miss what changes right after it; refreshes can be captured once there is a view.
    ...captures.changes,
    ...viewRegistrations.flatMap((one) => createViewStep(catalog, one) ?? []),
    ...captures.ofViews,
    ...viewRegistrations.flatMap((one) => registerViewStep(catalog, one) ?? []),
    ...viewRegistrations.flatMap((one) => scheduleStep(catalog, one) ?? []),
    ...registrations.flatMap((one) => registerStep(one) ?? []),
    ...viewRegistrations.flatMap(indexSteps),
    ...captures.removals,
    ...droppingSteps(removals),
  ]
  return {
    steps,
    advice: [
      ...new Set([
        ...superuserAdvice(catalog),
        ...[...wanted, ...views].flatMap((one) => one.advice),
        ...viewRegistrations.flatMap((one) => needlessRows(catalog, one, state.schedule)),
      ]),
    ],
    undeclared: [...leftovers(removals), ...viewLeftovers(viewRemovals)],
    epoch: state.epoch,
    schemaFound: state.schema.found,
  }
}

/** What is stored besides the definitions: of other projects, and of this one what no file declares any more. */
function split<S extends { readonly compiled: { readonly project: string } }>(
  stored: readonly S[],
  { project, prune }: PlanOptions,
  matched: readonly (S | undefined)[],
): { readonly others: S[]; readonly kept: S[]; readonly pruned: S[] } {
  const undeclared = stored.filter((one) => one.compiled.project === project && !matched.includes(one))
  return {
    others: stored.filter((one) => one.compiled.project !== project),
    kept: prune ? [] : undeclared,
    pruned: prune ? undeclared : [],
  }
}

/** Views and rows of the schedule that stay, whatever is declared. */
function staysScheduled({ views, schedule }: StoredState, { project, prune }: PlanOptions) {
  const going = views.filter((one) => prune && one.compiled.project === project)
  return {
    views: views.filter((one) => !going.includes(one)),
    schedule: schedule.filter((row) => !going.some((one) => one.schedule === row.id)),
  }
}

function refuseConflicts({ columns, views, catalog }: AllWanted, neighbours: readonly Neighbour[]): void {
  const mistakes = new Mistakes()
  refuseSharedColumns(columns, neighbours, mistakes)
  refuseSharedViews(views, mistakes)
  const staying = neighbours.map((one) => one.stored)
  refuseUnsettledViews({ catalog, views, columns, staying }, mistakes)
  refuseCycles(catalog, { columns, views }, neighbours, mistakes)
  mistakes.throwIfAny()
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
