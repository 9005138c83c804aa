/**
 * From the definition of a view to what is stored of it, with every mistake that can be found before anything is changed.
 * The database is asked in scratch transactions that are rolled back. Called by compile-all.ts for each definition.
 */
import type { Catalog, Relation } from '../catalog/catalog.ts'
import { displayIdentifier, quoteIdentifier } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import type { ViewDefinition } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import { compiledViewFingerprint, viewFingerprint } from '../lineage/fingerprint.ts'
import { type Reads, readsOf } from '../lineage/reads.ts'
import { inScratch, type OutputColumn, type Scratch } from '../lineage/scratch.ts'
import type { PeoplesSql } from '../lineage/sql-error.ts'
import type { CompiledView } from '../materialization/compiled-view.ts'
import { Mistakes } from './mistakes.ts'
import { requireOneSelect } from './one-statement.ts'
import { plannedColumn } from './planned-catalog.ts'
import { checkReadRights, checkTriggerRights } from './rights.ts'
import type { Timing } from './schedule-rows.ts'
import { settingsFor } from './settings.ts'
import type { StoredViewDefinition } from './stored.ts'
import { displayTable } from './target.ts'
import { viewAdvice } from './view-advice.ts'
import { findViewRoutes } from './view-routes.ts'
import { checkTiming, normalizedTiming } from './view-schedule.ts'
import { checkExisting, findView, isSameQuery, readsTheSame, storedViewOf } from './view-target.ts'

/** The definition of a view, understood. */
export interface WantedView {
  readonly definition: ViewDefinition
  /** The view as it is, or as it will be: then it is `planned`, and its oid is none. */
  readonly relation: Relation
  readonly compiled: CompiledView
  /** Of what the view holds: another one, and it is built anew. */
  readonly fingerprint: string
  /** Of all that is compiled. */
  readonly meaning: string
  /** The schedule as the server reads it. */
  readonly timing: Timing
  /** What its query returns; until it was built anew the view itself may have other columns. */
  readonly outputs: readonly OutputColumn[]
  readonly reads: Reads
  readonly stored: StoredViewDefinition | undefined
  /** It exists, and has to be marked as one that holds something else than the definition says. */
  readonly rebuild: boolean
  /** After this plan it is yet to be built anew: now, or since an earlier apply. */
  readonly unbuilt: boolean
  readonly advice: readonly string[]
}

/** What the definition of a view is compiled against. */
export interface ViewContext {
  readonly session: Session
  /** With the columns and views that other definitions are about to add. */
  readonly catalog: Catalog
  readonly project: string
  /** What is stored of all views, other projects' too. */
  readonly views: readonly StoredViewDefinition[]
  /** Somebody refreshes this materialized view through pgfresh. */
  readonly isRefreshed: (relation: Relation) => boolean
  /** The oid to give to a view that doesn't exist yet. */
  readonly plannedOid: string
}

/** Compiles one definition. Throws an OperatorError or OperatorErrors. */
export async function compileView(context: ViewContext, definition: ViewDefinition): Promise<WantedView> {
  const { session, catalog } = context
  const settings = await settingsFor(session, catalog, definition)
  await checkTiming(session, definition)
  const timing = await normalizedTiming(session, definition)
  const understood = await inScratch(session, settings, (scratch) => understand(scratch, context, definition))
  const { relation, reads } = understood
  const fingerprint = viewFingerprint({
    query: definition.query.sql,
    settings,
    functions: reads.functions,
  })
  const stored = storedViewOf(context.views, context.project, {
    schema: relation.schema,
    name: relation.name,
    oid: relation.planned ? null : relation.oid,
  })
  const { rebuild, unbuilt } = await building(context, {
    definition,
    relation,
    stored,
    fingerprint,
    settings,
    relinked: understood.relinked,
  })
  checkExisting({ catalog, definition, relation, rebuild })
  const { schedule } = definition
  const compiled: CompiledView = {
    kind: 'view',
    project: context.project,
    name: definition.name,
    view: { schema: relation.schema, name: relation.name },
    query: definition.query.sql,
    key: definition.key,
    schedule: {
      every: schedule.kind === 'every' ? schedule.every : null,
      cron: schedule.kind === 'cron' ? schedule.cron : null,
      timeZone: schedule.kind === 'cron' ? schedule.timeZone : 'UTC',
      maximumExecutionDuration: definition.maximumExecutionDuration,
    },
    settings,
    skipUnchanged: definition.skipUnchanged,
    routes: understood.routes,
  }
  return {
    definition,
    relation,
    compiled,
    fingerprint,
    meaning: compiledViewFingerprint(compiled, (oid) => catalog.relations.get(oid)?.kind === 'm'),
    timing,
    outputs: understood.outputs,
    reads,
    stored,
    rebuild,
    unbuilt,
    advice: viewAdvice(definition, reads),
  }
}

const scratchView = 'pgfresh_query'

async function understand(scratch: Scratch, context: ViewContext, definition: ViewDefinition) {
  const { catalog } = context
  const mistakes = new Mistakes()
  const found = await findView(scratch, context, definition)
  for (const relation of catalog.relations.values()) {
    const isItself = relation.schema === found.schema && relation.name === found.name
    if (!isItself && relation.columns.some((column) => column.planned)) await scratch.shadow(relation)
  }
  const piece: PeoplesSql = { ...definition.query, what: 'the query' }
  requireOneSelect(piece)
  await scratch.view(scratchView, piece, { before: '(', after: '\n)' })
  const outputs = await scratch.outputs(scratchView)
  checkOutputs(definition, outputs, mistakes)
  const reads = (await readsOf(scratch, [scratchView])).get(scratchView)
  if (reads === undefined) throw new RangeError('a scratch view has no reads')
  if (found.oid !== null && reads.tables.has(found.oid)) {
    mistakes.add(
      definition.place,
      `the query of ${definition.name} reads ${displayTable(found)} itself`,
      'Read the tables that it is made of.',
    )
  }
  const routes = findViewRoutes({ ...context, definition, reads }, mistakes)
  const sources = [...reads.tables.keys()].flatMap((oid) => catalog.relations.get(oid) ?? [])
  const captured = routes.flatMap((route) => catalog.relations.get(route.sourceOid) ?? [])
  checkTriggerRights(catalog, definition, captured, mistakes)
  mistakes.throwIfAny()
  await proveKey(scratch, definition, outputs)
  await checkReadRights({ scratch, catalog, definition, target: null, sources, views: [scratchView] })
  const relinked = found.oid !== null && !(await readsTheSame(scratch, scratchView, found.oid))
  return { relation: found.existing ?? born(context, found, outputs), outputs, reads, routes, relinked }
}

function checkOutputs(
  definition: ViewDefinition,
  outputs: readonly OutputColumn[],
  mistakes: Mistakes,
): void {
  const returned = outputs.map((output) => displayIdentifier(output.name)).join(', ')
  const missing = definition.key.filter((name) => !outputs.some((output) => output.name === name))
  if (missing.length > 0) {
    mistakes.add(
      definition.place,
      `key: the query of ${definition.name} does not return ${missing.map(displayIdentifier).join(', ')}; it returns ${returned}`,
      'Name columns that it returns, or add these to its select list.',
    )
  }
  if (outputs.some((output) => output.name === '?column?')) {
    mistakes.add(definition.query.place, 'the query returns a column without a name', 'Name it: … as total.')
  }
}

/** That a unique index can be on these columns; whether their values are unique shows when the view is filled. */
async function proveKey(
  scratch: Scratch,
  definition: ViewDefinition,
  outputs: readonly OutputColumn[],
): Promise<void> {
  if (definition.key.length === 0) return
  const columns = definition.key.map(quoteIdentifier).join(', ')
  try {
    await scratch.createTable('pgfresh_keyed', outputs)
    await scratch.session.run(`create unique index on pg_temp.pgfresh_keyed (${columns})`)
  } catch (error) {
    if (sqlstateOf(error) === null || sqlstateOf(error) === sqlstate.lockNotAvailable) throw error
    throw new OperatorError({
      message: `key: no unique index can be on ${definition.key.map(displayIdentifier).join(', ')}: ${(error as Error).message}`,
      hint: 'Name other columns, or cast them in the query to a type that can be compared.',
      place: definition.place,
      cause: error,
    })
  }
}

/** A view that is yet to be made, as the catalog will show it. */
function born(
  { catalog, plannedOid }: ViewContext,
  { schema, name }: { readonly schema: string; readonly name: string },
  outputs: readonly OutputColumn[],
): Relation {
  return {
    oid: plannedOid,
    schema,
    name,
    kind: 'm',
    owner: catalog.role,
    owned: true,
    may: { select: true, update: true },
    rowSecurity: false,
    isPartition: false,
    parents: [],
    children: [],
    estimatedRows: 0,
    lastNumber: outputs.length,
    columns: outputs.map((output, at) => plannedColumn(catalog, output, at + 1)),
    key: [],
    uniques: [],
    replicaIdentity: [],
    partitionKey: [],
    foreignKeys: [],
    triggers: [],
    publications: [],
    subscribed: false,
    dependents: [],
    planned: true,
  }
}

async function building(
  { session }: ViewContext,
  args: {
    readonly definition: ViewDefinition
    readonly relation: Relation
    readonly stored: StoredViewDefinition | undefined
    readonly fingerprint: string
    readonly settings: Readonly<Record<string, string>> & { readonly search_path: string }
    /** A name in its query means another relation now than the one that the view reads. */
    readonly relinked: boolean
  },
): Promise<{ readonly rebuild: boolean; readonly unbuilt: boolean }> {
  const { definition, relation, stored, fingerprint, settings, relinked } = args
  if (relation.planned) return { rebuild: false, unbuilt: false }
  const known = stored !== undefined && stored.moved === undefined
  if (known && stored.fingerprint === fingerprint) {
    return { rebuild: relinked && !stored.rebuild, unbuilt: relinked || stored.rebuild }
  }
  if (known && !stored.rebuild) return { rebuild: true, unbuilt: true }
  // It was made by somebody else, in another database, or for an earlier query than the stored one: so the server is asked.
  const rebuild = !(await isSameQuery(session, settings, { definition, relation }))
  return { rebuild, unbuilt: rebuild }
}
