/**
 * What a test that touches SQL begins with: one block per PostgreSQL major, and a fresh database in it.
 *
 * It promises that a test sees nobody else's data, that all it opened through here is closed and its database dropped, and that a
 * session which somebody else forgot (a daemon, a pool) fails the test file instead of haunting the next one.
 * `waitFor`, `runCli` and `startCli` are handed on from here, so that most tests need this one import.
 */
import { randomBytes } from 'node:crypto'
import { basename } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, onTestFinished } from 'vitest'
import type { Major } from './binaries.ts'
import type { ProvidedServer } from './servers.ts'
import { waitFor } from './wait-for.ts'

export type { Major } from './binaries.ts'
export { type CliOptions, type CliResult, type RunningCli, runCli, startCli } from './cli.ts'
export { waitFor } from './wait-for.ts'

/** A database of its own on one of the shared servers. */
export interface TestDatabase {
  readonly major: Major
  readonly name: string
  /** URI as superuser. */
  readonly url: string
  /** Runs one statement on some connection (never the same twice: no SET, no open transaction) and returns its rows. */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    sql: string,
    params?: readonly unknown[],
  ): Promise<Row[]>
  /** A connected client, closed at the end of the test (if opened in beforeAll: of the block). `config` is added to the URI. */
  connect(config?: pg.ClientConfig): Promise<pg.Client>
  /** Creates a role that may log in (`options`: more of CREATE ROLE, like `bypassrls`), dropped with the database. */
  createRole(options?: string): Promise<{ readonly name: string; readonly url: string }>
}

/** One `describe` block per server of this run, called `PostgreSQL 14` and so on. */
export function forEachMajor(body: (major: Major) => void): void {
  for (const { major } of inject('postgresServers')) describe(`PostgreSQL ${major}`, () => body(major))
}

/** The shared server of one major: for those who put a proxy or a pooler in front of it. Don't stop or reconfigure it. */
export function sharedServer(major: Major): ProvidedServer {
  const server = inject('postgresServers').find((candidate) => candidate.major === major)
  if (server === undefined)
    throw new Error(`PostgreSQL ${major} is not among the servers of this run (PGFRESH_TEST_PG).`)
  return server
}

/** A database for a whole `describe` block, which calls this in its body: created before its first test, dropped after its last. */
export function testDatabase(major: Major): TestDatabase {
  const database = new FreshDatabase(sharedServer(major))
  beforeAll(() => database.create())
  beforeEach(() => database.beginTest())
  afterEach(() => database.endTest())
  afterAll(() => database.drop())
  return database
}

/** A database for the test that calls this; dropped at its end. */
export async function freshDatabase(major: Major): Promise<TestDatabase> {
  const database = new FreshDatabase(sharedServer(major))
  await database.create()
  onTestFinished(() => database.drop())
  return database
}

class FreshDatabase implements TestDatabase {
  readonly major: Major
  readonly name: string
  readonly url: string
  readonly #server: ProvidedServer
  readonly #pool: pg.Pool
  readonly #roles: string[] = []
  #clientsOfBlock: pg.Client[] = []
  #clientsOfTest: pg.Client[] | undefined

  constructor(server: ProvidedServer) {
    this.#server = server
    this.major = server.major
    this.name = uniqueName()
    this.url = this.#urlAs(new URL(server.url).username)
    this.#pool = new pg.Pool({ connectionString: this.url, max: 4, application_name: 'test' })
    this.#pool.on('error', () => {})
  }

  async create(): Promise<void> {
    await this.#asAdmin((admin) => admin.query(`create database ${this.name}`))
  }

  async query<Row extends pg.QueryResultRow>(sql: string, params: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#pool.query<Row>(sql, [...params])).rows
  }

  async connect(config: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url, application_name: 'test', ...config })
    // A session that a test terminates on purpose must not end the test process.
    client.on('error', () => {})
    await client.connect()
    const owner = this.#clientsOfTest ?? this.#clientsOfBlock
    owner.push(client)
    return client
  }

  async createRole(options = ''): Promise<{ name: string; url: string }> {
    const name = uniqueName()
    // Where the server wants passwords, the superuser's does for all.
    const password = decodeURIComponent(new URL(this.#server.url).password)
    const login = password === '' ? 'login' : `login password ${pg.escapeLiteral(password)}`
    await this.query(`create role ${name} ${login} ${options}`)
    this.#roles.push(name)
    return { name, url: this.#urlAs(name) }
  }

  beginTest(): void {
    this.#clientsOfTest = []
  }

  async endTest(): Promise<void> {
    const clients = this.#clientsOfTest ?? []
    this.#clientsOfTest = undefined
    await closeAll(clients)
  }

  async drop(): Promise<void> {
    await closeAll([...(this.#clientsOfTest ?? []), ...this.#clientsOfBlock])
    await this.#pool.end()
    await this.#asAdmin(async (admin) => {
      const forgotten = await this.#forgottenSessions(admin)
      await admin.query(`drop database ${this.name} with (force)`)
      for (const role of this.#roles) await admin.query(`drop role ${role}`)
      if (forgotten.length > 0)
        throw new Error(`Sessions were left open in ${this.name}:\n${forgotten.join('\n')}`)
    })
  }

  // Sessions that were just closed, or whose client was killed, need a moment to go.
  async #forgottenSessions(admin: pg.Client): Promise<string[]> {
    const look = async () => {
      const { rows } = await admin.query<{ session: string }>(
        `select format('%s (%s): %s', application_name, state, query) as session
         from pg_stat_activity where datname = $1 and backend_type = 'client backend'`,
        [this.name],
      )
      return rows.map((row) => row.session)
    }
    return waitFor('all sessions to end', async () => (await look()).length === 0, { timeoutMs: 5_000 }).then(
      () => [],
      look,
    )
  }

  async #asAdmin(work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
    const admin = new pg.Client({ connectionString: this.#server.url })
    await admin.connect()
    try {
      await work(admin)
    } finally {
      await admin.end()
    }
  }

  #urlAs(user: string): string {
    const url = new URL(this.#server.url)
    url.username = user
    url.pathname = `/${this.name}`
    return url.href
  }
}

async function closeAll(clients: readonly pg.Client[]): Promise<void> {
  await Promise.all(clients.map((client) => client.end().catch(() => {})))
}

// The test file's name in it, so that a server's log tells who did what.
function uniqueName(): string {
  const file = basename(expect.getState().testPath ?? 'test', '.test.ts')
  return `t_${file.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_')}`
    .slice(0, 50)
    .concat('_', randomBytes(5).toString('hex'))
}
