/**
 * A failing refresh in people's words: what to do about the errors that are about refreshing, not about the query.
 */
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { OperatorError } from '../kernel/errors.ts'

/** What the attempt was. */
export interface FailedAttempt {
  /** maximum_execution_duration, as the server prints it and in ms. */
  readonly longest: string
  readonly longestMs: number
  /** How long it had taken, in ms. */
  readonly ms: number
  /** CONCURRENTLY. */
  readonly concurrently: boolean
  /** Its query had changed: it was to be built anew, beside the old one. */
  readonly built: boolean
  /** May the daemon's role refresh the view at all? */
  readonly mayRefresh: boolean
  readonly role: string
  readonly owner: string
}

/** One line. `attempt`: null where it failed before it began. By SQLSTATE alone: messages come in the server's language. */
export function explainFailure(error: unknown, attempt: FailedAttempt | null): string {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof OperatorError) return error.hint === undefined ? message : `${message}. ${error.hint}`
  if (attempt === null) return message
  switch (sqlstateOf(error)) {
    case sqlstate.queryCanceled:
      return attempt.ms >= attempt.longestMs
        ? `took longer than its maximum_execution_duration of ${attempt.longest}, and was cancelled`
        : `was cancelled by somebody (${message})`
    case sqlstate.lockNotAvailable:
      return attempt.concurrently || attempt.built
        ? `a lock that it needs was not to be had in time (${message})`
        : `its lock was not to be had in time, because of readers or another refresh (${message}); with a unique index (key) it would be refreshed without blocking readers`
    case sqlstate.insufficientPrivilege:
      return attempt.mayRefresh
        ? `${message} (its query and its indexes run as its owner, ${attempt.owner})`
        : `role ${attempt.role} may not refresh a view of ${attempt.owner} (${message}): grant ${attempt.owner} to ${attempt.role}`
    default:
      return message
  }
}
