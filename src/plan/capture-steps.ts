/**
 * Steps on what is captured: for each source one capture that serves all routes from it, and the triggers that must be there.
 *
 * What a capture logs is told by its stored shape; whether its triggers are there by name, function, state and argument.
 * SQL that the catalog prints back is never compared. A source whose changes went unnoticed for a while is walked again.
 */

import { dropLogFunctionsDdl } from '../capture/log-functions.ts'
import { seePartsSql } from '../capture/parts.ts'
import { captureShape } from '../capture/shape.ts'
import { captureDdl, truncateDdl } from '../capture/triggers.ts'
import { type Catalog, descendants, type Relation } from '../catalog/catalog.ts'
import { displayIdentifier, quoteLiteral } from '../db/identifier.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { CaptureShape, Route } from '../materialization/compiled.ts'
import type { StoredCapture, StoredView } from '../materialization/store.ts'
import { removalStep, strayTriggers, tablesOf, withDescendants } from './capture-removals.ts'
import { generatedColumns, insertsByStatement, isReplicated, triggerProblems } from './capture-triggers.ts'
import { type Step, walkColumns } from './steps.ts'
import type { StoredMaterialization } from './stored.ts'
import { oidSql } from './stored-json.ts'
import { displayTable } from './target.ts'

/** What captures have to serve. */
export interface CaptureArguments {
  readonly catalog: Catalog
  readonly captures: readonly StoredCapture[]
  /** Routes of all that will be registered after this plan. */
  readonly routes: readonly Route[]
  /** Stored materializations that stay: what they missed is computed again. */
  readonly staying: readonly StoredMaterialization[]
  /** Stored views that stay: after what they missed their next refresh isn't left out. */
  readonly stayingViews: readonly StoredView[]
}

/** `changes` come before anything is registered, those `ofViews` once the views exist, `removals` at the end. */
export interface CaptureSteps {
  readonly changes: readonly Step[]
  readonly ofViews: readonly Step[]
  readonly removals: readonly Step[]
}

/** The steps that bring all captures to what the routes need. */
export function captureSteps(args: CaptureArguments): CaptureSteps {
  const { catalog, captures, routes } = args
  const bySource = Map.groupBy(routes, (route) => route.sourceOid)
  const active = captures.filter((capture) => capture.active)
  refuseOverlaps(catalog, [...bySource.keys()])
  const changes: Step[] = []
  const ofViews: Step[] = []
  let nextId = Math.max(0, ...captures.map((capture) => Number(capture.id))) + 1
  for (const [oid, of] of bySource) {
    const source = catalog.relations.get(oid)
    // Of other projects' materializations a source may be gone; that is theirs to mend.
    if (source === undefined) continue
    const step = captureStep(args, {
      source,
      routes: of,
      active: active.find((capture) => capture.source === oid),
      newId: String(nextId),
    })
    if (step === null) continue
    if (step.usesNewId) nextId += 1
    if (source.kind === 'm') ofViews.push(step.step)
    else changes.push(step.step)
  }
  const read = withDescendants(catalog, [...bySource.keys()])
  const gone = active.filter((capture) => !bySource.has(capture.source))
  const removals = gone.map((capture) => removalStep(catalog, capture, read))
  // Before the others: no function can be dropped while a trigger anywhere still calls it.
  const captured = withDescendants(catalog, [...bySource.keys(), ...gone.map((capture) => capture.source)])
  const strays = strayTriggers(catalog, captured)
  return { changes: [...strays, ...changes], ofViews, removals }
}

interface SourceCapture {
  readonly source: Relation
  readonly routes: readonly Route[]
  readonly active: StoredCapture | undefined
  readonly newId: string
}

function captureStep(
  args: CaptureArguments,
  { source, routes, active, newId }: SourceCapture,
): { step: Step; usesNewId: boolean } | null {
  const { catalog, staying, stayingViews } = args
  const columns = new Map(source.columns.map((column) => [column.name, column]))
  const known = routes.filter((route) => knows(columns, route))
  if (known.length === 0) return null
  const named = { schema: source.schema, name: source.name }
  const shape = captureShape(
    known.map((route) => ({ ...route, source: named })),
    columns,
  )
  const same = active !== undefined && shapeText(active.shape) === shapeText(shape)
  const captureId = same ? active.id : newId
  const isView = source.kind === 'm'
  const problems = active === undefined || isView ? [] : triggerProblems(catalog, source, active)
  if (same && problems.length === 0) return null
  const wentUnnoticed = (route: Route) =>
    route.sourceOid === source.oid &&
    (active === undefined || problems.some((one) => one.gap) || !covers(active.shape, route))
  const missed = staying.flatMap((stored) => {
    const unnoticed = stored.compiled.routes.filter(wentUnnoticed)
    return unnoticed.length === 0 ? [] : [{ stored, columns: columnsOf(unnoticed) }]
  })
  const missedViews = stayingViews.filter(({ compiled }) => compiled.routes.some(wentUnnoticed))
  const name = displayTable(source)
  const read = shape.interests
    .filter((interest) => !interest.unlessOurs)
    .flatMap((interest) => interest.reads)
  const reads = [...new Set(read)].sort().map(displayIdentifier)
  const why =
    active === undefined
      ? ''
      : problems.length > 0
        ? `: ${problems.map((one) => one.text).join(', ')}`
        : ': other columns are read'
  const behind = [...missed.map(({ stored }) => stored), ...missedViews].map(({ compiled }) => compiled.name)
  const again = behind.length === 0 ? '' : `; what went unnoticed is computed again (${behind.join(', ')})`
  const tables = tablesOf(catalog, source)
  const replacing = same ? [] : replaceCapture(source, shape, active, newId)
  return {
    usesNewId: !same,
    step: {
      kind: 'capture',
      sign: active === undefined ? '+' : '~',
      object: name,
      description: `capture ${isView ? 'refreshes' : 'changes'} of ${name} (${reads.length === 0 ? 'rows' : reads.join(', ')})${why}${again}`,
      lock: isView
        ? null
        : {
            mode: 'SHARE ROW EXCLUSIVE',
            on: name,
            relations: [...tables.rows, ...tables.leaves].map((table) => table.oid),
          },
      statements: [
        ...replacing,
        ...tables.rows.flatMap((relation) =>
          captureDdl({
            relation,
            source,
            shape,
            captureId,
            replicated: isReplicated(catalog, relation),
            insertsByStatement: insertsByStatement(catalog, source),
            expressions: generatedColumns(catalog, relation, shape).flatMap(
              ({ expression }) => expression ?? [],
            ),
          }),
        ),
        ...tables.leaves.flatMap((leaf) => truncateDdl(leaf, captureId, isReplicated(catalog, source))),
        ...(active === undefined && !isView ? [seePartsSql(source.oid)] : []),
        ...(same || active === undefined ? [] : dropLogFunctionsDdl(active.id)),
        ...missed.map(
          ({ stored, columns }) =>
            `insert into pgfresh.walk (materialization, why, columns) values (${Number(stored.id)}, ${quoteLiteral(`changes of ${name} went unnoticed`)}, ${walkColumns(columns)})`,
        ),
        ...missedViews.map(
          ({ schedule }) =>
            `insert into pgfresh.view_prompt (schedule, reason) values (${Number(schedule)}, 'change') on conflict do nothing`,
        ),
      ],
      countsEpoch: true,
      // A view has another oid once it exists, and after each change of its query.
      id: JSON.stringify([
        'capture',
        isView ? name : source.oid,
        shapeText(shape),
        problems.map((one) => one.text),
      ]),
    },
  }
}

/** A new row for a new shape: entries that were written under the old one must still be read as they were written. */
function replaceCapture(
  source: Relation,
  shape: CaptureShape,
  active: StoredCapture | undefined,
  newId: string,
): string[] {
  return [
    ...(active === undefined
      ? []
      : [
          `update pgfresh.capture set retired_at = pg_catalog.now() where id = ${Number(active.id)} and retired_at is null`,
        ]),
    `insert into pgfresh.capture (id, source, shape) overriding system value values (${Number(newId)}, ${oidSql(source)}, ${quoteLiteral(JSON.stringify(shape))}::jsonb)`,
    `select pg_catalog.setval(pg_catalog.pg_get_serial_sequence('pgfresh.capture', 'id'), ${Number(newId)})`,
  ]
}

/** A table can have one set of our triggers: it can't be a source by itself and as the child of another one. */
function refuseOverlaps(catalog: Catalog, sources: readonly string[]): void {
  for (const oid of sources) {
    const source = catalog.relations.get(oid)
    const child =
      source === undefined
        ? undefined
        : descendants(catalog, source).find((relation) => sources.includes(relation.oid))
    if (source === undefined || child === undefined) continue
    throw new OperatorError({
      message: `both ${displayTable(source)} and ${displayTable(child)}, which inherits from it, are read`,
      hint: `Read ${displayTable(child)} through ${displayTable(source)} in all definitions, or declare one of them 'ignore'.`,
    })
  }
}

/** A stored route of another project may name columns that are gone by now. */
function knows(columns: ReadonlyMap<string, unknown>, route: Route): boolean {
  return [...route.logs, ...route.reads].every((name) => columns.has(name))
}

function covers(shape: CaptureShape, route: Route): boolean {
  const logged = new Set(shape.logs.map((column) => column.name))
  return (
    route.logs.every((name) => logged.has(name)) &&
    shape.interests.some(
      (interest) =>
        (!interest.unlessOurs || route.unlessOurs) &&
        route.reads.every((name) => interest.reads.includes(name)),
    )
  )
}

function columnsOf(routes: readonly Route[]): string[] | null {
  return routes.some((route) => route.columns === null)
    ? null
    : [...new Set(routes.flatMap((route) => route.columns ?? []))]
}

/** A shape as text that is equal for equal shapes, also after a trip through jsonb. */
function shapeText(shape: CaptureShape): string {
  return JSON.stringify([
    [shape.source.schema, shape.source.name],
    shape.logs.map(({ name, type, integer, json }) => [name, type, integer, json]),
    shape.interests.map(({ reads, unlessOurs }) => [reads, unlessOurs]),
  ])
}
