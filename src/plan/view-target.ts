/**
 * The materialized view that a definition is about: found, or what is needed to make it; and whether it may be taken over.
 */
import type { Catalog, Relation } from '../catalog/catalog.ts'
import {
  displayIdentifier,
  parseIdentifier,
  quoteIdentifier,
  quoteLiteral,
  quoteQualified,
} from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import type { ViewDefinition } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import { inScratch, type Scratch } from '../lineage/scratch.ts'
import type { TableName } from '../materialization/compiled.ts'
import { keyIndexName } from '../views/key-index.ts'
import { StaleCatalog } from './database.ts'
import { Mistakes } from './mistakes.ts'
import type { StoredViewDefinition } from './stored.ts'
import { displayTable } from './target.ts'

/** Where a view is or will be. */
export interface FoundView extends TableName {
  /** Null: there is none yet. */
  readonly oid: string | null
  readonly existing: Relation | null
}

/** What is looked at. */
interface FindContext {
  readonly catalog: Catalog
  readonly project: string
  readonly views: readonly StoredViewDefinition[]
}

/** The view of a definition. Throws where its name is taken by something else, or by somebody else. */
export async function findView(
  scratch: Scratch,
  context: FindContext,
  definition: ViewDefinition,
): Promise<FoundView> {
  const { catalog, project, views } = context
  const refuse = (message: string, hint: string) =>
    new OperatorError({ message, hint, place: definition.place })
  const oid = await scratch.resolve(definition.view, definition.place)
  if (oid === null) {
    const created = await newName(scratch, catalog, definition)
    await checkIndexName(scratch, definition, created, null)
    return { ...created, oid: null, existing: null }
  }
  const existing = catalog.relations.get(oid)
  const another = 'Give the view another name, or write its schema: schema.name.'
  if (existing === undefined) {
    await refuseStale(scratch, oid)
    throw refuse(
      `the name ${definition.view} is taken by an index, a sequence, a system table or one of pgfresh's own`,
      another,
    )
  }
  const name = displayTable(existing)
  const kinds = { r: 'a table', p: 'a partitioned table', v: 'a view', f: 'a foreign table' }
  if (existing.kind !== 'm') {
    throw refuse(`${name} is ${kinds[existing.kind]}, not a materialized view`, another)
  }
  const owner = views.find((one) => one.targetOid === oid && one.compiled.project !== project)
  if (owner !== undefined) {
    throw refuse(
      `${name} is declared by project ${owner.compiled.project}, as ${owner.compiled.name}`,
      'A view belongs to one project: give this one another name.',
    )
  }
  if (!definition.adopt && storedViewOf(views, project, existing) === undefined) {
    throw refuse(
      `materialized view ${name} exists, and pgfresh did not make it`,
      'To let pgfresh take it over: adopt: true. Otherwise choose another name.',
    )
  }
  await checkIndexName(scratch, definition, existing, oid)
  return { schema: existing.schema, name: existing.name, oid, existing }
}

/** Throws where the name of its key's index is taken by what isn't on it, like the index of a view that was renamed. */
async function checkIndexName(
  scratch: Scratch,
  definition: ViewDefinition,
  { schema, name }: TableName,
  oid: string | null,
): Promise<void> {
  if (definition.key.length === 0) return
  const index = keyIndexName(name)
  const [taken] = await scratch.session.rows(
    `select c.relkind in ('i', 'I') as is_index, t.relname as on_table from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     left join pg_catalog.pg_index i on i.indexrelid = c.oid left join pg_catalog.pg_class t on t.oid = i.indrelid
     where n.nspname = $1 and c.relname = $2 and i.indrelid is distinct from $3::oid`,
    [schema, index, oid],
  )
  if (taken === undefined) return
  const by = taken.on_table == null ? '' : `, by an index of ${displayIdentifier(taken.on_table)}`
  const rename =
    taken.is_index === 't'
      ? `alter index ${quoteQualified(schema, index)} rename to …;`
      : 'give what has it another name.'
  throw new OperatorError({
    message: `key: the name ${displayIdentifier(index)}, which the unique index of ${definition.view} needs, is taken${by}`,
    hint: `Free the name: ${rename}`,
    place: definition.place,
  })
}

/** A table or view that the catalog doesn't have was made after it was read. */
async function refuseStale(scratch: Scratch, oid: string): Promise<void> {
  const [row] = await scratch.session.rows(
    `select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = $1::oid and c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgfresh')`,
    [oid],
  )
  if (row !== undefined) throw new StaleCatalog()
}

/** Where it will be created, which must be allowed. */
async function newName(scratch: Scratch, catalog: Catalog, definition: ViewDefinition): Promise<TableName> {
  const { schema: written, name } = parseIdentifier(definition.view)
  const refuse = (message: string, hint: string) =>
    new OperatorError({ message, hint, place: definition.place })
  const schema = written ?? catalog.path[0]
  if (schema === undefined) {
    throw refuse(
      `there is no schema to create ${definition.view} in: none of the search_path ${catalog.searchPath} exists`,
      'Write schema.name.',
    )
  }
  if (schema === 'pgfresh') {
    throw refuse(
      `schema pgfresh holds pgfresh's own tables, and no views of yours`,
      'Create the view in another schema.',
    )
  }
  const rights = catalog.schemas.get(schema)
  if (rights === undefined) {
    throw refuse(
      `there is no schema ${displayIdentifier(schema)} to create ${definition.view} in`,
      `Create it: create schema ${displayIdentifier(schema)};`,
    )
  }
  if (!rights.create) throw mayNotCreate(catalog, definition, schema)
  const [type] = await scratch.session.rows(
    `select t.oid from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace where n.nspname = $1 and t.typname = $2`,
    [schema, name],
  )
  if (type !== undefined) {
    throw refuse(
      `the name ${definition.view} is taken by a type, and a view has a type of its own name`,
      'Give the view another name.',
    )
  }
  return { schema, name }
}

function mayNotCreate(catalog: Catalog, definition: ViewDefinition, schema: string): OperatorError {
  const role = quoteIdentifier(catalog.role)
  return new OperatorError({
    message: `role ${catalog.role} may not create views in schema ${displayIdentifier(schema)}`,
    hint: `Run as somebody who may: grant create on schema ${quoteIdentifier(schema)} to ${role};`,
    place: definition.place,
  })
}

/** What is stored of a view of this project: told by its oid, or by its name if there is no such view (`oid` null) any more. */
export function storedViewOf(
  views: readonly StoredViewDefinition[],
  project: string,
  view: TableName & { readonly oid: string | null },
): StoredViewDefinition | undefined {
  const own = views.filter((one) => one.compiled.project === project)
  return view.oid === null
    ? own.find(({ compiled }) => compiled.view.schema === view.schema && compiled.view.name === view.name)
    : own.find((one) => one.targetOid === view.oid)
}

/** Throws what stands in the way of refreshing, or building anew, a view that exists. */
export function checkExisting(args: {
  readonly catalog: Catalog
  readonly definition: ViewDefinition
  readonly relation: Relation
  readonly rebuild: boolean
}): void {
  const { catalog, definition, relation, rebuild } = args
  if (relation.planned) return
  const mistakes = new Mistakes()
  const name = displayTable(relation)
  if (!relation.owned) {
    mistakes.add(
      definition.place,
      `role ${catalog.role} may not refresh ${name}, which belongs to ${relation.owner}`,
      `Run as somebody who may: grant ${quoteIdentifier(relation.owner)} to ${quoteIdentifier(catalog.role)};`,
    )
  }
  if (rebuild && !catalog.schemas.get(relation.schema)?.create) {
    mistakes.keep(mayNotCreate(catalog, definition, relation.schema))
  }
  if (rebuild && relation.dependents.length > 0) {
    mistakes.add(
      definition.place,
      `${name} has to be built anew, and can't be while others depend on it: ${relation.dependents.map((one) => one.text).join(', ')}`,
      'Drop them, apply, and create them again once it was built; or keep its query.',
    )
  }
  mistakes.throwIfAny()
}

/** True if a view holds just what the definition says: both as the server prints them, in one transaction. */
export function isSameQuery(
  session: Session,
  settings: Readonly<Record<string, string>> & { readonly search_path: string },
  { definition, relation }: { readonly definition: ViewDefinition; readonly relation: Relation },
): Promise<boolean> {
  return inScratch(session, settings, async (scratch) => {
    try {
      // Without what other definitions are about to add, which nothing that exists can read.
      await scratch.session.run(`create temporary view pgfresh_same as (${definition.query.sql}\n)`)
    } catch (error) {
      if (sqlstateOf(error) === null || sqlstateOf(error) === sqlstate.lockNotAvailable) throw error
      return false
    }
    const [row] = await scratch.session.rows(
      `select pg_catalog.pg_get_viewdef('pg_temp.pgfresh_same'::regclass) = pg_catalog.pg_get_viewdef(${quoteLiteral(quoteQualified(relation.schema, relation.name))}::regclass) as same`,
    )
    return row?.same === 't'
  })
}

/**
 * True if a view reads the very relations that the scratch view of its query does: where a table was renamed and another one took its name,
 * the view goes on reading the old one. What stands between (plain views) counts as itself.
 */
export async function readsTheSame(scratch: Scratch, scratchView: string, oid: string): Promise<boolean> {
  const read = async (view: string) => {
    const rows = await scratch.session.rows(
      `select distinct d.refobjid as oid from pg_catalog.pg_rewrite w
       join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid
       where w.ev_class = ${view} and w.ev_type = '1' and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> w.ev_class`,
    )
    return new Set(rows.map((row) => scratch.realOf(row.oid ?? '').oid))
  }
  const [wanted, held] = [
    await read(`${quoteLiteral(`pg_temp.${quoteIdentifier(scratchView)}`)}::pg_catalog.regclass`),
    await read(`${Number(oid)}`),
  ]
  return wanted.size === held.size && [...wanted].every((one) => held.has(one))
}
