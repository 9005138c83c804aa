/**
 * What a server must be before any command works with it. Pure: the questions are asked by open-database.ts.
 */
import { OperatorError } from '../kernel/errors.ts'

/** The oldest PostgreSQL that works: CREATE OR REPLACE TRIGGER, which waits for open writers, came with it. */
export const oldestMajor = 14

/** What a server says of itself. */
export interface ServerFacts {
  /** server_version_num: 140023 is 14.23. */
  readonly versionNumber: number
  /** server_version as the server prints it. */
  readonly version: string
  readonly inRecovery: boolean
  readonly readOnly: boolean
  /** current_database(). */
  readonly database: string
}

/** Throws an OperatorError if pgfresh can't work with such a server. */
export function checkServer(server: ServerFacts): void {
  if (server.versionNumber < oldestMajor * 10_000) {
    throw new OperatorError({
      message: `the server runs PostgreSQL ${server.version}; pgfresh needs ${oldestMajor} or newer`,
    })
  }
  if (server.inRecovery) {
    throw new OperatorError({
      message: `the server of database "${server.database}" is a standby: pgfresh must talk to the primary`,
      hint: 'Point DATABASE_URL (or PGHOST) at the primary.',
    })
  }
  if (server.readOnly) {
    throw new OperatorError({
      message: `transactions in database "${server.database}" are read-only: pgfresh must talk to the primary, with a role that may write`,
      hint: 'Somebody set default_transaction_read_only for the server, the database or the role ("show default_transaction_read_only"); managed servers do so when their disk is full.',
    })
  }
}

/** Our schema in a database, against what this version of the program brings. */
export interface SchemaFacts {
  /** Null: there is none. */
  readonly found: number | null
  readonly known: number
}

/** Throws an OperatorError if the schema is missing, or not the one that this version of the program knows. */
export function checkSchema({ found, known }: SchemaFacts, database: string): void {
  if (found === null) {
    throw new OperatorError({
      message: `database "${database}" has no pgfresh schema yet`,
      hint: 'Run "pgfresh apply" first.',
    })
  }
  if (found > known) throw newerSchema(found, known, database)
  if (found < known) {
    throw new OperatorError({
      message: `the pgfresh schema of database "${database}" has version ${found}, this pgfresh brings version ${known}`,
      hint: 'Run "pgfresh apply" with this version of pgfresh first.',
    })
  }
}

/** The refusal to touch what a later version made. */
export function newerSchema(found: number, known: number, database: string): OperatorError {
  return new OperatorError({
    message: `the pgfresh schema of database "${database}" has version ${found}, newer than this pgfresh, which knows versions up to ${known}`,
    hint: 'Use the version of pgfresh that ran apply last, or a later one.',
  })
}
