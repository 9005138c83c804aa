/**
 * Steps that take captures away: of sources that nobody reads any more, and our triggers wherever nothing is captured.
 */
import { dropLogFunctionsDdl } from '../capture/log-functions.ts'
import { dropCaptureDdl } from '../capture/triggers.ts'
import { type Catalog, descendants, type Relation } from '../catalog/catalog.ts'
import type { StoredCapture } from '../materialization/store.ts'
import { capturedTables } from './capture-triggers.ts'
import type { Step } from './steps.ts'
import { displayTable } from './target.ts'

/** `read`: oids of tables that go on being captured. What became a part of one of them has its triggers from there. */
export function removalStep(catalog: Catalog, capture: StoredCapture, read: ReadonlySet<string>): Step {
  const source = catalog.relations.get(capture.source)
  const name = displayTable(source ?? capture.shape.source)
  const tables = (source === undefined ? [] : Object.values(tablesOf(catalog, source)).flat()).filter(
    (table) => !read.has(table.oid),
  )
  return {
    kind: 'drop-capture',
    sign: '-',
    object: name,
    description:
      source === undefined
        ? `forget the capture of ${name}, which is gone`
        : `stop capturing ${source.kind === 'm' ? 'refreshes' : 'changes'} of ${name}`,
    lock:
      tables.length === 0
        ? null
        : { mode: 'ACCESS EXCLUSIVE', on: name, relations: tables.map((table) => table.oid) },
    statements: [
      `update pgfresh.capture set retired_at = pg_catalog.now() where id = ${Number(capture.id)} and retired_at is null`,
      ...tables.flatMap((table) => dropCaptureDdl(table)),
      ...dropLogFunctionsDdl(capture.id),
    ],
    countsEpoch: true,
    id: JSON.stringify(['drop-capture', capture.source]),
  }
}

/** Triggers of ours where nothing is captured: on a partition that was detached, on a table that was copied. */
export function strayTriggers(catalog: Catalog, expected: ReadonlySet<string>): Step[] {
  const strays = [...catalog.relations.values()].filter(
    (relation) =>
      !expected.has(relation.oid) && relation.triggers.some((trigger) => trigger.ours && !trigger.cloned),
  )
  return strays.map((relation) => ({
    kind: 'drop-capture',
    sign: '-',
    object: displayTable(relation),
    description: `take pgfresh's triggers off ${displayTable(relation)}, which is not captured`,
    lock: { mode: 'ACCESS EXCLUSIVE', on: displayTable(relation), relations: [relation.oid] },
    statements: dropCaptureDdl(relation),
    countsEpoch: false,
    id: JSON.stringify(['drop-triggers', relation.oid]),
  }))
}

/** The tables that get triggers; none for a materialized view, whose refreshes say in the log themselves that they were. */
export function tablesOf(catalog: Catalog, source: Relation): ReturnType<typeof capturedTables> {
  return source.kind === 'm' ? { rows: [], leaves: [] } : capturedTables(catalog, source)
}

/** Oids of these tables and all that are parts of them. */
export function withDescendants(catalog: Catalog, sources: readonly string[]): ReadonlySet<string> {
  return new Set(
    sources.flatMap((oid) => {
      const source = catalog.relations.get(oid)
      return source === undefined
        ? []
        : [source, ...descendants(catalog, source)].map((relation) => relation.oid)
    }),
  )
}
