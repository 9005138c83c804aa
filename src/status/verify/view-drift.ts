/**
 * When a view that differs from its query should not. Pure. Called by view.ts.
 */
import type { ViewFacts } from '../view-facts.ts'
import { failedAttempts } from '../view-report.ts'
import type { Drift, ViewVerification } from './verification.ts'

/** A daemon looks twice a second, and a view may wait for another one: due for longer than this is overdue. */
const graceMs = 30_000

/** `quiet`: it is one that is refreshed only after changes, and there were none. */
export function judge(facts: ViewFacts, quiet: boolean): Pick<ViewVerification, 'result' | 'why'> {
  const why = driftOf(facts, quiet)
  return { result: why === null ? 'behind' : 'drift', why }
}

function driftOf(facts: ViewFacts, quiet: boolean): Drift | null {
  const { running, enabled, refreshedAt, rebuild } = facts
  if (quiet && running === null) return 'unchanged'
  // Whoever paused it wants it as it is.
  if (!enabled) return null
  if (failedAttempts(facts) > 0) return 'failing'
  if (refreshedAt === null) return 'never refreshed'
  const dueForMs = rebuild ? (facts.appliedAgeMs ?? 0) : -(facts.dueInMs ?? 0)
  return running === null && facts.due && dueForMs > graceMs ? 'overdue' : null
}
