/**
 * Errors, sorted by how one reacts to them.
 *
 * OperatorError: a person has to change something (a file, a flag, a right). Shown as one clear message, never with a stack trace.
 * InvariantError: a promise of ours is broken; the process must stop rather than go on and be wrong.
 * What heals by itself (a lost connection, a lock that was busy) is told by SQLSTATE in db/sqlstate.ts, not by a class.
 */

/** Where in people's files something stands. `line` counts from 1. */
export interface Place {
  readonly file: string
  readonly line: number
}

/** What an OperatorError is made of. */
export interface OperatorErrorOptions {
  /** What was found, in one sentence. */
  readonly message: string
  /** What to write or do instead. */
  readonly hint?: string | undefined
  /** The file and line it was found at, where there is one. */
  readonly place?: Place | undefined
  readonly cause?: unknown
}

/** A mistake that a person can mend: says what was found, where, and what to do instead. Exit code 1. */
export class OperatorError extends Error {
  override readonly name = 'OperatorError'
  readonly hint: string | undefined
  readonly place: Place | undefined

  constructor(options: OperatorErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause })
    this.hint = options.hint
    this.place = options.place
  }
}

/** Several mistakes found in one go (a folder of definitions is checked whole, so that people mend all of it at once). */
export class OperatorErrors extends Error {
  override readonly name = 'OperatorErrors'
  readonly errors: readonly OperatorError[]

  constructor(errors: readonly OperatorError[]) {
    super(errors.map((error) => error.message).join('\n'))
    this.errors = errors
  }
}

/** A state that must not be: a bug of ours or a tampered schema. The process stops. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/**
 * One OperatorError as people read it: `file:line: message`, then the hint on a line of its own.
 * Several lines, no colour, no trailing newline.
 */
export function describeOperatorError(error: OperatorError): string {
  const where = error.place === undefined ? '' : `${error.place.file}:${error.place.line}: `
  const hint = error.hint === undefined ? '' : `\n  ${error.hint.split('\n').join('\n  ')}`
  return `${where}${error.message}${hint}`
}
