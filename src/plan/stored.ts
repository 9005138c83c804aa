/**
 * What earlier applies stored, as a plan needs it: by project, and with the columns and views that pgfresh itself made.
 */

import { schemaVersion } from '../db/migrate.ts'
import type { Row, Session } from '../db/session.ts'
import type { Compiled } from '../materialization/compiled.ts'
import type { CompiledView } from '../materialization/compiled-view.ts'
import { loadCatalogue, type Stored, type StoredCapture, type StoredView } from '../materialization/store.ts'
import { readScheduleRows, type ScheduleRow } from './schedule-rows.ts'

/**
 * A compiled definition as apply stores it. `made` are the columns of its target that pgfresh added, also those that it declares no
 * more: only these are ever dropped. Adopted columns aren't among them.
 */
export interface Registered extends Compiled {
  readonly made: readonly string[]
}

/** A view as apply stores it. `made`: pgfresh created it. One that was adopted is never dropped. */
export interface RegisteredView extends CompiledView {
  readonly made: boolean
}

/** A stored materialization. */
export interface StoredMaterialization extends Stored {
  readonly compiled: Registered
  /** True: its target's oid belongs to another table now, after a restore or a swap; `targetOid` is that of the table by its name. */
  readonly moved?: true
}

/** A stored view. */
export interface StoredViewDefinition extends StoredView {
  readonly compiled: RegisteredView
  /** As in StoredMaterialization. */
  readonly moved?: true
}

/** All that is stored; nothing where there is no schema yet. */
export interface StoredState {
  readonly schema: { readonly found: number | null; readonly known: number }
  /** Null without a schema. */
  readonly epoch: string | null
  readonly materializations: readonly StoredMaterialization[]
  readonly captures: readonly StoredCapture[]
  readonly views: readonly StoredViewDefinition[]
  /** The refresh schedule, people's own rows too. */
  readonly schedule: readonly ScheduleRow[]
}

/** The columns of a target (by oid) that are ours already. */
export type OurColumns = (targetOid: string) => ReadonlySet<string>

/** Reads what is stored, also by a schema of an older version, in the caller's transaction. */
export async function readStored(session: Session): Promise<StoredState> {
  const schema = await schemaVersion(session)
  if (schema.found === null) {
    return { schema, epoch: null, materializations: [], captures: [], views: [], schedule: [] }
  }
  const { epoch, materializations, captures, views } = await loadCatalogue(session, schema.found)
  return {
    schema,
    epoch,
    captures,
    materializations: materializations.map((one) => {
      const compiled: Compiled & { readonly made?: readonly string[] } = one.compiled
      return { ...one, compiled: { ...compiled, made: compiled.made ?? [] } }
    }),
    views: views.map((one) => {
      const compiled: CompiledView & { readonly made?: boolean } = one.compiled
      return { ...one, compiled: { ...compiled, made: compiled.made ?? false } }
    }),
    schedule: await readScheduleRows(session, schema.found),
  }
}

/** Columns that a project's materializations made or write, and those that others write: that two write one is told by conflicts.ts. */
export function ourColumns(materializations: readonly StoredMaterialization[], project: string): OurColumns {
  return (targetOid) =>
    new Set(
      materializations
        .filter((one) => one.targetOid === targetOid)
        .flatMap(({ compiled }) => [
          ...(compiled.project === project ? compiled.made : []),
          ...compiled.columns.map((column) => column.name),
          compiled.stamp,
        ]),
    )
}

/** The materialization that a definition is about: of the same project, target and stamp. */
export function matchOf(
  stored: StoredState,
  wanted: { readonly project: string; readonly targetOid: string; readonly stamp: string },
): StoredMaterialization | undefined {
  return stored.materializations.find(
    ({ targetOid, compiled }) =>
      compiled.project === wanted.project &&
      targetOid === wanted.targetOid &&
      compiled.stamp === wanted.stamp,
  )
}

/** A column of a row that is never null. */
export function textOf(row: Row | undefined, column: string): string {
  const value = row?.[column]
  if (value === null || value === undefined) throw new RangeError(`the answer has no ${column}`)
  return value
}
