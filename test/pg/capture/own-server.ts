/**
 * Databases on a server of the test's own, for what needs other settings than the shared ones have. Each test gets a database of
 * its own there; the server goes with all of them.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import type { Major, TestDatabase } from '../../support/database.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'

/** Starts a server for the `describe` block that calls this; what it returns makes a database for the test that calls that. */
export function ownServer(
  major: Major,
  settings: Readonly<Record<string, string>>,
): () => Promise<TestDatabase> {
  let server: PostgresServer | undefined
  beforeAll(async () => {
    server = await startPostgres({ major, settings })
  })
  afterAll(() => server?.stop())
  return async () => {
    if (server === undefined) throw new Error('the server is not up')
    return await databaseOn(server)
  }
}

async function databaseOn(server: PostgresServer): Promise<TestDatabase> {
  const name = `t_${randomBytes(6).toString('hex')}`
  await server.createDatabase(name)
  const url = server.url(name)
  const pool = new pg.Pool({ connectionString: url, max: 4, application_name: 'test' })
  pool.on('error', () => {})
  const clients: pg.Client[] = []
  onTestFinished(async () => {
    await Promise.all(clients.map((client) => client.end().catch(() => {})))
    await pool.end()
  })
  return {
    major: server.major,
    name,
    url,
    async query<Row extends pg.QueryResultRow>(sql: string, params: readonly unknown[] = []) {
      return (await pool.query<Row>(sql, [...params])).rows
    },
    async connect(config = {}) {
      const client = new pg.Client({ connectionString: url, application_name: 'test', ...config })
      client.on('error', () => {})
      await client.connect()
      clients.push(client)
      return client
    },
    async createRole(options = '') {
      const role = `r_${randomBytes(6).toString('hex')}`
      await pool.query(`create role ${role} login ${options}`)
      return { name: role, url: url.replace('//postgres@', `//${role}@`) }
    },
  }
}
