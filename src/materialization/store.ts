/**
 * Reads what apply stored. One truth for all replicas: daemons load it at one epoch and load it again when the epoch moved.
 */
import type { Row, Session } from '../db/session.ts'
import type { CaptureShape, Compiled } from './compiled.ts'

/** A stored materialization. Ids are text, as the server printed them. */
export interface Stored {
  readonly id: string
  readonly targetOid: string
  readonly fingerprint: string
  readonly compiled: Compiled
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
}

/** Loads everything in one snapshot. */
export async function loadCatalogue(session: Session): Promise<Catalogue> {
  const [row] = await session.rows(`
    select s.epoch,
      coalesce((select jsonb_agg(jsonb_build_object('id', m.id::text, 'targetOid', m.target::text,
        'fingerprint', m.fingerprint, 'compiled', m.compiled) order by m.id) from pgfresh.materialization m), '[]') as materializations,
      coalesce((select jsonb_agg(jsonb_build_object('id', c.id::text, 'source', c.source::text, 'shape', c.shape,
        'active', c.retired_at is null) order by c.id) from pgfresh.capture c), '[]') as captures
    from pgfresh.state s`)
  if (row === undefined) throw new RangeError('pgfresh.state has no row')
  return {
    epoch: text(row, 'epoch'),
    materializations: JSON.parse(text(row, 'materializations')) as Stored[],
    captures: JSON.parse(text(row, 'captures')) as StoredCapture[],
  }
}

/** A column of a row that is never null. */
export function text(row: Row, column: string): string {
  const value = row[column]
  if (value === null || value === undefined)
    throw new RangeError(`column ${column} is missing from the answer`)
  return value
}
