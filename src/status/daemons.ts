/**
 * Whether anybody works. Read-only. Called by verify and by `pgfresh refresh`.
 */
import type { Session } from '../db/session.ts'

/** A daemon that has not beaten for this long is dead; it beats every 5 s. */
export const aliveMs = 30_000

/** True if at least one daemon lives. */
export async function daemonRuns(session: Session): Promise<boolean> {
  const [row] = await session.rows(
    `select exists (select from pgfresh.daemon where beat_at > pg_catalog.now() - interval '${aliveMs} ms')::text as runs`,
  )
  return row?.runs === 'true'
}
