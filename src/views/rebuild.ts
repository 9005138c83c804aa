/**
 * A view whose query has changed: the new one is built beside the old one, then takes its name, indexes, grants and comments, in the
 * refresh's own transaction. Readers see the old one until the commit; a crash before it leaves nothing behind.
 *
 * Nothing of the owner's runs as the daemon: the new one is its owner's before anything is computed, and a refresh and an index build
 * run as the owner. (A refresh also writes rows that are visible to readers whose snapshot is older, unlike `create … as` on 14.)
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

/** How often the swap tries for the old view's lock, and how long each time: readers queue behind it while it waits. */
const lockAttempts = 30
const lockTimeout = '100ms'

/** Every so many attempts one is longer than the deadlock_timeout of a second, at which the server makes autovacuum give way. */
const patientEvery = 10
const patientTimeout = '1500ms'

/** For what rounds and apply hold, once the view is had: shorter than the deadlock_timeout, so that this one gives way. */
const turnTimeout = '900ms'

/** Between two attempts, in ms: those who queued behind the last one, readers and rounds, have their turn. */
const betweenAttemptsMs = 1_000

/**
 * Builds and swaps; the caller commits. `oid` is the old view's; returns the new one's. Throws Superseded, an OperatorError, or what
 * the server says.
 */
export async function rebuild(session: Session, stored: StoredView, oid: string): Promise<string> {
  const { compiled, schedule } = stored
  const { schema, name } = compiled.view
  const old = quoteQualified(schema, name)
  const beside = quoteQualified(schema, `pgfresh_new_${Number(schedule)}`)
  const [facts] = await session.rows(
    `select pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)) as owner, pg_catalog.array_to_string(c.reloptions, ', ') as options,
       (select pg_catalog.quote_ident(t.spcname) from pg_catalog.pg_tablespace t where t.oid = c.reltablespace) as tablespace,
       n.nspname = $2 and c.relname = $3 as declared, c.oid::regclass::text as name
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = $1::oid`,
    [oid, schema, name],
  )
  if (facts === undefined) throw new Superseded()
  if (facts.declared !== 't') throw anotherView(text(facts, 'name'), old)
  await refuseDependents(session, old, oid)
  const owner = text(facts, 'owner')
  const options = facts.options == null || facts.options === '' ? '' : ` with (${facts.options})`
  const tablespace = facts.tablespace == null ? '' : ` tablespace ${facts.tablespace}`
  const built = await session.run(
    `${tag(`build ${schema}.${name}`)} create materialized view ${beside}${options}${tablespace} as ${compiled.query}\n with no data;
     alter materialized view ${beside} owner to ${owner};
     refresh materialized view ${beside};
     select ${quoteLiteral(beside)}::regclass::oid as oid`,
  )
  const renames = await buildIndexes(session, stored, { oid, beside })
  const carried = (await session.rows(carryOverSql, [oid, beside])).map((row) => text(row, 'sql'))
  for (const sql of carried) await session.run(sql)
  await swap(session, stored, { old, oid, owner, beside, renames })
  return text(built.at(-1)?.[0] ?? {}, 'oid')
}

function anotherView(named: string, declared: string): OperatorError {
  return new OperatorError({
    message: `the schedule's row names ${named}, but the definition whose query has changed is about ${declared}`,
    hint: 'Run "pgfresh apply", which sets the row back.',
  })
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

interface Swap {
  readonly old: string
  readonly oid: string
  readonly owner: string
  readonly beside: string
  readonly renames: readonly string[]
}

/** By savepoints, so that what was built isn't lost because a reader was there for a second, or a round had the state row. */
async function swap(session: Session, stored: StoredView, parts: Swap): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await lockOld(session, stored, parts, attempt % patientEvery === 0 ? patientTimeout : lockTimeout)
      await exchange(session, stored, parts)
      return
    } catch (error) {
      const state = sqlstateOf(error)
      if (state !== sqlstate.lockNotAvailable && state !== sqlstate.deadlockDetected) throw error
      if (attempt === lockAttempts) throw neverFree(parts.old, error)
      await session.run('rollback to swap; release swap')
      await sleep(betweenAttemptsMs)
    }
  }
}

/**
 * The view first: whoever reads it may keep it for long, and rounds and apply, who need the rows, mustn't wait for that. (LOCK TABLE
 * refuses materialized views; giving one to whom it belongs changes nothing under the same lock.)
 */
async function lockOld(
  session: Session,
  { schedule }: StoredView,
  parts: Swap,
  timeout: string,
): Promise<void> {
  await session.run(
    `savepoint swap; ${setLocal({ lock_timeout: timeout })}; alter materialized view ${parts.old} owner to ${parts.owner};
     ${setLocal({ lock_timeout: turnTimeout })}; select from pgfresh.view v where v.schedule = ${BigInt(schedule)} for no key update;
     select from pgfresh.state for no key update`,
  )
}

/** Under the locks. */
async function exchange(session: Session, stored: StoredView, parts: Swap): Promise<void> {
  const { schedule, compiled, fingerprint } = stored
  const { old, oid, beside, renames } = parts
  await refuseDependents(session, old, oid)
  const [now] = await session.rows('select pg_catalog.to_regclass($1)::oid = $2::oid as same', [old, oid])
  if (now?.same !== 't') throw new Superseded()
  const swapped = await session.run(`
    drop materialized view ${old};
    alter materialized view ${beside} rename to ${quoteIdentifier(compiled.view.name)};
    ${renames.join('\n')}
    select pgfresh.view_swapped(${Number(schedule)}, ${quoteLiteral(fingerprint)}, ${Number(oid)}, ${quoteLiteral(old)}::regclass,
      ${quoteLiteral(JSON.stringify(compiled.key))}::jsonb) as swapped`)
  if (swapped.at(-1)?.[0]?.swapped !== 't') throw new Superseded()
}

function neverFree(old: string, cause: unknown): OperatorError {
  return new OperatorError({
    message: `${old} could not be locked for the swap in ${lockAttempts} attempts (${cause instanceof Error ? cause.message : String(cause)})`,
    hint: 'Transactions that have read it keep it locked until they end: end the long ones.',
    cause,
  })
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
