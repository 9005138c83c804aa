/**
 * From the facts of a view to what is said of it. Pure. Used by assemble.ts, and by verify/ for its rule of what is drift.
 */
import type { ExecutionFacts, ViewFacts } from './view-facts.ts'

/**
 * The first of these that is true. `missing`: there is no materialized view of the row's name. `refreshing`: right now. `paused`: its
 * row is not enabled. `cron unreadable`: so it is never due by itself. `failing`: its last attempts failed, or were cut off.
 * `rebuild pending`: its query has changed. `never refreshed`: not by pgfresh. `due`: a daemon is about to refresh it. `fresh`: nothing is.
 */
export type ViewState =
  | 'missing'
  | 'refreshing'
  | 'paused'
  | 'cron unreadable'
  | 'failing'
  | 'rebuild pending'
  | 'never refreshed'
  | 'due'
  | 'fresh'

/** One view of the schedule. Moments are ISO 8601, durations in milliseconds. */
export interface ViewReport {
  /** Null: a row of people's own. */
  readonly project: string | null
  /** The definition's name, or null. */
  readonly name: string | null
  /** As SQL names it; as the row has it if it is missing. */
  readonly view: string
  readonly state: ViewState
  readonly paused: boolean
  /** Its query has changed, and it is yet to be built anew. */
  readonly rebuild: boolean
  /** The session that refreshes it now. */
  readonly running: ViewFacts['running']
  /** Attempts that have failed since the last success, without the one that runs. */
  readonly failures: number
  readonly every: string | null
  readonly cron: string | null
  readonly timeZone: string
  readonly lastAttemptedAt: string | null
  readonly lastRefreshedAt: string | null
  readonly lastRefreshedAgeMs: number | null
  /** Null: never by itself, or just now. A view that was due at any time has the moment of the report. */
  readonly nextRefreshAt: string | null
  /** Zero or less: now. */
  readonly nextRefreshInMs: number | null
  /** The last refresh that succeeded. */
  readonly lastRefreshMs: number | null
  /** The last that was tried or skipped. */
  readonly lastExecution: ExecutionFacts | null
  /** After its last refresh, or by the catalog's statistics; null: unknown. */
  readonly rowsEstimated: number | null
  readonly bytes: number | null
  readonly lastError: { readonly error: string; readonly ageMs: number | null } | null
}

/** Makes the report of one view; `at` is the moment of the facts. */
export function viewReport(facts: ViewFacts, at: string): ViewReport {
  const { lastExecution, lastRefresh } = facts
  const failures = failedAttempts(facts)
  return {
    project: facts.project,
    name: facts.definition,
    view: facts.view ?? facts.written,
    state: stateOf(facts, failures),
    paused: !facts.enabled,
    rebuild: facts.rebuild,
    running: facts.running,
    failures,
    every: facts.every,
    cron: facts.cron,
    timeZone: facts.timeZone,
    lastAttemptedAt: facts.attemptedAt,
    lastRefreshedAt: facts.refreshedAt,
    lastRefreshedAgeMs: facts.refreshedAgeMs,
    ...nextOf(facts, at),
    lastRefreshMs: lastRefresh?.ms ?? null,
    lastExecution,
    rowsEstimated: lastRefresh?.rows ?? facts.rowsEstimated,
    bytes: lastRefresh?.bytes ?? facts.bytesEstimated,
    lastError: lastErrorOf(facts, failures),
  }
}

/**
 * How many attempts failed since the last success: the bookkeeping counts one from its beginning, so that a crash needs nobody to note
 * it, and one that a stopping daemon gave back, which has no moment.
 */
export function failedAttempts({ failures, running, attemptedAt }: ViewFacts): number {
  return Math.max(0, failures - (running !== null || attemptedAt === null ? 1 : 0))
}

function stateOf(facts: ViewFacts, failures: number): ViewState {
  if (facts.view === null) return 'missing'
  if (facts.running !== null) return 'refreshing'
  if (!facts.enabled) return 'paused'
  if (isUnreadable(facts)) return 'cron unreadable'
  if (failures > 0) return 'failing'
  if (facts.rebuild) return 'rebuild pending'
  if (facts.refreshedAt === null) return 'never refreshed'
  return facts.due ? 'due' : 'fresh'
}

/** While it runs, what comes next depends on how it ends. */
function nextOf({ running, dueAt, dueInMs, due }: ViewFacts, at: string) {
  if (running !== null) return { nextRefreshAt: null, nextRefreshInMs: null }
  return { nextRefreshAt: dueAt ?? (due ? at : null), nextRefreshInMs: dueInMs ?? (due ? 0 : null) }
}

/** A daemon has reckoned, and found no moment. */
function isUnreadable({ cron, reckoned, error, failures }: ViewFacts): boolean {
  return cron !== null && !reckoned && error !== null && failures === 0
}

function lastErrorOf(facts: ViewFacts, failures: number): ViewReport['lastError'] {
  const { error, lastExecution } = facts
  const ageMs =
    lastExecution !== null && lastExecution.error === error
      ? lastExecution.endedAgeMs
      : failures > 0
        ? facts.attemptedAgeMs
        : null
  if (error !== null) return { error, ageMs }
  if (failures === 0) return null
  return { error: 'the daemon or its connection went away in the middle', ageMs }
}
