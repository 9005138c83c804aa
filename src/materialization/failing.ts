/**
 * A definition that fails for every row alike: noted where status shows it, and its walks and sweeps are left alone for a while.
 */
import { quoteLiteral } from '../db/identifier.ts'

/** How long. Work that was already planned waits by itself, ever longer. */
const pause = '10 s'

/** Notes the failure, as SQL. A batch that succeeds takes the note back (daemon/history.ts). */
export function noteFailing(id: string, message: string): string {
  return `update pgfresh.materialization set error = ${quoteLiteral(message)}, error_at = pg_catalog.now(),
    retry_at = pg_catalog.clock_timestamp() + interval '${pause}' where id = ${Number(id)}`
}
