/**
 * Shows in people's rows of the schedule what view_state knows. In a transaction of its own and never waiting for a row, so that
 * nothing that people do with their rows is in a refresh's way; what isn't shown now is shown the next time that anything is.
 */
import type { Session } from '../db/session.ts'
import { begin } from '../db/transaction.ts'

/** Where nobody holds the row, and nobody has said something new in it meanwhile. Throws only if the session is lost. */
export async function show(session: Session): Promise<void> {
  await session.run(`${begin()} ${showSql}; commit`).catch((error: unknown) => {
    if (session.lost) throw error
    // Somebody holds the table, say.
    return session.rollback()
  })
}

// An attempt that was given back leaves none.
const attempted = 'coalesce(v.attempted_at, s.last_attempted_at)'

// Both rows are locked, else two daemons that show and mark would wait for each other.
const showSql = `with mine as materialized (
    select s.id from pgfresh.materialized_view_refresh_schedule s join pgfresh.view_state v on v.schedule = s.id
    where s.next_refresh_at is not distinct from v.shown_next and row(s.last_attempted_at, s.last_refreshed_at, s.last_error, s.next_refresh_at)
      is distinct from row(${attempted}, v.refreshed_at, v.error, ${shownNext('v')})
    for no key update of s, v skip locked),
  shown as (
    update pgfresh.materialized_view_refresh_schedule s set last_attempted_at = ${attempted}, last_refreshed_at = v.refreshed_at,
      last_error = v.error, next_refresh_at = ${shownNext('v')}
    from mine, pgfresh.view_state v where s.id = mine.id and v.schedule = s.id returning s.id, s.next_refresh_at)
  update pgfresh.view_state v set shown_next = shown.next_refresh_at from shown where v.schedule = shown.id`

function shownNext(state: string): string {
  return `case when ${state}.failures > 0 then ${state}.attempted_at + pgfresh.view_pause(${state}.failures) else ${state}.next_at end`
}
