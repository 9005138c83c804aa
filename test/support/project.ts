/**
 * A project in a test: a fresh database, definition files in a directory of their own, `apply`, and daemons.
 *
 * Apply and daemons run in this process, from the sources, so that a test can look on and stop them anywhere; `startRun` is
 * the built command line in a process of its own, for what needs a kill. A daemon that a test leaves running is stopped at
 * the test's end, and when the test fails, what the daemons logged is shown.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, onTestFailed, onTestFinished } from 'vitest'
import type { RotationSizes } from '../../src/capture/rotation.ts'
import { runDaemon } from '../../src/daemon/daemon.ts'
import type { Heartbeat } from '../../src/daemon/heartbeat.ts'
import type { Remainder } from '../../src/daemon/idle.ts'
import { Session } from '../../src/db/session.ts'
import { loadDefinitions } from '../../src/definition/load.ts'
import type { Log, LogFields } from '../../src/kernel/log.ts'
import { apply } from '../../src/plan/apply.ts'
import { makePlan, type Plan } from '../../src/plan/plan.ts'
import { freshDatabase, type Major, type RunningCli, startCli, type TestDatabase } from './database.ts'
import type { PostgresServer } from './postgres.ts'
import { waitFor } from './wait-for.ts'

/** How a daemon of a test runs. */
export interface DaemonSetup {
  /** Default: the database's own, as superuser. Give another role's, a proxy's or a pooler's. */
  readonly url?: string
  /** Default 2. */
  readonly workers?: number
  /** Default 20. */
  readonly pollMs?: number
  /** Default false: it polls. */
  readonly listen?: boolean
  readonly rotation?: RotationSizes
  /** Default: none. */
  readonly heartbeat?: Heartbeat
}

/** A daemon in this process. */
export interface RunningDaemon {
  /** Ends it as SIGTERM would, and throws what it threw. */
  stop(): Promise<void>
}

/** How a plan or an apply is made. */
export interface ApplySetup {
  /** Default: the database's own, as superuser. */
  readonly url?: string
  readonly prune?: boolean
}

/** A line that a daemon logged. */
export interface LoggedLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: LogFields
}

/** What to compare: each a SELECT; both must give the same rows, in any order, as text. */
export interface Comparison {
  /** Key and materialized values as they are stored. */
  readonly stored: string
  /** The same, by SQL that has nothing to do with the engine. */
  readonly expected: string
}

/** What is not done yet, all seen by one snapshot. */
export interface Pending {
  readonly news: boolean
  readonly tasks: number
  readonly deferred: number
  readonly walks: number
}

/** A project on a database of its own, dropped at the end of the test. `schema` is run first. */
export async function createProject(major: Major, schema: string): Promise<Project> {
  const database = await freshDatabase(major)
  await database.query(schema)
  return new Project(database)
}

/**
 * A project on a server of the test's own, which it may crash or configure: in its database `postgres`. The caller stops the
 * server, after the test's daemons.
 */
export async function createProjectOn(server: PostgresServer, schema: string): Promise<Project> {
  const url = server.url()
  const pool = new pg.Pool({ connectionString: url, max: 4, application_name: 'test' })
  pool.on('error', () => {})
  const clients: pg.Client[] = []
  onTestFinished(async () => {
    await Promise.all([pool.end(), ...clients.map((client) => client.end().catch(() => {}))])
  })
  const database: TestDatabase = {
    major: server.major,
    name: 'postgres',
    url,
    query: async <Row extends pg.QueryResultRow>(sql: string, params: readonly unknown[] = []) =>
      (await pool.query<Row>(sql, [...params])).rows,
    connect: async (config = {}) => {
      const client = new pg.Client({ connectionString: url, application_name: 'test', ...config })
      client.on('error', () => {})
      await client.connect()
      clients.push(client)
      return client
    },
    createRole: () => Promise.reject(new Error('not on a server of its own')),
  }
  await database.query(schema)
  return new Project(database)
}

/** One project. */
export class Project {
  readonly database: TestDatabase
  readonly #directory: string
  /** What all daemons of this project logged, from debug on. */
  readonly logged: LoggedLine[] = []
  /** How long `drain` and `settle` may take. */
  patienceMs = 20_000

  constructor(database: TestDatabase) {
    this.database = database
    this.#directory = mkdtempSync(join(tmpdir(), 'pgfresh-project-'))
    onTestFinished(() => rmSync(this.#directory, { recursive: true, force: true }))
    onTestFailed(() => {
      process.stderr.write(this.#report())
    })
  }

  /** Where the definition files are. */
  get definitions(): string {
    return this.#directory
  }

  /** SQL as superuser. */
  query: TestDatabase['query'] = (sql, params) => this.database.query(sql, params)

  /** Replaces the definition file: everything behind the import of 'pgfresh'. */
  define(body: string): void {
    mkdirSync(this.#directory, { recursive: true })
    writeFileSync(
      join(this.#directory, 'definitions.ts'),
      `import { defineColumns, defineView, sql } from 'pgfresh'\n\n${body}\n`,
    )
  }

  /** `define` and `apply` in one. */
  async materialize(body: string, setup: ApplySetup = {}): Promise<void> {
    this.define(body)
    await this.apply(setup)
  }

  /** What `apply --yes` does. */
  async apply(setup: ApplySetup = {}): Promise<void> {
    const { definitions } = await loadDefinitions(this.#directory)
    await apply({
      definitions,
      project: 'default',
      prune: setup.prune ?? false,
      drop: false,
      address: { url: setup.url ?? this.database.url },
      approve: async () => true,
      progress: () => {},
    })
  }

  /** What `plan` would show. */
  async plan(setup: ApplySetup = {}): Promise<Plan> {
    const { definitions } = await loadDefinitions(this.#directory)
    const session = await Session.open({ url: setup.url ?? this.database.url }, 'plan')
    try {
      const options = { definitions, project: 'default', prune: setup.prune ?? false, drop: false }
      return await makePlan(session, options)
    } finally {
      await session.close()
    }
  }

  /** Starts a daemon in this process; it is stopped at the end of the test. */
  start(setup: DaemonSetup = {}): RunningDaemon {
    const stop = new AbortController()
    const ended = this.#run(setup, false, stop.signal)
    ended.catch(() => {})
    const daemon = {
      stop: async () => {
        stop.abort()
        await ended
      },
    }
    onTestFinished(() => daemon.stop())
    return daemon
  }

  /** Starts `pgfresh run` as people do: the built command line in a process of its own. */
  startRun(
    args: readonly string[] = [],
    setup: { readonly url?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): RunningCli {
    return startCli(['run', ...args], { env: { DATABASE_URL: setup.url ?? this.database.url, ...setup.env } })
  }

  /** What `run --until-idle` does. */
  async drain(setup: DaemonSetup = {}): Promise<Remainder> {
    const timeout = AbortSignal.timeout(this.patienceMs)
    const remainder = await this.#run(setup, true, timeout)
    if (timeout.aborted) throw new Error(`not idle after ${this.patienceMs} ms:\n${await this.pendingText()}`)
    return remainder
  }

  /** Waits until nothing is pending, with whatever daemons run. */
  async settle(timeoutMs = this.patienceMs): Promise<void> {
    const rest = { news: false, tasks: 0, deferred: 0, walks: 0 }
    const isAtRest = async () => JSON.stringify(await this.pending()) === JSON.stringify(rest)
    try {
      await waitFor('everything to be done', isAtRest, { timeoutMs })
    } catch (cause) {
      throw new Error(`${cause instanceof Error ? cause.message : cause}\n${await this.pendingText()}`, {
        cause,
      })
    }
  }

  /** What is not done yet. */
  async pending(): Promise<Pending> {
    const [row] = await this.query<{ news: boolean; tasks: number; deferred: number; walks: number }>(
      `select exists (
          select from (select snapshot from pgfresh.watermark order by id desc limit 1) w,
            pgfresh.unread(w.snapshot, pg_current_snapshot()) r,
            lateral (select from pgfresh.change_log l where l.xid >= r.lo and l.xid < r.hi limit 1) l) as news,
        (select count(*)::int from pgfresh.task) as tasks, (select count(*)::int from pgfresh.deferred) as deferred,
        (select count(*)::int from pgfresh.walk where finished_at is null) as walks`,
    )
    if (row === undefined) throw new Error('no answer')
    return row
  }

  /** What is pending in detail, for the message of a failed test. */
  async pendingText(): Promise<string> {
    const of = async (table: string, where = 'true') =>
      (
        await this.query<{ row: string }>(
          `select left(to_jsonb(t)::text, 400) as row from ${table} t where ${where} limit 5`,
        )
      ).map((found) => `  ${table}: ${found.row}`)
    const lines = await Promise.all([
      of('pgfresh.task'),
      of('pgfresh.deferred'),
      of('pgfresh.walk', 'finished_at is null'),
      of('pgfresh.quarantine'),
      of('pgfresh.materialization', 'error is not null'),
    ])
    return [JSON.stringify(await this.pending()), ...lines.flat()].join('\n')
  }

  /** Both SELECTs give the same rows. Waits for nothing: call `drain` or `settle` before. `when` is shown if they don't. */
  async expectFresh({ stored, expected }: Comparison, when = 'stored against expected'): Promise<void> {
    const client = await this.database.connect({ types: { getTypeParser: () => (value: unknown) => value } })
    try {
      // One snapshot for both, so that it can be asked under writers too.
      await client.query('begin isolation level repeatable read read only')
      const rows = async (sql: string) => {
        const result = await client.query<(string | null)[]>({ text: sql, rowMode: 'array' })
        return result.rows.map((row) => JSON.stringify(row)).sort()
      }
      const [have, want] = [await rows(stored), await rows(expected)]
      expect(want.length, 'the expected rows').toBeGreaterThan(0)
      expect(have, when).toEqual(want)
    } finally {
      await client.end()
    }
  }

  /** True if a line with this message was logged. */
  hasLogged(message: string): boolean {
    return this.logged.some((line) => line.message === message)
  }

  async #run(setup: DaemonSetup, untilIdle: boolean, signal: AbortSignal): Promise<Remainder> {
    return await runDaemon({
      address: { url: setup.url ?? this.database.url },
      workers: setup.workers ?? 2,
      pollMs: setup.pollMs ?? 20,
      listen: setup.listen ?? false,
      untilIdle,
      log: this.#log({}),
      signal,
      version: 'test',
      ...(setup.rotation === undefined ? {} : { rotation: setup.rotation }),
      ...(setup.heartbeat === undefined ? {} : { heartbeat: setup.heartbeat }),
    })
  }

  #log(context: LogFields): Log {
    const keep = (level: LoggedLine['level']) => (fields: LogFields, message: string) => {
      this.logged.push({ level, message, fields: { ...context, ...fields } })
    }
    return {
      debug: keep('debug'),
      info: keep('info'),
      warn: keep('warn'),
      error: keep('error'),
      child: (fields) => this.#log({ ...context, ...fields }),
    }
  }

  #report(): string {
    const lines = this.logged.map(({ level, message, fields }) => {
      const { error, ...rest } = fields
      const why = error instanceof Error ? ` ${error.message}` : ''
      return `  ${level} ${message}${why} ${JSON.stringify(rest)}\n`
    })
    return lines.length === 0 ? '' : `What the daemons logged (last 60 lines):\n${lines.slice(-60).join('')}`
  }
}
