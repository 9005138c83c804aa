/**
 * The one door to the driver: a session that speaks text.
 *
 * Values cross Node as text, untouched: a JavaScript Date drops microseconds and then finds no row, a number loses
 * the end of a bigint. Several statements go in one simple-protocol message, so that no pause of ours holds row locks,
 * and no prepared statement is ever named, so that pgbouncer in transaction mode works.
 */
import pg from 'pg'
import { OperatorError } from '../kernel/errors.ts'

/** A row as PostgreSQL printed it: column name to text, or null. */
export type Row = Readonly<Record<string, string | null>>

/** Where the database is: a connection string, or null for the usual PG* variables. */
export interface DatabaseAddress {
  readonly url: string | null
}

/** How long one attempt to connect may take before it counts as unreachable. */
const connectTimeoutMs = 10_000

/** A session with the database. Not shared between loops; after a lost connection it is useless and `lost` is true. */
export class Session {
  readonly #client: pg.Client
  #lost = false

  private constructor(client: pg.Client) {
    this.#client = client
    client.on('error', () => {
      this.#lost = true
    })
    client.on('end', () => {
      this.#lost = true
    })
  }

  /**
   * Opens a session whose application_name is `pgfresh <duty>`.
   * An address that can't be reached or refuses us is an OperatorError with the driver's error as its cause.
   */
  static async open(address: DatabaseAddress, duty: string): Promise<Session> {
    const client = new pg.Client({
      ...(address.url === null ? {} : { connectionString: address.url }),
      application_name: `pgfresh ${duty}`,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      types: { getTypeParser: () => (value: string) => value },
    })
    const session = new Session(client)
    try {
      await client.connect()
    } catch (cause) {
      throw unreachable(client, cause)
    }
    return session
  }

  /** True once the connection is gone: open another session. */
  get lost(): boolean {
    return this.#lost
  }

  /**
   * Runs one or more statements as one message (simple protocol): the rows of each statement, in order.
   * Without a `begin` of its own the message is one transaction.
   */
  async run(sql: string): Promise<readonly (readonly Row[])[]> {
    const result = (await this.#client.query(sql)) as unknown as pg.QueryResult<Row> | pg.QueryResult<Row>[]
    return Array.isArray(result) ? result.map((one) => one.rows) : [result.rows]
  }

  /** Runs one statement with bound values ($1, …; text, or null) and returns its rows. */
  async rows(sql: string, values: readonly (string | null)[] = []): Promise<readonly Row[]> {
    const result = await this.#client.query<Row>({ text: sql, values: [...values] })
    return result.rows
  }

  /** Calls `heard` for each notice (a warning, say) the server sends. */
  onNotice(heard: (message: string) => void): void {
    this.#client.on('notice', (notice) => heard(notice.message ?? ''))
  }

  /** Rolls back whatever is open, so that the session can be used again after an error. Never throws. */
  async rollback(): Promise<void> {
    if (this.#lost) return
    try {
      await this.#client.query('rollback')
    } catch {
      this.#lost = true
    }
  }

  /** Cuts the connection off in the middle of whatever runs: the server rolls it back within half a second. */
  destroy(): void {
    this.#lost = true
    // The driver's own way to end waits for the running query.
    const { stream } = (this.#client as unknown as { connection: { stream: { destroy(): void } } }).connection
    stream.destroy()
  }

  /** Closes the session. Never throws. */
  async close(): Promise<void> {
    this.#lost = true
    try {
      await this.#client.end()
    } catch {
      // It is gone either way.
    }
  }
}

function unreachable(client: pg.Client, cause: unknown): OperatorError {
  const at = `${client.database ?? ''} on ${client.host}:${client.port}`
  const why = cause instanceof Error ? cause.message || cause.name : String(cause)
  return new OperatorError({
    message: `can't connect to the database ${at}: ${why}`,
    hint: 'Set DATABASE_URL (postgres://user:password@host:5432/database) or the PG* variables, and check that the server takes connections from here.',
    cause,
  })
}
