/**
 * All definitions of a plan: each on its own, so that all mistakes show at once, and each with the columns and views in view that the
 * others are about to add, so that chains (a materialized column or a view that another definition reads) are planned in one go.
 */
import { type Catalog, type Relation, relationNamed } from '../catalog/catalog.ts'
import { parseIdentifier } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import type { ColumnsDefinition, Definition, ViewDefinition } from '../definition/definition.ts'
import { InvariantError, OperatorError, OperatorErrors } from '../kernel/errors.ts'
import { type CompileContext, compileDefinition, type Wanted } from './compile.ts'
import { compileView, type ViewContext, type WantedView } from './compile-view.ts'
import { Mistakes } from './mistakes.ts'
import { withPlannedColumns, withPlannedViews } from './planned-catalog.ts'
import { beingApplied } from './registration.ts'
import { relationOfRow, type ScheduleRow } from './schedule-rows.ts'
import { matchOf, ourColumns, type StoredState, type StoredViewDefinition } from './stored.ts'
import { plannedOid } from './stored-json.ts'
import { findUnbornCycle } from './unborn-cycles.ts'
import { explainUnbuilt } from './view-conflicts.ts'

/** What is compiled, against what. */
export interface CompileAllArguments {
  readonly session: Session
  readonly catalog: Catalog
  readonly state: StoredState
  readonly options: { readonly definitions: readonly Definition[]; readonly project: string }
  /** Rows of the schedule, and stored views, that stay. */
  readonly schedule: readonly ScheduleRow[]
  readonly views: readonly StoredViewDefinition[]
}

/** Every definition, compiled. */
export interface AllWanted {
  /** In the order given. */
  readonly columns: readonly Wanted[]
  /** What a view reads comes before it. */
  readonly views: readonly WantedView[]
  /** The catalog as it will be once all of their columns and views are there. */
  readonly catalog: Catalog
}

/** Every definition compiled. Throws all mistakes. */
export async function compileAll(args: CompileAllArguments): Promise<AllWanted> {
  const { definitions } = args.options
  const done = new Done(args)
  for (;;) {
    // What failed may read what another definition adds: again, as long as that makes a difference. Columns first: `select *` in
    // a view is about all columns that a table has when the view is created.
    const failures = await done.compile(definitions.filter((one) => one.kind === 'columns'))
    if (failures.progress && failures.failed.length > 0) continue
    const more = await done.compile(definitions.filter((one) => one.kind === 'view'))
    const failed = [...failures.failed, ...more.failed]
    if (failed.length === 0) return done.wanted()
    if (!failures.progress && !more.progress) throwAll(definitions, failed, done.views)
  }
}

interface Failure {
  readonly definition: Definition
  readonly error: unknown
}

/** What is compiled so far. */
class Done {
  readonly #args: CompileAllArguments
  readonly #columns = new Map<ColumnsDefinition, Wanted>()
  readonly #views = new Map<ViewDefinition, { readonly wanted: WantedView; readonly against: Catalog }>()

  constructor(args: CompileAllArguments) {
    this.#args = args
  }

  get views(): WantedView[] {
    return [...this.#views.values()].map((one) => one.wanted)
  }

  /** Compiles those of these that aren't yet, against what was done before. */
  async compile(
    definitions: readonly Definition[],
  ): Promise<{ readonly progress: boolean; readonly failed: readonly Failure[] }> {
    const failed: Failure[] = []
    const catalog = this.#planned()
    let progress = false
    for (const definition of definitions) {
      if (definition.kind === 'columns' ? this.#columns.has(definition) : this.#views.has(definition))
        continue
      try {
        if (definition.kind === 'columns') {
          this.#columns.set(definition, await compileDefinition(this.#context(catalog), definition))
        } else {
          const wanted = await compileView(this.#viewContext(catalog, definition), definition)
          this.#views.set(definition, { wanted, against: catalog })
        }
        progress = true
      } catch (error) {
        failed.push({ definition, error })
      }
    }
    return { progress, failed }
  }

  async wanted(): Promise<AllWanted> {
    const catalog = this.#planned()
    const views: WantedView[] = []
    for (const [definition, { wanted, against }] of this.#views) {
      const grew = [...wanted.reads.tables.keys()].some(
        (oid) => catalog.relations.get(oid)?.columns.length !== against.relations.get(oid)?.columns.length,
      )
      views.push(grew ? await compileView(this.#viewContext(catalog, definition), definition) : wanted)
    }
    const { definitions } = this.#args.options
    const asGiven = (view: WantedView) => definitions.indexOf(view.definition)
    return {
      columns: definitions.flatMap((one) => (one.kind === 'columns' ? (this.#columns.get(one) ?? []) : [])),
      views: inOrder(views.toSorted((a, b) => asGiven(a) - asGiven(b))),
      catalog,
    }
  }

  #planned(): Catalog {
    const withColumns = withPlannedColumns(this.#args.catalog, [...this.#columns.values()])
    return withPlannedViews(withColumns, this.views)
  }

  #context(catalog: Catalog): CompileContext {
    const { session, state, options } = this.#args
    const { project } = options
    return {
      session,
      catalog,
      project,
      ours: ourColumns(state.materializations, project),
      stored: (targetOid, stamp) => {
        const found = matchOf(state, { project, targetOid, stamp })
        // What was chosen before its columns existed may be chosen better now.
        return found?.fingerprint === beingApplied ? undefined : found?.compiled
      },
      isRefreshed: this.#isRefreshed(catalog),
    }
  }

  #viewContext(catalog: Catalog, definition: ViewDefinition): ViewContext {
    const { session, state, options } = this.#args
    return {
      session,
      catalog,
      project: options.project,
      views: state.views,
      isRefreshed: this.#isRefreshed(catalog),
      plannedOid: plannedOid(options.definitions.indexOf(definition)),
    }
  }

  #isRefreshed(catalog: Catalog): (relation: Relation) => boolean {
    const { schedule, views, options } = this.#args
    const declared = options.definitions.flatMap((one) =>
      one.kind === 'view' ? (relationNamed(catalog, parseIdentifier(one.view))?.oid ?? []) : [],
    )
    const scheduled = schedule.map((row) => relationOfRow(catalog, row)?.oid)
    const oids = new Set([...declared, ...scheduled, ...views.map((one) => one.targetOid)])
    return (relation) => relation.planned === true || oids.has(relation.oid)
  }
}

/** What a view reads comes before it, and all else stays as it is. */
function inOrder(views: readonly WantedView[]): WantedView[] {
  const ordered = new Set<WantedView>()
  const visit = (view: WantedView, path: readonly WantedView[]) => {
    // Circles are refused elsewhere.
    if (ordered.has(view) || path.includes(view)) return
    for (const read of views) if (view.reads.tables.has(read.relation.oid)) visit(read, [...path, view])
    ordered.add(view)
  }
  for (const view of views) visit(view, [])
  return [...ordered]
}

function throwAll(
  definitions: readonly Definition[],
  failures: readonly Failure[],
  views: readonly WantedView[],
): never {
  const mistakes = new Mistakes()
  const unborn = failures.filter(({ error }) => isUnborn(error))
  const cycle = findUnbornCycle(
    definitions.filter((definition) => unborn.some((failure) => failure.definition === definition)),
  )
  if (cycle !== null) mistakes.keep(cycle)
  for (const definition of definitions) {
    const failure = failures.find((one) => one.definition === definition)
    if (failure === undefined || (cycle !== null && unborn.includes(failure))) continue
    mistakes.keep(unborn.includes(failure) ? explainUnbuilt(failure.error, views) : failure.error)
  }
  mistakes.throwIfAny()
  throw new InvariantError('definitions failed without a mistake')
}

/** It reads a column or a table that isn't there (yet). */
function isUnborn(error: unknown): boolean {
  const errors = error instanceof OperatorErrors ? error.errors : [error]
  return errors.every((one) => {
    const state = one instanceof OperatorError ? sqlstateOf(one.cause) : null
    return state === sqlstate.undefinedColumn || state === sqlstate.undefinedTable
  })
}
