/**
 * The one way a command gets a session: whatever is wrong with the database as a whole is said here, before any work.
 *
 * Unreachable, wrong password, no such database, older than 14, a standby, read-only, without our schema or with one of another
 * version: each is one OperatorError that says what to do.
 */
import { schemaVersion } from '../db/migrate.ts'
import { type DatabaseAddress, type Row, Session } from '../db/session.ts'
import { sqlstateOf } from '../db/sqlstate.ts'
import { OperatorError } from '../kernel/errors.ts'
import { checkSchema, checkServer, newerSchema } from './server-check.ts'

/** What a command needs of the database. */
export interface OpenOptions {
  /** For application_name: `pgfresh <duty>`. */
  readonly duty: string
  /** `required`: our schema in this program's version. `optional`: none or an older one will do (plan, apply). */
  readonly schema: 'required' | 'optional'
}

/** Opens a session and checks what is behind it. The caller closes it. An OperatorError if a command can't work here. */
export async function openDatabase(address: DatabaseAddress, options: OpenOptions): Promise<Session> {
  checkUrl(address.url)
  const session = await connect(address, options.duty)
  try {
    const database = await checkDatabase(session)
    const version = await schemaVersion(session)
    if (options.schema === 'required') checkSchema(version, database)
    else if (version.found !== null && version.found > version.known) {
      throw newerSchema(version.found, version.known, database)
    }
    return session
  } catch (error) {
    await session.close()
    throw error
  }
}

async function checkDatabase(session: Session): Promise<string> {
  const [row] = await session.rows(
    `select pg_catalog.current_setting('server_version_num') as version_number,
       pg_catalog.current_setting('server_version') as version,
       pg_catalog.pg_is_in_recovery()::text as in_recovery,
       pg_catalog.current_setting('transaction_read_only') as read_only,
       pg_catalog.current_database() as database`,
  )
  const text = (name: keyof Row) => row?.[name] ?? ''
  const database = text('database')
  checkServer({
    versionNumber: Number(text('version_number')),
    version: text('version'),
    inRecovery: text('in_recovery') === 'true',
    readOnly: text('read_only') === 'on',
    database,
  })
  return database
}

/** The driver takes any text for a host name: what doesn't look like an address is refused here. Never printed: it holds a password. */
function checkUrl(url: string | null): void {
  if (url === null || /^(postgres(ql)?:\/\/|socket:|\/)/.test(url)) return
  throw new OperatorError({ message: 'DATABASE_URL is no address of a PostgreSQL database', hint: urlHint })
}

const urlHint =
  'Write postgres://user:password@host:5432/database, with what is special in a password percent-encoded (# is %23, @ is %40).'

async function connect(address: DatabaseAddress, duty: string): Promise<Session> {
  try {
    return await Session.open(address, duty)
  } catch (error) {
    if (error instanceof OperatorError) {
      const hint = connectHint(error.cause)
      throw hint === null ? error : new OperatorError({ message: error.message, hint, cause: error.cause })
    }
    if (error instanceof TypeError && Reflect.get(error, 'code') === 'ERR_INVALID_URL') {
      throw new OperatorError({ message: "DATABASE_URL can't be read", hint: urlHint, cause: error })
    }
    throw error
  }
}

/** What to do about the commonest reasons; null leaves the general hint. */
function connectHint(cause: unknown): string | null {
  switch (sqlstateOf(cause)) {
    case '28P01':
    case '28000':
      return 'Check user and password in DATABASE_URL (or PGUSER and PGPASSWORD), and pg_hba.conf on the server.'
    case '3D000':
      return 'Check the database name in DATABASE_URL (or PGDATABASE).'
    case '53300':
      return 'The server has no connection left: raise max_connections, or connect through a pooler.'
    default:
      return null
  }
}
