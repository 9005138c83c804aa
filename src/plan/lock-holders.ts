/**
 * Who is in the way of a step: for a message that says whom to ask.
 */
import type { Session } from '../db/session.ts'
import { materializationLockClass, type Step } from './steps.ts'

/** One line for each session that holds a lock which the step wants, the oldest transaction first. */
export async function lockHolders(session: Session, step: Step): Promise<string[]> {
  const rows = await session.rows(
    `select distinct a.pid, a.usename, a.application_name, a.state, a.xact_start,
       extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::integer as seconds,
       pg_catalog.left(pg_catalog.regexp_replace(a.query, '\\s+', ' ', 'g'), 60) as query
     from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
     where l.granted and l.pid <> pg_catalog.pg_backend_pid()
       and (l.database is null or l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
       and case when pg_catalog.cardinality($1::oid[]) > 0 then l.relation = any($1::oid[])
         else l.locktype = 'advisory' and l.classid = $2::oid end
     order by a.xact_start limit 5`,
    [`{${((step.lock ?? step.waitsFor)?.relations ?? []).join(',')}}`, String(materializationLockClass)],
  )
  return rows.map((row) => {
    const name = row.application_name === '' ? '' : ` (${row.application_name})`
    return `pid ${row.pid}, role ${row.usename}${name}, ${row.state}, transaction of ${row.seconds} s: ${row.query}`
  })
}
