/**
 * SQLSTATEs by name, and what they mean for us. We branch on these, never on the text of a message.
 */
import pg from 'pg'

/** An error that the server raised: message, position, hint, SQLSTATE. */
export type ServerError = pg.DatabaseError

/** True for an error that the server raised; false for a lost connection or a bug. */
export function isServerError(error: unknown): error is ServerError {
  return error instanceof pg.DatabaseError
}

/** The SQLSTATE of a server's error, or null if it isn't one. */
export function sqlstateOf(error: unknown): string | null {
  return isServerError(error) && error.code !== undefined ? error.code : null
}

export const sqlstate = {
  uniqueViolation: '23505',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  insufficientPrivilege: '42501',
  undefinedColumn: '42703',
  undefinedFunction: '42883',
  undefinedTable: '42P01',
  duplicateColumn: '42701',
  duplicateTable: '42P07',
  // A view brings a type of its name, which may be the first thing that is found to be there.
  duplicateObject: '42710',
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
  invalidSchemaName: '3F000',
  readOnlyTransaction: '25006',
} as const

/**
 * How a failure heals:
 * `retry` by trying the very same thing again (a lock was busy, a serialization failure, the server is restarting or out of room);
 * `definition` only once somebody mends the definition, the schema or a right, for every row alike;
 * `data` is about some of the rows: bisect.
 */
export type Healing = 'retry' | 'definition' | 'data'

/** Classes of SQLSTATE (first two characters) that say "not now": connection, rollback, resources, operator, system. */
const retryClasses = new Set(['08', '40', '53', '57', '58'])

/** Classes that say "never, for any row": feature, schema name, authorization, access rule or syntax. */
const definitionClasses = new Set(['0A', '3F', '28', '42', '2F', '38'])

/** What kind of failure an error is. Anything that isn't a server's error is a lost connection: retry. */
export function healing(error: unknown): Healing {
  const state = sqlstateOf(error)
  if (state === null || state === sqlstate.lockNotAvailable) return 'retry'
  // A statement timeout is about too many rows at once, so it is bisected like bad data; but only while there is more than one.
  if (state === sqlstate.queryCanceled) return 'data'
  if (retryClasses.has(state.slice(0, 2))) return 'retry'
  return definitionClasses.has(state.slice(0, 2)) ? 'definition' : 'data'
}
