/**
 * A view whose query has changed: the new one is built beside the old one, then takes its name, indexes, grants and comments, in the
 * refresh's own transaction. Readers see the old one until the commit; a crash before it leaves nothing behind.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../db/identifier.ts'
import type { Row, Session } from '../db/session.ts'
import { healing, sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { setLocal, tag } from '../db/transaction.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { StoredView } from '../materialization/store.ts'
import { text } from '../materialization/store.ts'
import { carryOverSql } from './carry-over.ts'
import { keyIndexName } from './key-index.ts'

/** apply stored something else while it was built: nothing was swapped. */
export class Superseded extends Error {
  override readonly name = 'Superseded'
}

/** How long the swap tries for the old view's lock: so often, so long each, so that readers wait no longer than that in one go. */
const lockAttempts = 30

/** Longer than the deadlock_timeout, at which the server makes autovacuum give way. */
const swapTimeout = '1500ms'

/** Between two attempts, in ms. */
const betweenAttemptsMs = 200

/** Builds and swaps; the caller commits. `oid` is the old view's. Throws Superseded, an OperatorError, or what the server says. */
export async function rebuild(session: Session, stored: StoredView, oid: string): Promise<void> {
  const { compiled, schedule } = stored
  const { schema, name } = compiled.view
  const old = quoteQualified(schema, name)
  const beside = quoteQualified(schema, `pgfresh_new_${Number(schedule)}`)
  await refuseDependents(session, old, oid)
  const [facts] = await session.rows(
    `select pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)) as owner, pg_catalog.array_to_string(c.reloptions, ', ') as options,
       (select pg_catalog.quote_ident(t.spcname) from pg_catalog.pg_tablespace t where t.oid = c.reltablespace) as tablespace
     from pg_catalog.pg_class c where c.oid = $1::oid`,
    [oid],
  )
  if (facts === undefined) throw new Superseded()
  const options = facts.options == null || facts.options === '' ? '' : ` with (${facts.options})`
  const tablespace = facts.tablespace == null ? '' : ` tablespace ${facts.tablespace}`
  await session.run(
    `${tag(`build ${schema}.${name}`)} create materialized view ${beside}${options}${tablespace} as ${compiled.query}\n`,
  )
  const renames = await buildIndexes(session, stored, { oid, beside })
  const carried = (await session.rows(carryOverSql, [oid, beside])).map((row) => text(row, 'sql'))
  for (const sql of [...carried, `alter materialized view ${beside} owner to ${text(facts, 'owner')}`])
    await session.run(sql)
  await lockOld(session, old, text(facts, 'owner'), schedule)
  await refuseDependents(session, old, oid)
  const swapped = await session.run(`
    drop materialized view ${old};
    alter materialized view ${beside} rename to ${quoteIdentifier(name)};
    ${renames.join('\n')}
    select pgfresh.view_swapped(${Number(schedule)}, ${quoteLiteral(stored.fingerprint)}, ${Number(oid)}, ${quoteLiteral(old)}::regclass) as swapped`)
  if (swapped.at(-1)?.[0]?.swapped !== 't') throw new Superseded()
}

/** The old one's indexes on the new one, under other names for now; returns what gives them their names back. */
async function buildIndexes(
  session: Session,
  { schedule, compiled }: StoredView,
  { oid, beside }: { readonly oid: string; readonly beside: string },
): Promise<string[]> {
  const { schema, name } = compiled.view
  const ours = keyIndexName(name)
  const rows = await session.rows(
    `select c.relname as name, pg_catalog.pg_get_indexdef(i.indexrelid) as definition, i.indisclustered as clustered
     from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid where i.indrelid = $1::oid and i.indisvalid order by c.relname`,
    [oid],
  )
  const theirs = rows.filter((row) => row.name !== ours)
  const isClustered = rows.some((row) => row.name === ours && row.clustered === 't')
  const renames: string[] = []
  const clusterSql = (wanted: boolean, index: string) =>
    wanted
      ? [`alter materialized view ${quoteQualified(schema, name)} cluster on ${quoteIdentifier(index)};`]
      : []
  const temporary = (at: number) => quoteIdentifier(`pgfresh_new_${Number(schedule)}_${at}`)
  for (const [at, row] of theirs.entries()) {
    const index = text(row, 'name')
    await session.run(elsewhere(row, { name, beside, as: temporary(at) })).catch((error: unknown) => {
      if (healing(error) === 'retry' || sqlstateOf(error) === sqlstate.queryCanceled) throw error
      throw new OperatorError({
        message: `index ${index} can't be made on the new query: ${error instanceof Error ? error.message : String(error)}`,
        hint: `Drop the index, or keep what it needs in the query.`,
        cause: error,
      })
    })
    renames.push(
      `alter index ${quoteIdentifier(schema)}.${temporary(at)} rename to ${quoteIdentifier(index)};`,
      ...clusterSql(row.clustered === 't', index),
    )
  }
  if (compiled.key.length > 0) {
    const columns = compiled.key.map(quoteIdentifier).join(', ')
    await session.run(`create unique index ${temporary(theirs.length)} on ${beside} (${columns})`)
    renames.push(
      `alter index ${quoteIdentifier(schema)}.${temporary(theirs.length)} rename to ${quoteIdentifier(ours)};`,
      ...clusterSql(isClustered, ours),
    )
  }
  return renames
}

/** An index's definition for another table: the server prints `CREATE [UNIQUE] INDEX name ON schema.table …` with quoted names. */
function elsewhere(
  row: Row,
  names: { readonly name: string; readonly beside: string; readonly as: string },
): string {
  const definition = text(row, 'definition')
  const shown = definition.match(
    /^CREATE (UNIQUE )?INDEX (?:"(?:[^"]|"")*"|[^\s"]+) ON (?:"(?:[^"]|"")*"|[^\s".]+)\.(?:"(?:[^"]|"")*"|[^\s".]+)/,
  )
  if (shown === null) throw new RangeError(`an index of ${names.name} is defined as ${definition}`)
  return `create ${shown[1] ?? ''}index ${names.as} on ${names.beside}${definition.slice(shown[0].length)}`
}

/**
 * By savepoints, so that what was built isn't lost because a reader was there for a second. What rounds and apply may hold
 * for a while is locked before the view is, since readers wait for that one. (LOCK TABLE refuses materialized views; giving one to whom
 * it belongs changes nothing under the same lock.)
 */
async function lockOld(session: Session, old: string, owner: string, schedule: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await session.run(
        `savepoint swap; ${setLocal({ lock_timeout: '30s' })};
         select from pgfresh.view v where v.schedule = ${BigInt(schedule)} for no key update; select from pgfresh.state for no key update;
         ${setLocal({ lock_timeout: swapTimeout })}; alter materialized view ${old} owner to ${owner}; ${setLocal({ lock_timeout: '10s' })}; release swap`,
      )
      return
    } catch (error) {
      if (sqlstateOf(error) !== sqlstate.lockNotAvailable || attempt === lockAttempts) throw error
      await session.run('rollback to swap; release swap')
      // Those who queued behind it, readers and rounds, have their turn.
      await sleep(betweenAttemptsMs)
    }
  }
}

/** Views over it would go with it. */
async function refuseDependents(session: Session, old: string, oid: string): Promise<void> {
  const rows = await session.rows(
    `select distinct c.oid::regclass::text as name from pg_catalog.pg_depend d
     join pg_catalog.pg_rewrite w on w.oid = d.objid and d.classid = 'pg_catalog.pg_rewrite'::regclass
     join pg_catalog.pg_class c on c.oid = w.ev_class
     where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = $1::oid and c.oid <> d.refobjid order by 1`,
    [oid],
  )
  if (rows.length === 0) return
  const names = rows.map((row) => text(row, 'name')).join(', ')
  throw new OperatorError({
    message: `${old} can't be swapped for its new query while others read it: ${names}`,
    hint: 'Drop them, let the swap happen, and create them again.',
  })
}
