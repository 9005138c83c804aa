/**
 * The server that TEST_DATABASE_URL names: asked what it is, never changed but for databases and roles that tests make and drop.
 * Called by servers.ts.
 */
import pg from 'pg'
import { isMajor, supportedMajors } from './binaries.ts'
import type { SharedServer } from './servers.ts'

/** Looks at it. Throws, saying what is wanted, if tests can't run there. */
export async function givenServer(url: string): Promise<SharedServer> {
  const { version, superuser, prepared } = await ask(url)
  const major = Math.floor(Number(version) / 10_000)
  if (!isMajor(major)) throw refusal(`is PostgreSQL ${major}; wanted is one of ${supportedMajors.join(', ')}`)
  if (!superuser) throw refusal('lets us in as no superuser, and tests create roles of all kinds')
  // Above 0 writers don't ring the bell, and tests of the bell would wait in vain.
  if (prepared !== '0') throw refusal(`has max_prepared_transactions = ${prepared}; wanted is 0`)
  const { hostname, port } = new URL(url)
  return {
    major,
    origin: 'given',
    host: hostname,
    port: port === '' ? 5432 : Number(port),
    url,
    stop: async () => {},
  }
}

interface Answer {
  readonly version: string
  readonly superuser: boolean
  readonly prepared: string
}

async function ask(url: string): Promise<Answer> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  try {
    await client.connect()
    const { rows } = await client.query<Answer>(
      `select current_setting('server_version_num') as version, rolsuper as superuser,
         current_setting('max_prepared_transactions') as prepared
       from pg_roles where rolname = current_user`,
    )
    if (rows[0] === undefined) throw new Error('no answer')
    return rows[0]
  } catch (cause) {
    throw refusal(`can't be asked: ${cause instanceof Error ? cause.message : cause}`, cause)
  } finally {
    await client.end().catch(() => {})
  }
}

function refusal(why: string, cause?: unknown): Error {
  return new Error(`The server of TEST_DATABASE_URL ${why}.`, cause === undefined ? undefined : { cause })
}
