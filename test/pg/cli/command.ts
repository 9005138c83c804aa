/**
 * Commands in this process against a real database: what they wrote and their exit code.
 */
import type { TestDatabase } from '../../support/database.ts'
import { call, type Written } from '../../unit/cli/support.ts'

/** Runs one command on a database, or on any URL. */
export function on(database: TestDatabase | string, ...argv: readonly string[]): Promise<Written> {
  return call(argv, { DATABASE_URL: typeof database === 'string' ? database : database.url })
}
