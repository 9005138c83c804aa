/**
 * What is printed when a command fails. Pure.
 * A person's mistake is explained; anything else is said in a sentence, with its SQLSTATE where the server said it.
 */
import type { CommandName } from '../config.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { describeOperatorError, OperatorError, OperatorErrors } from '../kernel/errors.ts'

/** How much to say. */
export interface FailureOptions {
  /** Null: it failed before a command was known. */
  readonly command: CommandName | null
  /** True: a stack trace below, for those who debug. */
  readonly withStack: boolean
}

/** The message for stderr, of one or more lines, with no newline at its end. */
export function describeFailure(error: unknown, options: FailureOptions): string {
  if (error instanceof OperatorError) return describeOperatorError(error)
  if (error instanceof OperatorErrors) return error.errors.map(describeOperatorError).join('\n')
  const what = `pgfresh${options.command === null ? '' : ` ${options.command}`} failed`
  const stack = options.withStack && error instanceof Error ? (error.stack ?? '').split('\n').slice(1) : []
  const hint = sqlstateOf(error) === sqlstate.insufficientPrivilege ? rightsHint : debugHint
  const more = options.withStack ? stack.map((line) => line.trim()) : [hint]
  return [`${what}: ${describeUnexpected(error)}`, ...more.map((line) => `  ${line}`)].join('\n')
}

const debugHint = 'PGFRESH_LOG_LEVEL=debug shows where.'
const rightsHint = 'Connect as the role that runs "pgfresh apply", or grant this one the same rights.'

/** An error of no family of ours in one line, or more where the server has a detail or hint. */
function describeUnexpected(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const state = sqlstateOf(error)
  if (state === null) return error.message || error.name
  const more = [textOf(error, 'detail'), textOf(error, 'hint')].filter((text) => text !== null)
  return [`${error.message} (SQLSTATE ${state})`, ...more].join('\n  ')
}

function textOf(error: Error, property: string): string | null {
  const value: unknown = Reflect.get(error, property)
  return typeof value === 'string' && value !== '' ? value : null
}
