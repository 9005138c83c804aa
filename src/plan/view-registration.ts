/**
 * Steps on a declared view: making it, taking it over, storing what has changed of it, and setting its row of the schedule right.
 *
 * A view is made empty, in one transaction with its index and what is stored of it: no lock on anybody, and the daemon fills it. One
 * whose query has changed is only marked here; the daemon builds it anew beside the old one.
 */
import type { Catalog } from '../catalog/catalog.ts'
import { displayIdentifier, quoteIdentifier, quoteLiteral, quoteQualified } from '../db/identifier.ts'
import { setLocal } from '../db/transaction.ts'
import { compiledViewFingerprint } from '../lineage/fingerprint.ts'
import type { Route } from '../materialization/compiled.ts'
import { keyIndexName } from '../views/key-index.ts'
import type { WantedView } from './compile-view.ts'
import { describeTiming, isAbout, type ScheduleRow } from './schedule-rows.ts'
import type { Step } from './steps.ts'
import type { RegisteredView, StoredViewDefinition } from './stored.ts'
import { isPlannedOid, storedJson } from './stored-json.ts'
import { displayTable } from './target.ts'
import { whyBuiltAnew } from './view-advice.ts'
import { rowDifferences, rowSql } from './view-rows.ts'

/** A view's definition beside what is stored of it. */
export interface ViewRegistration {
  readonly wanted: WantedView
  readonly stored: StoredViewDefinition | undefined
  /** Its row of the schedule, maybe one that people made for it; undefined: there is none (any more). */
  readonly row: ScheduleRow | undefined
}

/** Puts a wanted view beside its row. */
export function viewRegistration(
  catalog: Catalog,
  wanted: WantedView,
  schedule: readonly ScheduleRow[],
): ViewRegistration {
  const { stored } = wanted
  const row =
    stored === undefined
      ? schedule.find((one) => isAbout(catalog, one, wanted.compiled.view))
      : schedule.find((one) => one.id === stored.schedule)
  return { wanted, stored, row }
}

/** Creates the view, if it doesn't exist. */
export function createViewStep(catalog: Catalog, registration: ViewRegistration): Step | null {
  const { wanted, stored } = registration
  const { compiled, relation } = wanted
  if (!relation.planned) return null
  const name = displayTable(relation)
  const key = compiled.key.map(displayIdentifier).join(', ')
  const again = stored === undefined ? '' : ' again'
  return {
    kind: 'create-view',
    sign: '+',
    object: name,
    description: `create materialized view ${name}${again}${key === '' ? '' : ` with a unique index on ${key}`}, refreshed ${timingOf(wanted)}`,
    lock: null,
    waitsFor: {
      what: `a lock on what ${compiled.name} reads`,
      relations: [...wanted.reads.tables.keys()].filter((oid) => !isPlannedOid(oid)),
    },
    statements: [
      ...createViewSql(wanted),
      storeSql(catalog, registration, { made: true, rebuild: 'false', target: true }),
      ...forgetFailures(stored),
      ...promptMoved(registration),
    ],
    countsEpoch: true,
    id: JSON.stringify(['create-view', relation.schema, relation.name, wanted.meaning, wanted.timing]),
  }
}

/** Stores what is new or has changed of a view that exists. Null: it is stored as it is. */
export function registerViewStep(catalog: Catalog, registration: ViewRegistration): Step | null {
  const { wanted, stored } = registration
  const { relation } = wanted
  if (relation.planned) return null
  if (stored === undefined) return adoptStep(catalog, registration)
  const changes = describeChanges(registration, catalog)
  if (changes === null) return null
  const name = displayTable(relation)
  const moved = stored.moved !== undefined
  return {
    kind: 'change-view',
    sign: '~',
    object: name,
    description: `change materialized view ${name}: ${changes}`,
    lock: null,
    statements: [
      storeSql(catalog, registration, {
        made: stored.compiled.made,
        rebuild: wanted.rebuild ? 'true' : wanted.unbuilt ? 'v.rebuild' : 'false',
        target: moved,
      }),
      ...forgetFailures(stored),
      ...promptSql(registration),
      ...promptMoved(registration),
      // What it holds may have been found by functions that were others then.
      ...(isSpared(wanted, stored) ? [promptFor(stored.schedule, 'request')] : []),
    ],
    countsEpoch: true,
    id: JSON.stringify([
      'change-view',
      relation.schema,
      relation.name,
      wanted.meaning,
      wanted.fingerprint,
      stored.fingerprint,
    ]),
  }
}

function adoptStep(catalog: Catalog, registration: ViewRegistration): Step {
  const { wanted, row } = registration
  const { relation } = wanted
  const name = displayTable(relation)
  const what = wanted.rebuild ? 'built anew by the daemon, since its query is another one' : 'as it is'
  return {
    kind: 'change-view',
    sign: '+',
    object: name,
    description: `take over materialized view ${name}: ${what}, refreshed ${timingOf(wanted)}`,
    lock: null,
    statements: [
      storeSql(catalog, registration, { made: false, rebuild: String(wanted.rebuild), target: true }),
      // People's row may have had it refreshed before anything was captured.
      ...(row === undefined ? [] : promptSql(registration)),
    ],
    countsEpoch: true,
    id: JSON.stringify(['adopt-view', relation.schema, relation.name, wanted.meaning, wanted.rebuild]),
  }
}

/** Sets the schedule's row of a view to what the definition says, where the view itself is stored as it is. Null: the row is right. */
export function scheduleStep(catalog: Catalog, registration: ViewRegistration): Step | null {
  const { wanted, stored, row } = registration
  if (stored === undefined || wanted.relation.planned) return null
  if (registerViewStep(catalog, registration) !== null) return null
  const differences = rowDifferences(catalog, registration)
  if (row !== undefined && differences.length === 0) return null
  const name = displayTable(wanted.relation)
  return {
    kind: 'schedule-view',
    sign: row === undefined ? '+' : '~',
    object: name,
    description:
      row === undefined
        ? `schedule ${name} again, whose row is gone: refreshed ${timingOf(wanted)}`
        : `set the schedule of ${name} back: ${differences.join(', ')}`,
    lock: null,
    statements: [
      `with row as (${rowSql(catalog, registration)})
  update pgfresh.view v set schedule = row.id from row where v.schedule = ${Number(stored.schedule)} and v.schedule <> row.id`,
      ...promptMoved(registration),
    ],
    countsEpoch: row === undefined,
    id: JSON.stringify(['schedule-view', wanted.compiled.view, wanted.timing]),
  }
}

/** Advice on other rows that are about the same view. */
export function needlessRows(
  catalog: Catalog,
  { wanted, row }: ViewRegistration,
  schedule: readonly ScheduleRow[],
): string[] {
  return schedule
    .filter((one) => one.id !== row?.id && isAbout(catalog, one, wanted.compiled.view))
    .map(
      (one) =>
        `row ${one.id} of the refresh schedule (${one.name}) is about ${displayTable(wanted.relation)} too, which ${wanted.compiled.name} declares: delete that row`,
    )
}

/** `every 10 minutes`, in the definition's words. */
export function timingOf({ compiled }: WantedView): string {
  return describeTiming(compiled.schedule)
}

function createViewSql({ compiled }: WantedView): string[] {
  const view = quoteQualified(compiled.view.schema, compiled.view.name)
  // Literals are read, and names looked up, when it is created. Our own timeouts stay.
  const settings = Object.entries(compiled.settings).filter(([name]) => !/_timeout$/.test(name))
  return [
    setLocal(Object.fromEntries(settings)),
    `create materialized view ${view} as (${compiled.query}\n) with no data`,
    setLocal({ search_path: 'pg_catalog, pg_temp' }),
    ...(compiled.key.length === 0
      ? []
      : [
          `create unique index ${quoteIdentifier(keyIndexName(compiled.view.name))} on ${view} (${compiled.key.map(quoteIdentifier).join(', ')})`,
        ]),
  ]
}

/** Writes the row of the schedule and what is stored of the view. `rebuild` is an expression; `target`: its oid is another one now. */
function storeSql(
  catalog: Catalog,
  registration: ViewRegistration,
  { made, rebuild, target }: { readonly made: boolean; readonly rebuild: string; readonly target: boolean },
): string {
  const { wanted, stored } = registration
  const { compiled, fingerprint } = wanted
  const registered: RegisteredView = { ...compiled, made }
  const oid = `${quoteLiteral(quoteQualified(compiled.view.schema, compiled.view.name))}::pg_catalog.regclass::pg_catalog.oid`
  const values = {
    project: quoteLiteral(compiled.project),
    name: quoteLiteral(compiled.name),
    fingerprint: quoteLiteral(fingerprint),
    compiled: storedJson(registered),
    rebuild,
    applied_at: 'pg_catalog.now()',
    ...(target ? { target: oid } : {}),
  }
  const row = `with row as (${rowSql(catalog, registration)})`
  if (stored === undefined) {
    return `${row}
  insert into pgfresh.view (schedule, ${Object.keys(values).join(', ')})
  select row.id, ${Object.values(values).join(', ')} from row`
  }
  const assignments = Object.entries(values).map(([column, value]) => `${column} = ${value}`)
  return `${row}
  update pgfresh.view v set schedule = row.id, ${assignments.join(', ')}
  from row where v.schedule = ${Number(stored.schedule)}`
}

/** What has changed may be what it failed for: it needn't wait any longer. What an attempt was made for is not forgotten, nor that one runs. */
function forgetFailures(stored: StoredViewDefinition | undefined): string[] {
  return stored === undefined
    ? []
    : [
        `update pgfresh.view_state set failures = 1, error = null where schedule = ${Number(stored.schedule)} and failures > 0`,
      ]
}

/** What changed in a source before it was captured went unnoticed. */
function promptSql({ wanted, stored, row }: ViewRegistration): string[] {
  const known = new Set(stored?.compiled.routes.map(routeText))
  const schedule = stored?.schedule ?? row?.id
  const isNew = wanted.compiled.routes.some((route) => !known.has(routeText(route)))
  return isNew && schedule !== undefined ? [promptFor(schedule, 'change')] : []
}

function promptFor(schedule: string, reason: 'request' | 'change'): string {
  return `insert into pgfresh.view_prompt (schedule, reason) values (${Number(schedule)}, '${reason}') on conflict do nothing`
}

/** Where people's own row is its row from now on: what changed while that was nobody's was told to the row that is gone. */
function promptMoved({ wanted, stored }: ViewRegistration): string[] {
  if (stored === undefined) return []
  const { project, name } = wanted.compiled
  return [
    `insert into pgfresh.view_prompt (schedule, reason) select v.schedule, 'change' from pgfresh.view v
  where v.project = ${quoteLiteral(project)} and v.name = ${quoteLiteral(name)} and v.schedule <> ${Number(stored.schedule)} on conflict do nothing`,
  ]
}

/** It was about to be built anew, and holds what the definition says now. */
function isSpared(wanted: WantedView, stored: StoredViewDefinition): boolean {
  return stored.rebuild && !wanted.unbuilt && stored.moved === undefined
}

function routeText({ sourceOid, reads }: Route): string {
  return JSON.stringify([sourceOid, reads])
}

/** In words, what registering would change; null: nothing. */
function describeChanges(registration: ViewRegistration, catalog: Catalog): string | null {
  const { wanted, stored } = registration
  if (stored === undefined) return null
  const [before, after] = [stored.compiled, wanted.compiled]
  const differ = (of: (compiled: typeof after) => unknown) =>
    JSON.stringify(of(before)) !== JSON.stringify(of(after))
  const settings = differ(({ settings }) => Object.entries(settings).sort())
  const timing = differ(({ schedule: { every, cron, timeZone } }) => [every, cron, timeZone])
  const key = after.key.map(displayIdentifier).join(', ')
  const changes = [
    ...(wanted.rebuild
      ? [
          `built anew by the daemon, since ${stored.moved ? 'another view has its name' : whyBuiltAnew(wanted, stored)}`,
        ]
      : []),
    ...(stored.moved && !wanted.rebuild ? ['found again by its name'] : []),
    ...(isSpared(wanted, stored) ? ['not built anew, since it holds just that'] : []),
    ...(differ((one) => one.key) ? [key === '' ? 'without a key' : `key ${key}`] : []),
    ...(timing ? [`refreshed ${timingOf(wanted)}`] : []),
    ...(differ((one) => one.schedule.maximumExecutionDuration)
      ? [`cancelled after ${after.schedule.maximumExecutionDuration}`]
      : []),
    ...(differ((one) => one.skipUnchanged)
      ? [after.skipUnchanged ? 'left out while nothing has changed' : 'not left out when nothing has changed']
      : []),
    ...(settings && !wanted.rebuild ? ['settings'] : []),
  ]
  if (changes.length > 0) return changes.join(', ')
  const meaning = compiledViewFingerprint(before, (oid) => catalog.relations.get(oid)?.kind === 'm')
  return meaning === wanted.meaning ? null : 'options only'
}
