/**
 * Fresh and stored values of some keys, compared in one statement: one snapshot, the very SQL that batches run, no lock.
 *
 * The same snapshot says whether anything that concerns the materialization was still on its way ("quiet"): if nothing was, what
 * differs is drift, with no need to wait. Called by verify.ts.
 */
import { quoteLiteral, quoteQualified } from '../../db/identifier.ts'
import type { Row, Session } from '../../db/session.ts'
import { healing } from '../../db/sqlstate.ts'
import { begin, setLocal, tag } from '../../db/transaction.ts'
import type { Compiled } from '../../materialization/compiled.ts'
import { type Stored, text } from '../../materialization/store.ts'
import { differs, freshSelect } from '../../refresh/fresh-sql.ts'
import { keyColumns, keyJson, keyRow, keysFromJson, setLocked } from '../../refresh/key.ts'

/** A key as a JSON array, in the text the server gave it: never through a JavaScript number. */
export type KeyText = string

/** A row that is not what a fresh computation gives. */
export interface Difference {
  readonly key: KeyText
  /** True: its stamp is NULL, so it counts as not computed yet. */
  readonly uncomputed: boolean
  /** The columns that differ, each value as the server prints it. Empty if only the stamp is missing. */
  readonly columns: readonly {
    readonly name: string
    readonly stored: string | null
    readonly fresh: string | null
  }[]
}

/** What one statement saw. */
export interface Comparison {
  /** Keys that still had a row. */
  readonly checked: number
  readonly differences: readonly Difference[]
  /** pg_current_snapshot() of the comparison. */
  readonly snapshot: string
  /** True: in that snapshot nothing was pending for this materialization. */
  readonly quiet: boolean
}

/** Compares these keys. Throws the server's error if computing one of them fails. */
export async function compare(
  session: Session,
  stored: Stored,
  keys: readonly KeyText[],
): Promise<Comparison> {
  const { compiled } = stored
  const results = await inTransaction(session, compiled, [chooseSql(compiled, keys), compareSql(stored)])
  const row = results.at(-2)?.[0]
  if (row === undefined) throw new RangeError('a comparison gave no row')
  return {
    checked: Number(text(row, 'checked')),
    differences: (JSON.parse(text(row, 'differences')) as RawDifference[]).map((one) =>
      difference(one, compiled),
    ),
    snapshot: text(row, 'snapshot'),
    quiet: row.quiet === 't',
  }
}

/** The next keys in key order, at most `limit`; after null it begins. */
export async function pageOfKeys(
  session: Session,
  { compiled }: Stored,
  { after, limit }: { readonly after: KeyText | null; readonly limit: number },
): Promise<readonly KeyText[]> {
  const columns = keyColumns(compiled.key, 't')
  const where =
    after === null ? '' : `where row(${columns}) > ${keyRow(compiled.key, `${quoteLiteral(after)}::jsonb`)}`
  return keysOf(session, compiled, `${where} order by ${columns} limit ${limit}`)
}

/** A target of fewer rows than this for each one wanted is read whole and mixed; a larger one is sampled by blocks. */
const rowsPerWanted = 20

/** Keys of about `wanted` rows, spread at random, and about how many rows there are. */
export async function sampleOfKeys(
  session: Session,
  { compiled }: Stored,
  wanted: number,
): Promise<{ readonly keys: readonly KeyText[]; readonly rows: number }> {
  const rows = await estimateRows(session, compiled)
  const percent = Math.min(100, (100 * wanted * rowsPerWanted) / Math.max(rows, 1))
  const sampled = percent < 100 ? `tablesample system (${percent.toFixed(6)})` : ''
  const keys = await keysOf(session, compiled, `${sampled} order by pg_catalog.random() limit ${wanted}`)
  return { keys, rows: Math.max(rows, keys.length) }
}

/** The planner's guess, which knows the table's size of now and the partitions. */
export async function estimateRows(session: Session, compiled: Compiled): Promise<number> {
  const results = await inTransaction(session, compiled, [
    `explain (format json) select from ${target(compiled)}`,
  ])
  const plan = JSON.parse(results.at(-2)?.[0]?.['QUERY PLAN'] ?? '[]') as {
    Plan?: { 'Plan Rows'?: number }
  }[]
  return plan[0]?.Plan?.['Plan Rows'] ?? 0
}

interface RawDifference {
  readonly key: string
  readonly uncomputed: boolean
  readonly which: readonly boolean[]
  readonly stored: readonly (string | null)[]
  readonly fresh: readonly (string | null)[]
}

function difference(
  { key, uncomputed, which, stored, fresh }: RawDifference,
  { columns }: Compiled,
): Difference {
  const compared = columns.map(({ name }, at) => ({
    name,
    stored: stored[at] ?? null,
    fresh: fresh[at] ?? null,
  }))
  return { key, uncomputed, columns: compared.filter((_, at) => which[at]) }
}

async function keysOf(session: Session, compiled: Compiled, rest: string): Promise<readonly KeyText[]> {
  const parts = compiled.key.map((_, at) => `k.k${at + 1}`)
  const sql = `select ${keyJson(compiled.key, parts)}::text as key
    from (select ${keyColumns(compiled.key, 't', true)} from ${target(compiled)} t ${rest}) k`
  const results = await inTransaction(session, compiled, [`${sql} ${label(compiled)}`])
  return (results.at(-2) ?? []).map((row) => text(row, 'key'))
}

/** A lock that somebody's DDL holds is waited for this often, each time for the lock_timeout of our transactions. */
const mostTries = 10

/** One message: begin, the definition's own settings, these statements, commit. The last rows but one are the last statement's. */
async function inTransaction(
  session: Session,
  compiled: Compiled,
  statements: readonly string[],
): Promise<readonly (readonly Row[])[]> {
  const message = `${begin()} ${[setLocal(compiled.settings), ...statements, 'commit'].join(';\n')}`
  for (let attempt = 1; ; attempt++) {
    try {
      return await session.run(message)
    } catch (error) {
      await session.rollback()
      if (session.lost || healing(error) !== 'retry' || attempt === mostTries) throw error
    }
  }
}

/** Hands the keys to the compute as a batch does, in transaction-local settings. */
function chooseSql({ key }: Compiled, keys: readonly KeyText[]): string {
  const list = `${quoteLiteral(`[${keys.join(',')}]`)}::jsonb`
  return `with chosen as materialized (${keysFromJson(key, list)}) select ${setLocked(key, 'chosen')}`
}

function compareSql(stored: Stored): string {
  const { compiled } = stored
  const { key, columns } = compiled
  const keyParts = key.map((_, at) => `w.k${at + 1}`)
  const values = (prefix: string) =>
    `pg_catalog.jsonb_build_array(${columns.map((_, at) => `w.${prefix}${at + 1}::text`).join(', ')})`
  const which = columns.map((_, at) => `pg_catalog.record_image_ne(row(w.o${at + 1}), row(w.v${at + 1}))`)
  return `with f as materialized (${freshSelect(compiled, columns)}),
    w as materialized (select * from f where f.s is null or ${differs(columns, 'f')})
    select (select pg_catalog.count(*) from f) as checked, pg_catalog.pg_current_snapshot() as snapshot,
      coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('key', ${keyJson(key, keyParts)}::text,
        'uncomputed', w.s is null, 'which', pg_catalog.jsonb_build_array(${which.join(', ')}),
        'stored', ${values('o')}, 'fresh', ${values('v')})) from w), '[]') as differences,
      case when exists (select from w) then ${quietSql(stored)} end as quiet ${label(compiled)}`
}

/** True if the statement's snapshot holds neither work of this materialization nor a change that concerns it and is no work yet. */
function quietSql({ id, targetOid, compiled }: Stored): string {
  const sources = [...new Set(compiled.routes.map((route) => Number(route.sourceOid)))]
  const captures = `array(select c.id from pgfresh.capture c where c.source = any('{${sources.join(',')}}'::pg_catalog.oid[]))`
  const asked = `l.op = 'R' and l.new_row ->> 'target' = '${Number(targetOid)}'`
  return `(not exists (select from pgfresh.task t where t.materialization = ${Number(id)} or t.kind = 'expand')
      and not exists (select from pgfresh.deferred d where d.materialization = ${Number(id)} or d.kind = 'expand')
      and not exists (select from pgfresh.walk o where o.materialization = ${Number(id)} and o.finished_at is null)
      and not exists (select from (select snapshot from pgfresh.watermark order by id desc limit 1) m,
        pgfresh.unread(m.snapshot, pg_catalog.pg_current_snapshot()) r, pgfresh.change_log l
        where l.xid >= r.lo and l.xid < r.hi and (l.capture = any(${captures}) or ${asked})))`
}

function target({ target: { schema, name } }: Compiled): string {
  return quoteQualified(schema, name)
}

function label({ target: { schema, name } }: Compiled): string {
  return tag(`verify ${schema}.${name}`)
}
