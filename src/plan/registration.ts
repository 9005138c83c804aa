/**
 * Steps on what is stored of a definition: registering it with the walk that computes what is new, and taking it out again.
 *
 * Columns are added together with a row that remembers that we made them, so that an apply that was killed right after
 * still knows them for its own. Such a row has the fingerprint `being applied`, and nothing of it counts as computed.
 */
import { displayIdentifier, quoteLiteral } from '../db/identifier.ts'
import type { Compiled, Route } from '../materialization/compiled.ts'
import type { Wanted } from './compile.ts'
import { addColumnsSql, dropColumnsSql, lockMaterialization, type Step, walkColumns } from './steps.ts'
import type { Registered, StoredMaterialization } from './stored.ts'
import { isPlannedOid, storedJson } from './stored-json.ts'
import { displayTable } from './target.ts'

/** The fingerprint of a row whose apply has not come to its end: nothing of it was computed. */
export const beingApplied = 'being applied'

/** The fingerprint of a row whose columns are about to be dropped. */
export const beingRemoved = 'being removed'

/** A definition beside what is stored of it. */
export interface Registration {
  readonly wanted: Wanted
  readonly stored: StoredMaterialization | undefined
  /** Columns of the target that pgfresh made, those of this plan among them. */
  readonly made: readonly string[]
  readonly estimatedRows: number
}

/** True if none of the stored values counts: the walk that comes with the registration computes all columns. */
export function computesAll(registration: Registration): boolean {
  const backfill = backfillOf(registration)
  return backfill !== null && backfill.columns === null
}

/** What has to be computed, and why; null: nothing. */
export interface Backfill {
  readonly columns: readonly string[] | null
  readonly why: string
}

/** Adds all columns that the definitions on one target need, in one ALTER TABLE. */
export function addColumnsStep(registrations: readonly Registration[], relations: readonly string[]): Step {
  const [first] = registrations
  if (first === undefined) throw new RangeError('a step needs a definition')
  const { target } = first.wanted
  const added = registrations.flatMap(({ wanted }) => wanted.added)
  const table = displayTable(target)
  return {
    kind: 'add-columns',
    sign: '+',
    object: table,
    description: `add to ${table}: ${added.map((column) => `${displayIdentifier(column.name)} ${column.type}`).join(', ')}`,
    lock: { mode: 'ACCESS EXCLUSIVE', on: table, relations },
    statements: [addColumnsSql(target, added), ...registrations.map(rememberMade)],
    countsEpoch: false,
    id: JSON.stringify(['add-columns', target.oid, added]),
  }
}

/** Stores which columns we made, in the transaction that makes them. */
function rememberMade(registration: Registration): string {
  const { wanted, stored, made } = registration
  if (stored !== undefined) {
    const list = quoteLiteral(JSON.stringify(made))
    return `update pgfresh.materialization set compiled = pg_catalog.jsonb_set(compiled, '{made}', ${list}::jsonb) where id = ${Number(stored.id)}`
  }
  return `insert into pgfresh.materialization (project, kind, name, target, stamp, fingerprint, compiled, paused_at)
    values (${values(unfinished(wanted), made, beingApplied)}, ${pausedSql(wanted.target.oid)})`
}

/** Views that it reads may be yet to come. */
function unfinished({ compiled, target }: Wanted): Pick<Wanted, 'compiled' | 'target'> {
  const routes = compiled.routes.filter((route) => !isPlannedOid(route.sourceOid))
  return { target, compiled: { ...compiled, routes } }
}

/** Stores a definition and asks for the walk that computes what is new. Null: it is stored as it is. */
export function registerStep(registration: Registration): Step | null {
  const { wanted, stored, made } = registration
  if (stored?.fingerprint === wanted.fingerprint && stored.moved === undefined && knowsSources(registration))
    return null
  const backfill = backfillOf(registration)
  const name = `${displayTable(wanted.target)}.${displayIdentifier(wanted.compiled.stamp)}`
  const isNew = stored === undefined || stored.fingerprint === beingApplied
  const walk =
    backfill === null
      ? []
      : [
          // A walk over all columns makes what older ones have left to do needless.
          ...(stored === undefined || backfill.columns !== null
            ? []
            : [
                `update pgfresh.walk set finished_at = pg_catalog.now() where materialization = ${Number(stored.id)} and finished_at is null`,
                // Ranges and keys may be of another primary key by now. What a worker holds it finds to be superseded.
                ...['task', 'deferred'].map(
                  (queue) => `delete from pgfresh.${queue} where id in (
  select id from pgfresh.${queue} where materialization = ${Number(stored.id)} for update skip locked)`,
                ),
                `delete from pgfresh.quarantine where materialization = ${Number(stored.id)}`,
              ]),
          `insert into pgfresh.walk (materialization, why, columns, stamp_due, rows_estimated)
  select m.id, ${quoteLiteral(backfill.why)}, ${walkColumns(backfill.columns)}, ${backfill.columns === null}, ${Math.round(registration.estimatedRows)}
  from pgfresh.materialization m where m.target = ${Number(wanted.target.oid)} and m.stamp = ${quoteLiteral(wanted.compiled.stamp)}`,
        ]
  return {
    kind: 'register',
    sign: isNew ? '+' : '~',
    object: wanted.definition.name,
    description: `${isNew ? 'materialize' : 'change'} ${wanted.definition.name} (${name}): ${describeBackfill(backfill, registration)}`,
    lock: null,
    statements: [
      ...(stored === undefined ? [] : [lockMaterialization(stored.id)]),
      storeSql(wanted, stored, made),
      ...walk,
    ],
    countsEpoch: true,
    // What it takes the place of belongs to it: over another one than was shown it would be another step.
    id: JSON.stringify([
      'register',
      wanted.target.oid,
      wanted.compiled.stamp,
      wanted.meaning,
      isNew ? null : stored.fingerprint,
    ]),
  }
}

/** False where a view that it reads was made anew by somebody: oids of views aren't in the fingerprint. */
function knowsSources({ wanted, stored }: Registration): boolean {
  const oids = (compiled: Compiled) => compiled.routes.map((route) => route.sourceOid).join()
  return stored !== undefined && oids(stored.compiled) === oids(wanted.compiled)
}

function storeSql(
  wanted: Wanted,
  stored: StoredMaterialization | undefined,
  made: readonly string[],
): string {
  const row = values(wanted, made, wanted.fingerprint)
  const names = '(project, kind, name, target, stamp, fingerprint, compiled)'
  if (stored === undefined) {
    // The step that added its columns may have put a row there. A row of somebody else's changed the epoch, and ours is planned again.
    return `insert into pgfresh.materialization (project, kind, name, target, stamp, fingerprint, compiled, paused_at)
  values (${row}, ${pausedSql(wanted.target.oid)})
  on conflict (target, stamp) do update set ${names} = (${row}), applied_at = pg_catalog.now()
  where materialization.fingerprint = ${quoteLiteral(beingApplied)}`
  }
  return `update pgfresh.materialization set ${names} = (${row}), applied_at = pg_catalog.now(), error = null, error_at = null, retry_at = null where id = ${Number(stored.id)}`
}

/** A definition on a paused target waits with the others. */
function pausedSql(target: string): string {
  return `(select pg_catalog.max(m.paused_at) from pgfresh.materialization m where m.target = ${Number(target)})`
}

function values(
  { compiled, target }: Pick<Wanted, 'compiled' | 'target'>,
  made: readonly string[],
  fingerprint: string,
): string {
  const registered: Registered = { ...compiled, made }
  return [
    quoteLiteral(compiled.project),
    quoteLiteral(compiled.kind),
    quoteLiteral(compiled.name),
    String(Number(target.oid)),
    quoteLiteral(compiled.stamp),
    quoteLiteral(fingerprint),
    storedJson(registered),
  ].join(', ')
}

/** What has to be computed again, and why. */
export function backfillOf({ wanted, stored }: Registration): Backfill | null {
  const { compiled } = wanted
  if (stored === undefined || stored.fingerprint === beingApplied) return { columns: null, why: 'new' }
  if (stored.fingerprint === beingRemoved) return { columns: null, why: 'declared again' }
  if (stored.moved) return { columns: null, why: 'another table of that name' }
  if (keyText(stored.compiled) !== keyText(compiled)) return { columns: null, why: 'another primary key' }
  const before = new Map(stored.compiled.columns.map((column) => [column.name, column]))
  const added = compiled.columns.filter((column) => !before.has(column.name)).map((column) => column.name)
  const changed = compiled.columns
    .filter(
      (column) => before.has(column.name) && before.get(column.name)?.fingerprint !== column.fingerprint,
    )
    .map((column) => column.name)
  const rerouted = reroutedColumns(stored.compiled, compiled)
  const names = new Set([...added, ...changed, ...rerouted])
  if (names.size === 0) return null
  const why = [
    ...(added.length === 0 ? [] : [`new: ${added.join(', ')}`]),
    ...(changed.length === 0 ? [] : [`changed: ${changed.join(', ')}`]),
    ...(added.length + changed.length === 0
      ? [`changes are captured another way: ${rerouted.join(', ')}`]
      : []),
  ].join('; ')
  return {
    columns:
      names.size === compiled.columns.length
        ? null
        : compiled.columns.map((column) => column.name).filter((name) => names.has(name)),
    why,
  }
}

/** Equal for equal keys, also after a trip through jsonb, which orders what is in an object. */
function keyText({ key }: Compiled): string {
  return JSON.stringify(key.map(({ name, type }) => [name, type]))
}

/** Columns that a new route concerns: what changed there before went unnoticed. */
function reroutedColumns(before: Compiled, after: Compiled): string[] {
  const text = (route: Route) => JSON.stringify([route.sourceOid, route.kind, route.via, route.unlessOurs])
  const known = new Map(before.routes.map((route) => [text(route), route]))
  return after.routes.flatMap((route) => {
    const old = known.get(text(route))
    const covered = old !== undefined && route.reads.every((name) => old.reads.includes(name))
    // What others wrote into columns of ours that are new is covered by the new columns' own backfill.
    if (covered || route.unlessOurs) return []
    const names = route.columns ?? after.columns.map((column) => column.name)
    // A route that reads more, because an expression changed, concerns just that one.
    if (old !== undefined) return []
    return names
  })
}

function describeBackfill(
  backfill: Backfill | null,
  { wanted, stored, estimatedRows }: Registration,
): string {
  const { columns } = wanted.compiled
  const names = new Set(columns.map((column) => column.name))
  const removed = (stored?.compiled.columns ?? []).filter((column) => !names.has(column.name))
  const without = removed.map((column) => displayIdentifier(column.name)).join(', ')
  if (backfill === null)
    return without === '' ? 'options only, nothing is computed again' : `without ${without}`
  const list = (backfill.columns ?? [...names]).map(displayIdentifier).join(', ')
  const rows = estimatedRows === 0 ? '' : ` for ~${Math.round(estimatedRows).toLocaleString('en-US')} rows`
  return `compute ${list}${rows} (${backfill.why})${without === '' ? '' : `, without ${without}`}`
}

/** Takes a materialization out. With columns to drop its row stays, idle, until they are gone: it alone knows that they are ours. */
export function unregisterStep(stored: StoredMaterialization, options: { readonly keepRow: boolean }): Step {
  const id = Number(stored.id)
  const queues = ['task', 'deferred', 'walk', 'sweep', 'quarantine']
  const name = `${displayTable(stored.compiled.target)}.${displayIdentifier(stored.compiled.stamp)}`
  return {
    kind: 'unregister',
    sign: '-',
    object: stored.compiled.name,
    description: `stop materializing ${stored.compiled.name} (${name}): ${stored.compiled.columns.map((column) => displayIdentifier(column.name)).join(', ')}`,
    lock: null,
    statements: [
      lockMaterialization(stored.id),
      ...queues.map((queue) => `delete from pgfresh.${queue} where materialization = ${id}`),
      options.keepRow
        ? `update pgfresh.materialization set fingerprint = ${quoteLiteral(beingRemoved)}, compiled = compiled || '{"routes": [], "expires": null}' where id = ${id}`
        : `delete from pgfresh.materialization where id = ${id}`,
    ],
    countsEpoch: true,
    id: JSON.stringify(['unregister', stored.id]),
  }
}

/** Drops columns that pgfresh made and no definition declares, and what remembers them. */
export function dropColumnsStep(
  stored: StoredMaterialization,
  columns: readonly string[],
  options: { readonly removesRow: boolean; readonly relations: readonly string[] },
): Step {
  const table = displayTable(stored.compiled.target)
  const left = stored.compiled.made.filter((name) => !columns.includes(name))
  return {
    kind: 'drop-columns',
    sign: '-',
    object: table,
    description:
      columns.length === 0
        ? `forget ${stored.compiled.name}, whose columns are another definition's now`
        : `drop from ${table}, with their values: ${columns.map(displayIdentifier).join(', ')}`,
    lock: columns.length === 0 ? null : { mode: 'ACCESS EXCLUSIVE', on: table, relations: options.relations },
    statements: [
      lockMaterialization(stored.id),
      ...(columns.length === 0 ? [] : [dropColumnsSql(stored.compiled.target, columns)]),
      options.removesRow
        ? `delete from pgfresh.materialization where id = ${Number(stored.id)}`
        : `update pgfresh.materialization set compiled = pg_catalog.jsonb_set(compiled, '{made}', ${quoteLiteral(JSON.stringify(left))}::jsonb) where id = ${Number(stored.id)}`,
    ],
    countsEpoch: options.removesRow,
    id: JSON.stringify(['drop-columns', stored.targetOid, columns]),
  }
}
