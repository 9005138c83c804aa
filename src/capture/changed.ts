/**
 * The log as routes see it: `changed`, one row per image (old, new) of each changed row of a source.
 *
 * What a round read is told by two watermarks, so a later statement of the same round reads the very same entries again:
 * all of them were committed when the later watermark was taken. Keys never pass through Node.
 */
import { quoteIdentifier } from '../db/identifier.ts'
import type { LoggedColumn } from '../materialization/compiled.ts'
import type { StoredCapture } from '../materialization/store.ts'
import { isKey } from './log-functions.ts'

/** Which entries: all between two watermarks (pg_snapshot as text), or all of one huge transaction. */
export type Entries = { readonly seen: string; readonly upto: string } | { readonly xid: string }

/** The entries of a capture for the readers that these mask bits name: an item of FROM (migrations/0003, pgfresh.entries). */
export function entriesSql(captureId: string, mask: number, entries: Entries): string {
  const which =
    'xid' in entries
      ? `'${BigInt(entries.xid)}'::xid8`
      : `'${entries.seen}'::pg_snapshot, '${entries.upto}'::pg_snapshot`
  return `pgfresh.entries(${Number(captureId)}, ${mask}, ${which})`
}

/** The `changed` relation of one capture for a route with these mask bits: columns named and typed as the source's. */
export function changedSql(capture: StoredCapture, mask: number, entries: Entries): string {
  const { logs } = capture.shape
  const from = entriesSql(capture.id, mask, entries)
  const [single] = logs
  if (single === undefined) return `select e.op from ${from} e`
  const field = isKey(logs) ? 'key' : 'row'
  const image = (side: 'old' | 'new') =>
    field === 'key'
      ? `e.${side}_key::${single.type} as ${quoteIdentifier(single.name)}`
      : logs
          .map((column, at) => `${decoded(column, `e.${side}_row`, at)} as ${quoteIdentifier(column.name)}`)
          .join(', ')
  // An update that leaves the logged columns as they were needs one image only.
  const same = `e.old_${field}::text is not distinct from e.new_${field}::text`
  return `with e as materialized (select * from ${from})
    select ${image('old')} from e where e.op in ('U', 'D') and not (e.op = 'U' and ${same})
    union all
    select ${image('new')} from e where e.op in ('U', 'I')`
}

function decoded(column: LoggedColumn, row: string, at: number): string {
  return `(${row} ->> ${at})::${column.type}`
}
