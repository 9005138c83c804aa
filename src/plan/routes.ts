/**
 * From what a definition reads and declares to its routes: every table that it reads has one, or is declared as needing none.
 * A source that is read and has no route would be silently stale, so it is a mistake here.
 */
import { type Catalog, partitionRoot, type Relation } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import type { ColumnsDefinition, DeclaredRoute } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { Scratch } from '../lineage/scratch.ts'
import type { Route, TableName } from '../materialization/compiled.ts'
import { Mistakes } from './mistakes.ts'
import { mergeReads, type SourceRead } from './source-reads.ts'
import { displayTable } from './target.ts'
import { explainUndeclared } from './undeclared.ts'
import type { Computed } from './values.ts'
import { understandVia } from './via.ts'

/** What routes are made of. */
export interface RouteArguments {
  readonly scratch: Scratch
  readonly catalog: Catalog
  readonly definition: ColumnsDefinition
  readonly target: Relation
  readonly computed: Computed
}

/** The routes of a definition: from its own target first, then from each source in the order it was declared. */
export async function findRoutes(args: RouteArguments): Promise<Route[]> {
  const { catalog, definition, target, computed } = args
  const mistakes = new Mistakes()
  const reads = mergeReads(catalog, definition, computed)
  const declared = await resolveDeclared(args, reads, mistakes)
  const needed = reads.filter((read) => read.relation.oid !== target.oid || needsRouteFromTarget(args, read))
  const undeclared = needed.filter((read) => !declared.has(read.relation.oid))
  if (undeclared.length > 0) mistakes.keep(explainUndeclared(definition, target, undeclared))
  const routes: Route[] = []
  const walks = new Map<string, readonly string[]>()
  for (const [at, [oid, { written, route }]] of [...declared].entries()) {
    const source = catalog.relations.get(oid)
    if (source === undefined || route.kind === 'ignore') continue
    const read = reads.find((one) => one.relation.oid === oid)
    try {
      refuseUncapturable(definition, source, { written, route })
      const via =
        route.kind === 'via'
          ? await understandVia(args.scratch, {
              source,
              target,
              sql: route.sql,
              place: route.place,
              written,
              at,
            })
          : { logs: [], walks: [] }
      walks.set(oid, via.walks)
      const columns = readColumns(source, read)
      routes.push({
        ...routeSource(catalog, source),
        kind: route.kind,
        via: route.kind === 'via' ? route.sql : null,
        logs: via.logs,
        reads: [...new Set([...columns, ...via.logs])].sort(),
        unlessOurs: false,
        columns: read?.readers ?? null,
      })
    } catch (error) {
      mistakes.keep(error)
      // The transaction may be broken by now; what was found so far is worth showing.
      break
    }
  }
  refuseLeaning(args, walks, mistakes)
  mistakes.throwIfAny()
  return [...routesFromTarget(args, reads), ...routes]
}

interface Declared {
  readonly written: string
  readonly route: DeclaredRoute
}

/** A trigger has to read something: where only the rows count, it is what hardly ever changes. Of what can't be seen it is everything. */
function readColumns(source: Relation, read: SourceRead | undefined): readonly string[] {
  const all = source.columns.map((column) => column.name)
  if (read === undefined) return all
  if (read.columns.length > 0) return read.columns
  return source.key.length > 0 ? source.key : all.slice(0, 1)
}

/** dependsOn by the oid of what it names. */
async function resolveDeclared(
  { scratch, catalog, definition, target, computed }: RouteArguments,
  reads: readonly SourceRead[],
  mistakes: Mistakes,
): Promise<Map<string, Declared>> {
  const declared = new Map<string, Declared>()
  const opaque = [...computed.reads.values()].some((one) => one.functions.some((called) => called.opaque))
  for (const [written, route] of Object.entries(definition.dependsOn)) {
    const place = route.kind === 'via' ? route.place : definition.place
    const oid = await scratch.resolve(written, place)
    const source = oid === null ? undefined : catalog.relations.get(oid)
    if (oid === null || source === undefined) {
      mistakes.add(
        place,
        `dependsOn names ${written}, and there is no such table`,
        'Write the table as the query writes it, with its schema where the query gives one.',
      )
    } else if (source.kind === 'v') {
      const below = reads.filter((read) => read.through !== null).map((read) => displayTable(read.relation))
      mistakes.add(
        place,
        `dependsOn names ${written}, which is a view: changes happen in the tables below it`,
        below.length === 0
          ? 'Name the tables that it reads.'
          : `Name the tables that it reads: ${below.join(', ')}.`,
      )
    } else if (!opaque && oid !== target.oid && !reads.some((read) => read.relation.oid === oid)) {
      mistakes.add(
        place,
        `dependsOn names ${written}, which ${definition.name} does not read`,
        'Take it out of dependsOn.',
      )
    } else if (declared.has(oid)) {
      mistakes.add(
        place,
        `dependsOn names ${displayTable(source)} twice, as ${declared.get(oid)?.written} and as ${written}`,
        'Keep one of them.',
      )
    } else declared.set(oid, { written, route })
  }
  return declared
}

/**
 * True if a change of one target row may change the values of another one, as far as can be told: then the key alone is not the route.
 * An expression has the target's row at hand, so any further mention of the target reads other rows. A query hands its own row on if
 * the target is mentioned once, its key is what the query returns, and nothing ranks rows against each other.
 */
function needsRouteFromTarget({ definition, target, computed }: RouteArguments, read: SourceRead): boolean {
  if (definition.form.kind === 'columns') return read.through !== null || read.mentions > 1
  const tree = computed.reads.get('')?.tree
  const keyIsOwn = target.key.every((name) => {
    const origin = tree?.origins.get(name)
    const column = target.columns.find((one) => one.number === origin?.column)
    return origin?.relation === target.oid && column?.name === name
  })
  return read.through !== null || read.mentions > 1 || !keyIsOwn || tree?.ranks !== false
}

/** A new row, another key, or another value of a column that expressions read; and what others write into our columns [A10]. */
function routesFromTarget(
  { catalog, definition, target, computed }: RouteArguments,
  reads: readonly SourceRead[],
): Route[] {
  const read = reads.find((one) => one.relation.oid === target.oid)
  const ours = new Set([...computed.columns.map((column) => column.name), definition.stamp])
  const own = {
    ...routeSource(catalog, target),
    kind: 'key',
    via: null,
    logs: [...target.key],
    columns: null,
  } as const
  return [
    { ...own, reads: [...new Set([...target.key, ...(read?.columns ?? [])])].sort(), unlessOurs: false },
    { ...own, reads: [...ours].sort(), unlessOurs: true },
  ]
}

/** Triggers on a partitioned table reach all partitions, and a partition can have no others of their names: so its root is the source. */
function routeSource(catalog: Catalog, relation: Relation): { source: TableName; sourceOid: string } {
  const root = partitionRoot(catalog, relation)
  return { source: { schema: root.schema, name: root.name }, sourceOid: root.oid }
}

function refuseUncapturable(
  definition: ColumnsDefinition,
  source: Relation,
  { written, route }: Declared,
): void {
  const refuse = (message: string, hint: string) =>
    new OperatorError({
      message: `dependsOn ${written}: ${displayTable(source)} is ${message}`,
      hint,
      place: definition.place,
    })
  if (source.kind === 'f') {
    throw refuse(
      'a foreign table, whose changes no trigger sees',
      `Write ${JSON.stringify(written)}: 'ignore', and let the values expire: expires: '15 minutes'.`,
    )
  }
  if (source.kind === 'm' && route.kind === 'via') {
    throw refuse(
      'a materialized view, whose rows no trigger sees change',
      `Write ${JSON.stringify(written)}: 'all', and each refresh of it makes every row stale; or 'ignore'.`,
    )
  }
}

/** Routes that walk over each other lose a change when both ends change at once [A7]. */
function refuseLeaning(
  { catalog, definition, target }: RouteArguments,
  walks: ReadonlyMap<string, readonly string[]>,
  mistakes: Mistakes,
): void {
  const cycle = findCycle(walks, target.oid)
  if (cycle === null) return
  const names = cycle.map((oid) => {
    const relation = catalog.relations.get(oid)
    return relation === undefined ? oid : displayTable(relation)
  })
  mistakes.add(
    definition.place,
    `the vias of dependsOn lean on each other: ${names.join(' → ')}; if rows of them change in one transaction, neither finds the rows of ${displayTable(target)}`,
    `Let each via walk only over tables that are nearer to ${displayIdentifier(target.name)} than its own, or use 'all'.`,
  )
}

function findCycle(walks: ReadonlyMap<string, readonly string[]>, target: string): string[] | null {
  const visit = (oid: string, path: readonly string[]): string[] | null => {
    if (path.includes(oid)) return [...path.slice(path.indexOf(oid)), oid]
    for (const next of walks.get(oid) ?? []) {
      const found = next === target ? null : visit(next, [...path, oid])
      if (found !== null) return found
    }
    return null
  }
  for (const oid of walks.keys()) {
    const found = visit(oid, [])
    if (found !== null) return found
  }
  return null
}
