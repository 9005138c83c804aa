/**
 * Compares what a view holds with what its query returns, in one snapshot, and says whether a difference is drift.
 *
 * Sources change between refreshes, so a difference alone is none: it is drift where nothing is about to mend it. No writer waits for
 * this, and no refresh but one that isn't concurrent: that one waits while the view is read, and while its query runs only where
 * they differ. Nobody's query but this role's own is run. Called by the verify command.
 */
import type { Session } from '../../db/session.ts'
import { sqlstate, sqlstateOf } from '../../db/sqlstate.ts'
import { baseSettings, setLocal, tag } from '../../db/transaction.ts'
import type { TableName } from '../../materialization/compiled.ts'
import { type StoredView, text } from '../../materialization/store.ts'
import { unchangedSql } from '../../views/unchanged.ts'
import { type ViewFacts, viewsSelect } from '../view-facts.ts'
import { type ViewReport, viewReport } from '../view-report.ts'
import type { ViewVerification } from './verification.ts'
import { judge } from './view-drift.ts'
import { differences, freshSummary, isAsSeen, storedSummary } from './view-sql.ts'

/** How long a lock on the view is waited for, each time: somebody is refreshing it as a whole. */
const lockTimeout = '5s'

/** A statement may take this many times as long as a refresh: it computes the same, and then compares all rows. */
const timesLonger = 4

/** For the comparison, which is one session's; a definition's own setting wins. */
const workMem = '64MB'

/** Called, maybe more than once, when it is known what will be compared. */
export type OnView = (view: ViewReport) => void

/** Verifies the view of one row of the schedule. The session must be at rest, and is at the end. */
export async function verifyView(
  session: Session,
  schedule: string,
  onView: OnView = () => {},
): Promise<ViewVerification> {
  const started = performance.now()
  for (;;) {
    const found = await lookAt(session, schedule, onView)
    if (found.kind === 'done') return found.verification
    if (performance.now() - started > found.patienceMs) return failed(found.view, found.error)
  }
}

type Found =
  | { readonly kind: 'done'; readonly verification: ViewVerification }
  /** The view was locked, or another one by the time it was read. */
  | { readonly kind: 'again'; readonly view: ViewReport; readonly error: string; readonly patienceMs: number }

/** What is known of a view before it is compared. */
interface Subject {
  readonly facts: ViewFacts
  readonly view: ViewReport
  /** Null: there is no such view. */
  readonly content: {
    readonly name: TableName
    /** Null: a row of people's own. */
    readonly stored: StoredView | null
    /** To whom it belongs, and who asks. */
    readonly owner: string
    readonly role: string
  } | null
}

async function lookAt(session: Session, schedule: string, onView: OnView): Promise<Found> {
  let subject: Subject | null = null
  try {
    await session.run(
      `begin isolation level repeatable read read only; select pgfresh.set_local(${baseSettings})`,
    )
    subject = await subjectOf(session, schedule)
    onView(subject.view)
    const verification = await compare(session, subject)
    await session.run('commit')
    return verification === null ? again(subject, movedText) : { kind: 'done', verification }
  } catch (error) {
    await session.rollback()
    const state = sqlstateOf(error)
    if (session.lost || subject === null || !(error instanceof Error) || state === null) throw error
    if (state === sqlstate.lockNotAvailable) return again(subject, lockedText)
    const why = state === sqlstate.queryCanceled ? cancelledText(error, subject) : error.message
    return { kind: 'done', verification: failed(subject.view, why) }
  }
}

const movedText = 'it was refreshed as a whole again and again while it was compared'
const lockedText = 'it was locked all the time'

function again({ facts, view }: Subject, error: string): Found {
  return { kind: 'again', view, error, patienceMs: facts.maximumMs * timesLonger }
}

function cancelledText(error: Error, { facts }: Subject): string {
  if (!/statement timeout/.test(error.message)) return error.message
  return `it took longer than ${Math.round((facts.maximumMs * timesLonger) / 1000)} s, ${timesLonger} times its maximum_execution_duration`
}

/** Null: what was read of it is not what the snapshot sees. */
async function compare(
  session: Session,
  { facts, view, content }: Subject,
): Promise<ViewVerification | null> {
  if (content === null) return failed(view, `there is no materialized view ${facts.written}`)
  if (facts.rebuild || !facts.populated) return { ...nothingCompared(view), ...judge(facts, false) }
  const { name, stored, owner, role } = content
  // Its query runs functions that its owner chose: with another role's rights they would do what they may not.
  if (owner !== role) return failed(view, `it belongs to ${owner}: verify it as that role, not as ${role}`)
  await session.run(
    setLocal({
      work_mem: workMem,
      ...stored?.compiled.settings,
      lock_timeout: lockTimeout,
      statement_timeout: `${Math.ceil(facts.maximumMs * timesLonger)}`,
    }),
  )
  const [, own, held, seen] = await firstRows(session, storedSummary(name))
  if (seen?.as_seen !== 'true' || held === undefined || own === undefined) return null
  // Of people's own view the server has the query, as this session's search_path names things.
  const query = stored?.compiled.query ?? text(own, 'definition').replace(/;\s*$/, '')
  const rows = Number(text(held, 'rows'))
  const [fresh] = await firstRows(session, freshSummary(query, name))
  if (fresh?.rows === held.rows && fresh?.hash === held.hash) {
    return { ...nothingCompared(view), rows, result: 'equal' }
  }
  const [difference, still] = await firstRows(session, `${differences(query, name)}; ${isAsSeen(name)}`)
  if (still?.as_seen !== 'true' || difference === undefined) return null
  return {
    ...nothingCompared(view),
    rows,
    missing: Number(text(difference, 'missing')),
    extra: Number(text(difference, 'extra')),
    missingRows: JSON.parse(text(difference, 'missing_rows')) as string[],
    extraRows: JSON.parse(text(difference, 'extra_rows')) as string[],
    ...judge(facts, stored?.compiled.skipUnchanged === true && (await isUnchanged(session, stored))),
  }
}

/** The first row of each statement. */
async function firstRows(session: Session, statements: string) {
  return (await session.run(statements)).map((rows) => rows[0])
}

async function isUnchanged(session: Session, stored: StoredView): Promise<boolean> {
  const [row] = await session.rows(`select (${unchangedSql(stored)})::text as unchanged`)
  return row?.unchanged === 'true'
}

async function subjectOf(session: Session, schedule: string): Promise<Subject> {
  const [row] = await session.rows(
    `with e as materialized (${viewsSelect('s.schedule = $1::bigint')})
     select pg_catalog.to_jsonb(e)::text as facts, pg_catalog.to_jsonb(pg_catalog.now()) #>> '{}' as at,
       (select pg_catalog.jsonb_build_object('schedule', d.schedule::text, 'targetOid', d.target::text, 'fingerprint', d.fingerprint,
         'compiled', d.compiled, 'rebuild', d.rebuild) from pgfresh.view d where d.schedule = e.schedule::bigint) as stored,
       n.nspname as schema, c.relname as name, pg_catalog.pg_get_userbyid(c.relowner) as owner, current_user as role
     from e left join pg_catalog.pg_class c on c.oid = e.oid::pg_catalog.oid
     left join pg_catalog.pg_namespace n on n.oid = c.relnamespace ${tag('verify: view')}`,
    [schedule],
  )
  if (row === undefined) throw new RangeError(`the refresh schedule has no row ${schedule} any more`)
  const facts = JSON.parse(text(row, 'facts')) as ViewFacts
  const view = viewReport(facts, text(row, 'at'))
  if (row.schema == null || row.name == null) return { facts, view, content: null }
  const stored = row.stored == null ? null : (JSON.parse(row.stored) as StoredView)
  const content = { name: { schema: row.schema, name: row.name }, stored }
  return { facts, view, content: { ...content, owner: text(row, 'owner'), role: text(row, 'role') } }
}

function failed(view: ViewReport, error: string): ViewVerification {
  return { ...nothingCompared(view), result: 'failed', error }
}

function nothingCompared(view: ViewReport) {
  return { view, rows: null, missing: 0, extra: 0, missingRows: [], extraRows: [], why: null, error: null }
}
