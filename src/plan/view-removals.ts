/**
 * Views that files no longer declare: said always, taken out by --prune, and dropped by --drop too, without CASCADE. A view that
 * was adopted is never dropped.
 *
 * They go first: a view may read columns that are about to be dropped.
 */
import type { Catalog, Relation } from '../catalog/catalog.ts'
import { quoteQualified } from '../db/identifier.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { Wanted } from './compile.ts'
import type { WantedView } from './compile-view.ts'
import type { Step } from './steps.ts'
import type { StoredMaterialization, StoredViewDefinition } from './stored.ts'
import { displayTable } from './target.ts'

/** What removals of views depend on. */
export interface ViewRemovalArguments {
  readonly catalog: Catalog
  /** Stored, in no file, and to be taken out. */
  readonly pruned: readonly StoredViewDefinition[]
  /** Stored, in no file, and staying for want of --prune. */
  readonly kept: readonly StoredViewDefinition[]
  readonly drop: boolean
  /** What goes on reading. */
  readonly columns: readonly Wanted[]
  readonly views: readonly WantedView[]
  readonly staying: readonly StoredMaterialization[]
}

/** The steps, those that read others before them. Throws if a view would be dropped that something still reads. */
export function viewRemovalSteps(args: ViewRemovalArguments): Step[] {
  const dropped = args.pruned.filter((stored) => isDropped(args, stored))
  for (const stored of dropped) refuseReaders(args, stored, dropped)
  return inOrder(args).map((stored) => removalStep(args, stored))
}

/** One sentence for each view that is declared no more, and stays. */
export function viewLeftovers(args: ViewRemovalArguments): string[] {
  return [
    ...args.kept.map(
      ({ compiled }) =>
        `${compiled.name} (materialized view ${displayTable(compiled.view)}) is in no file any more, and stays: --prune removes it`,
    ),
    ...args.pruned
      .filter((stored) => !args.drop && stored.compiled.made && relationOf(args, stored) !== undefined)
      .map(
        ({ compiled }) =>
          `materialized view ${displayTable(compiled.view)} is declared no more, and stays with its rows: --drop drops it`,
      ),
  ]
}

function relationOf({ catalog }: ViewRemovalArguments, stored: StoredViewDefinition): Relation | undefined {
  const relation = catalog.relations.get(stored.targetOid)
  return relation?.kind === 'm' ? relation : undefined
}

function isDropped(args: ViewRemovalArguments, stored: StoredViewDefinition): boolean {
  return args.drop && stored.compiled.made && relationOf(args, stored) !== undefined
}

function refuseReaders(
  args: ViewRemovalArguments,
  stored: StoredViewDefinition,
  dropped: readonly StoredViewDefinition[],
): void {
  const oid = stored.targetOid
  const gone = new Set(dropped.map((one) => one.targetOid))
  const dependents = (relationOf(args, stored)?.dependents ?? []).filter(
    (one) => one.oid === null || !gone.has(one.oid),
  )
  const readers = [
    ...dependents.map((one) => one.text),
    ...args.columns
      .filter(({ reads }) => reads.some((one) => one.tables.has(oid)))
      .map((one) => one.compiled.name),
    ...args.views
      .filter(
        ({ reads, relation }) => reads.tables.has(oid) && !dependents.some((one) => one.oid === relation.oid),
      )
      .map((one) => one.compiled.name),
    ...args.staying
      .filter(({ compiled }) => compiled.routes.some((route) => route.sourceOid === oid))
      .map(({ compiled }) => `${compiled.name} of project ${compiled.project}`),
  ]
  if (readers.length === 0) return
  const name = displayTable(stored.compiled.view)
  throw new OperatorError({
    message: `materialized view ${name} is declared no more, and can't be dropped while others read it: ${readers.join(', ')}`,
    hint: `Drop those first; or apply --prune without --drop, and ${name} stays, refreshed no longer.`,
  })
}

/** Without circles, since each of them exists. */
function inOrder(args: ViewRemovalArguments): StoredViewDefinition[] {
  const ordered = new Set<StoredViewDefinition>()
  const visit = (stored: StoredViewDefinition) => {
    if (ordered.has(stored)) return
    const dependents = relationOf(args, stored)?.dependents ?? []
    for (const one of args.pruned) {
      if (dependents.some((dependent) => dependent.oid === one.targetOid)) visit(one)
    }
    ordered.add(stored)
  }
  for (const stored of args.pruned) visit(stored)
  return [...ordered]
}

function removalStep(args: ViewRemovalArguments, stored: StoredViewDefinition): Step {
  const id = Number(stored.schedule)
  const relation = relationOf(args, stored)
  const { compiled } = stored
  const name = displayTable(relation ?? compiled.view)
  const drops = isDropped(args, stored) && relation !== undefined
  const what =
    relation === undefined
      ? `forget materialized view ${name}, which is gone`
      : `stop refreshing ${compiled.name} (materialized view ${name})`
  return {
    kind: 'drop-view',
    sign: '-',
    object: name,
    description: drops ? `drop materialized view ${name}, with its rows` : what,
    lock: drops ? { mode: 'ACCESS EXCLUSIVE', on: name, relations: [relation.oid] } : null,
    statements: [
      `delete from pgfresh.view where schedule = ${id}`,
      `delete from pgfresh.materialized_view_refresh_schedule where id = ${id}`,
      ...['view_state', 'view_prompt'].map((table) => `delete from pgfresh.${table} where schedule = ${id}`),
      ...(drops ? [`drop materialized view ${quoteQualified(relation.schema, relation.name)}`] : []),
    ],
    countsEpoch: true,
    id: JSON.stringify(['drop-view', stored.schedule, drops]),
  }
}
