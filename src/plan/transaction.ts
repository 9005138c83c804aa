/**
 * A step as the SQL of one transaction: the same text that `plan --sql` prints and apply sends.
 */
import { begin } from '../db/transaction.ts'
import type { Step } from './steps.ts'

/** How long a step waits for a lock, and so how long anybody may have to wait behind it. */
export const lockTimeoutMs = 500

/** SQLSTATE of ours: the epoch is not the one that the plan was made at. */
export const epochMoved = 'PF001'

/** One message, from begin to commit, so that no pause of ours holds a lock. `epoch`: what it must still be. */
export function stepTransaction(step: Step, epoch: string): string {
  return `${[
    `${begin({ lock_timeout: `${lockTimeoutMs}ms`, search_path: 'pg_catalog, pg_temp' })} ${requireEpoch(epoch)}`,
    ...step.statements,
    // The last thing: it waits for a planner round under way, and a round must never see entries of a capture that it doesn't know.
    ...(step.countsEpoch ? [moveEpoch(epoch)] : []),
    'commit',
  ].join(';\n')};`
}

/** A step for people's own migrator. */
export function stepScript(step: Step): string {
  return `${[
    'begin',
    `set local lock_timeout = '${lockTimeoutMs}ms'`,
    'set local search_path = pg_catalog, pg_temp',
    ...step.statements,
    ...(step.countsEpoch ? ['update pgfresh.state set epoch = epoch + 1'] : []),
    'commit',
  ].join(';\n')};`
}

function requireEpoch(epoch: string): string {
  return guard(`if (select epoch from pgfresh.state) is distinct from ${BigInt(epoch)} then`)
}

function moveEpoch(epoch: string): string {
  return guard(
    `update pgfresh.state set epoch = epoch + 1 where epoch = ${BigInt(epoch)};\n  if not found then`,
  )
}

function guard(condition: string): string {
  return `do $pgfresh$ begin
  ${condition}
    raise exception 'somebody else applied meanwhile' using errcode = '${epochMoved}';
  end if;
end $pgfresh$`
}
