/**
 * Reads what apply stored. One truth for all replicas: daemons load it at one epoch and load it again when the epoch moved.
 */
import type { Row, Session } from '../db/session.ts'
import type { CaptureShape, Compiled } from './compiled.ts'
import type { CompiledView } from './compiled-view.ts'

/** A stored materialization. Ids are text, as the server printed them. */
export interface Stored {
  readonly id: string
  readonly targetOid: string
  readonly fingerprint: string
  readonly compiled: Compiled
  /** Its work waits until somebody says resume. */
  readonly paused: boolean
}

/** A view that a definition declares. Ids are text. */
export interface StoredView {
  /** Of its row in the refresh schedule. */
  readonly schedule: string
  readonly targetOid: string
  readonly fingerprint: string
  readonly compiled: CompiledView
  /** Its query has changed, and it is yet to be built anew. */
  readonly rebuild: boolean
}

/** A capture, active or retired: retired ones still explain the entries that were written under them. */
export interface StoredCapture {
  readonly id: string
  readonly source: string
  readonly shape: CaptureShape
  readonly active: boolean
}

/** All that a daemon needs to know, as of one epoch. */
export interface Catalogue {
  readonly epoch: string
  readonly materializations: readonly Stored[]
  readonly captures: readonly StoredCapture[]
  readonly views: readonly StoredView[]
}

/** The version of our schema that brought views. */
const viewsVersion = 4

/** Loads everything in one snapshot. `schemaVersion`: of the schema that was found, where that may be an older one than ours. */
export async function loadCatalogue(session: Session, schemaVersion = viewsVersion): Promise<Catalogue> {
  const hasViews = schemaVersion >= viewsVersion
  const [row] = await session.rows(`
    select s.epoch,
      coalesce((select jsonb_agg(jsonb_build_object('id', m.id::text, 'targetOid', m.target::text,
        'fingerprint', m.fingerprint, 'compiled', m.compiled, 'paused', m.paused_at is not null) order by m.id) from pgfresh.materialization m), '[]') as materializations,
      ${hasViews ? viewsSql : "'[]'"} as views,
      coalesce((select jsonb_agg(jsonb_build_object('id', c.id::text, 'source', c.source::text, 'shape', c.shape,
        'active', c.retired_at is null) order by c.id) from pgfresh.capture c), '[]') as captures
    from pgfresh.state s`)
  if (row === undefined) throw new RangeError('pgfresh.state has no row')
  return {
    epoch: text(row, 'epoch'),
    materializations: JSON.parse(text(row, 'materializations')) as Stored[],
    captures: JSON.parse(text(row, 'captures')) as StoredCapture[],
    views: JSON.parse(text(row, 'views')) as StoredView[],
  }
}

const viewsSql = `coalesce((select jsonb_agg(jsonb_build_object('schedule', v.schedule::text, 'targetOid', v.target::text,
        'fingerprint', v.fingerprint, 'compiled', v.compiled, 'rebuild', v.rebuild) order by v.schedule) from pgfresh.view v), '[]')`

/** A column of a row that is never null. */
export function text(row: Row, column: string): string {
  const value = row[column]
  if (value === null || value === undefined)
    throw new RangeError(`column ${column} is missing from the answer`)
  return value
}
