/**
 * A watermark that was made elsewhere: after a restore into another cluster or database, or by a schema made anew, its
 * xids mean nothing here [A12]. Then nothing is known to be fresh, and everything is checked again.
 */
import { walkSql } from './tasks-sql.ts'
import { watermarkSlot } from './top-up.ts'

/** Ends the round's transaction: entries of foreign xids go, the watermark starts here, each target is walked once. */
export function recheckEverythingSql(watermarkId: bigint): string {
  const id = watermarkId + 1n
  const forget = [0, 1, 2, 3].map(
    (slot) =>
      `delete from pgfresh.change_log_${slot} where xid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())`,
  )
  return [
    ...forget,
    `update pgfresh.state set epoch = epoch + 1, state_oid = 'pgfresh.state'::regclass,
      database_oid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()),
      system_identifier = (select system_identifier from pg_catalog.pg_control_system())`,
    // Oids are others too; names are what was meant. Where there is none of the name, another may be who has the oid now: then it is
    // nobody's.
    // (target, stamp) is unique at every row that is written, and oids may change places: until all are, stamps tell the rows apart.
    `update pgfresh.materialization m set stamp = m.id || ' ' || m.stamp`,
    `with named as materialized (select m.id, ${bareStamp} as stamp, ${named('m', 'target')} as target from pgfresh.materialization m)
      update pgfresh.materialization m set target = coalesce(n.target, case when exists (select from named o where o.target = m.target and o.stamp = n.stamp and o.id <> n.id)
        then (4294967295 - m.id)::oid else m.target end)
      from named n where n.id = m.id`,
    `update pgfresh.materialization m set stamp = ${bareStamp}`,
    `update pgfresh.view v set target = coalesce(${named('v', 'view')}, v.target)`,
    'update pgfresh.view_state set view = null',
    `insert into pgfresh.view_prompt (schedule, reason) select v.schedule, 'change' from pgfresh.view v on conflict do nothing`,
    walkSql('select id from pgfresh.materialization', 'the watermark was made elsewhere', { stampDue: true }),
    // The walks begin after this commits, so whatever this snapshot covers they will see.
    `insert into pgfresh.watermark_${watermarkSlot(id)} (id, snapshot, task_floor)
      select ${id}, pg_catalog.pg_current_snapshot(), w.task_floor from pgfresh.watermark w where w.id = ${watermarkId}`,
    'commit',
  ].join(';\n')
}

/** A stamp without what told the rows apart. */
const bareStamp = `pg_catalog.substr(m.stamp, pg_catalog.strpos(m.stamp, ' ') + 1)`

/** The relation that a definition (a row with `compiled`) names, as SQL. */
function named(row: string, key: 'target' | 'view'): string {
  return `pg_catalog.to_regclass(pg_catalog.format('%I.%I', ${row}.compiled #>> '{${key},schema}', ${row}.compiled #>> '{${key},name}'))::oid`
}
