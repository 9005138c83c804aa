/**
 * A definition that fails for every row alike: noted where status shows it, and its walks and sweeps are left alone for a while.
 */
import { quoteLiteral } from '../db/identifier.ts'

/** How long. Work that was already planned waits by itself, ever longer. */
const pause = '10 s'

/** The same for a table that somebody has locked. */
const heldPause = '1 s'

/** Notes the failure, as SQL. A batch that succeeds takes the note back (daemon/history.ts). */
export function noteFailing(id: string, message: string): string {
  return `update pgfresh.materialization set error = ${quoteLiteral(message)}, error_at = pg_catalog.now(),
    retry_at = pg_catalog.clock_timestamp() + interval '${pause}' where id = ${Number(id)}`
}

/** A lock was not to be had in time, as SQL: walks and sweeps wait a little. That is no failure, and nobody stops waiting for them. */
export function noteHeld(id: string): string {
  return `update pgfresh.materialization set retry_at = pg_catalog.clock_timestamp() + interval '${heldPause}' where id = ${Number(id)}`
}
