/**
 * From one definition to what is stored of it, with every mistake that can be found before anything is changed.
 * The database is asked in scratch transactions that are rolled back. Called by compile-all.ts for each definition.
 */
import { type Catalog, columnOf, descendants, type Relation } from '../catalog/catalog.ts'
import type { Session } from '../db/session.ts'
import type { ColumnsDefinition } from '../definition/definition.ts'
import { InvariantError } from '../kernel/errors.ts'
import { columnFingerprint, compiledFingerprint, normalizedSql } from '../lineage/fingerprint.ts'
import type { Reads } from '../lineage/reads.ts'
import { inScratch, type Scratch } from '../lineage/scratch.ts'
import { columnTokens } from '../lineage/select-list.ts'
import type { Compiled, CompiledForm, KeyColumn, Route, ValueColumn } from '../materialization/compiled.ts'
import { adviceFor } from './advice.ts'
import { type PlanNode, planOfColumn, sampleBatch } from './batch-plans.ts'
import { checkFit, stampType, stampTypeOid } from './column-fit.ts'
import { checkDefaults, refuseUnknownDefaults } from './defaults.ts'
import { chooseKeyForm } from './key-form.ts'
import { Mistakes } from './mistakes.ts'
import { refuseOwnValues } from './own-values.ts'
import type { AddedColumn } from './planned-catalog.ts'
import { checkRights } from './rights.ts'
import { findRoutes } from './routes.ts'
import { scanAdvice } from './scan-advice.ts'
import { checkInterval, type Settings, settingsFor } from './settings.ts'
import type { OurColumns } from './stored.ts'
import { findTarget } from './target.ts'
import { type Computed, computeColumns } from './values.ts'

/** A definition, understood. */
export interface Wanted {
  readonly definition: ColumnsDefinition
  readonly target: Relation
  readonly compiled: Compiled
  /** Of the whole compiled definition. */
  readonly fingerprint: string
  /** The same but for what was chosen by estimates, which another plan may choose differently. */
  readonly meaning: string
  /** Columns that don't exist yet, the stamp among them, with their types. */
  readonly added: readonly AddedColumn[]
  /** What it reads, one for each of its expressions, or its query. */
  readonly reads: readonly Reads[]
  readonly advice: readonly string[]
  /** Rows of the target, roughly; 0 if it is empty. */
  readonly estimatedRows: number
}

/** What a definition is compiled against. */
export interface CompileContext {
  readonly session: Session
  /** With the columns that other definitions are about to add. */
  readonly catalog: Catalog
  readonly project: string
  /** Which columns of a target are ours already. */
  readonly ours: OurColumns
  /** What is stored of the definition with this target (by oid) and stamp. */
  readonly stored: (targetOid: string, stamp: string) => Compiled | undefined
  /** Somebody refreshes this materialized view through pgfresh. */
  readonly isRefreshed: (relation: Relation) => boolean
}

/** Compiles one definition. Throws an OperatorError or OperatorErrors. */
export async function compileDefinition(
  context: CompileContext,
  definition: ColumnsDefinition,
): Promise<Wanted> {
  const { session, catalog } = context
  const settings = await settingsFor(session, catalog, definition)
  const mistakes = new Mistakes()
  for (const option of ['expires', 'freshness'] as const) {
    const asked = { option, value: definition[option], place: definition.place }
    await checkInterval(session, asked).catch((error) => mistakes.keep(error))
  }
  mistakes.throwIfAny()
  const wanted = await inScratch(session, settings, async (scratch) => {
    const understood = await understand(scratch, context, definition)
    return assemble(scratch, context, { ...understood, definition, settings })
  })
  await checkDefaults(session, settings, definition, wanted.compiled)
  return wanted
}

interface Understood {
  readonly target: Relation
  readonly computed: Computed
  /** The type that each column has or will have. */
  readonly types: ReadonlyMap<string, string>
  readonly routes: readonly Route[]
}

async function understand(
  scratch: Scratch,
  context: CompileContext,
  definition: ColumnsDefinition,
): Promise<Understood> {
  const { catalog } = context
  const mistakes = new Mistakes()
  const target = await findTarget(scratch, catalog, definition)
  for (const relation of catalog.relations.values()) {
    if (relation.columns.some((column) => column.planned)) await scratch.shadow(relation)
  }
  const computed = await computeColumns(scratch, definition, target)
  const ours = context.ours(target.oid)
  const types = checkFit({ catalog, definition, target, columns: computed.columns, ours }, mistakes)
  refuseOwnValues(definition, target, computed, mistakes)
  refuseUnknownDefaults(definition, computed, mistakes)
  const routes = await findRoutes({ scratch, catalog, definition, target, computed }).catch(
    (error): Route[] => {
      mistakes.keep(error)
      return []
    },
  )
  mistakes.throwIfAny()
  return { target, computed, types, routes }
}

async function assemble(
  scratch: Scratch,
  context: CompileContext,
  understood: Understood & { readonly definition: ColumnsDefinition; readonly settings: Settings },
): Promise<Wanted> {
  const { definition, target, computed, settings, routes } = understood
  const { catalog } = context
  const added = addedColumns(definition, target, computed)
  await checkRights({
    scratch,
    catalog,
    definition,
    target,
    sources: relationsOf(
      catalog,
      [...computed.reads.values()].flatMap((reads) => [...reads.tables.keys()]),
    ),
    captured: relationsOf(
      catalog,
      routes.map((route) => route.sourceOid),
    ),
    views: computed.views,
    addsColumns: added.length > 0,
  })
  const key = target.key.map((name) => keyColumn(target, name))
  await sampleBatch(scratch, target, key)
  const { form, plans } = await compiledForm(scratch, understood, {
    key,
    before: context.stored(target.oid, definition.stamp),
  })
  const compiled: Compiled = {
    kind: 'columns',
    project: context.project,
    name: definition.name,
    target: { schema: target.schema, name: target.name },
    key,
    stamp: definition.stamp,
    columns: valueColumns(understood),
    form,
    settings,
    expires: definition.expires,
    batch: definition.batch,
    priority: definition.priority,
    freshness: definition.freshness,
    routes,
  }
  const isView = (oid: string) => catalog.relations.get(oid)?.kind === 'm'
  return {
    definition,
    target,
    compiled,
    fingerprint: compiledFingerprint(compiled, isView),
    meaning: compiledFingerprint(
      form.kind === 'query' ? { ...compiled, form: { ...form, keys: 'any' } } : compiled,
      isView,
    ),
    added,
    reads: [...computed.reads.values()],
    advice: [
      ...adviceFor({
        catalog,
        definition,
        target,
        written: [...compiled.columns.map((column) => column.name), compiled.stamp],
        added: added.map((column) => column.name),
        reads: [...computed.reads.values()],
        isRefreshed: context.isRefreshed,
      }),
      ...scanAdvice(catalog, definition.name, plans),
    ],
    estimatedRows: await estimateRows(scratch, catalog, target),
  }
}

/** Columns that the target lacks, in the definition's order, the stamp last. */
function addedColumns(definition: ColumnsDefinition, target: Relation, computed: Computed): AddedColumn[] {
  const stamp = { name: definition.stamp, type: stampType, typeOid: stampTypeOid }
  const wanted = [...computed.columns.map(({ name, type, typeOid }) => ({ name, type, typeOid })), stamp]
  return wanted.filter((column) => {
    const existing = columnOf(target, column.name)
    return existing === undefined || existing.planned
  })
}

/** Bytes that a row may well have, where nobody counted yet. */
const guessedRowBytes = 100

async function estimateRows(scratch: Scratch, catalog: Catalog, target: Relation): Promise<number> {
  const tables = [target, ...descendants(catalog, target)].filter((one) => one.kind === 'r')
  const counted = tables.reduce((sum, one) => sum + one.estimatedRows, 0)
  if (counted > 0) return counted
  const [row] = await scratch.session.rows(
    'select coalesce(sum(pg_catalog.pg_relation_size(t)), 0)::bigint as bytes from pg_catalog.unnest($1::oid[]) t',
    [`{${tables.map((one) => one.oid).join(',')}}`],
  )
  return Math.ceil(Number(row?.bytes ?? 0) / guessedRowBytes)
}

function keyColumn(target: Relation, name: string): KeyColumn {
  const column = columnOf(target, name)
  if (column === undefined)
    throw new InvariantError(`primary key column ${name} of ${target.name} is not in the catalog`)
  return { name, type: column.type, json: column.json }
}

function valueColumns({
  definition,
  target,
  computed,
  settings,
  types,
}: Understood & { readonly definition: ColumnsDefinition; readonly settings: Settings }): ValueColumn[] {
  const outputs = computed.outputs.map((output) => output.name)
  return computed.columns.map(({ name, type: computedType }) => {
    const type = types.get(name) ?? computedType
    const fallback = definition.defaults[name] ?? null
    const tokens = columnTokens(definition.form, name, { outputs, key: target.key })
    const functions = (computed.reads.get(name) ?? computed.reads.get(''))?.functions ?? []
    const fingerprint = columnFingerprint({ tokens, type, default: fallback, settings, functions })
    return { name, type, default: fallback, fingerprint }
  })
}

/** What a batch executes, and how the server would run it. */
async function compiledForm(
  scratch: Scratch,
  { definition, target, computed }: Understood & { readonly definition: ColumnsDefinition },
  { key, before }: { readonly key: readonly KeyColumn[]; readonly before: Compiled | undefined },
): Promise<{ readonly form: CompiledForm; readonly plans: readonly PlanNode[] }> {
  const { form } = definition
  if (form.kind === 'columns') {
    const plans: PlanNode[] = []
    for (const view of computed.views) plans.push(await planOfColumn(scratch, view, key, computed.keyNames))
    const expressions = Object.fromEntries(form.columns.map(({ name, sql }) => [name, sql]))
    return { form: { kind: 'columns', expressions }, plans }
  }
  const same = before?.form.kind === 'query' && normalizedSql(before.form.sql) === normalizedSql(form.sql)
  const { keys, plan } = await chooseKeyForm(scratch, {
    target,
    key,
    query: { sql: form.sql, place: form.place, what: 'the query' },
    known: same ? before.form.keys : null,
    outputs: computed.outputs,
  })
  return { form: { kind: 'query', sql: form.sql, keys }, plans: [plan] }
}

function relationsOf(catalog: Catalog, oids: readonly string[]): Relation[] {
  return [...new Set(oids)]
    .map((oid) => catalog.relations.get(oid))
    .filter((relation) => relation !== undefined)
}
