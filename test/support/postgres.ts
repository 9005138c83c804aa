/**
 * A real PostgreSQL server for tests, the demo and the bench: any major from 14 to 18, on loopback, up in about a second.
 *
 * What it promises: the server and its directory are gone when `stop` has returned, and soon after this process ended in whatever
 * way (guard.ts); an error holds the end of the server's own log. Nothing here is a mock: faults are signals to a real postmaster.
 * It runs as root too, as another account, and below directories which that account can't read (binaries.ts).
 */
import { execFile } from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { findBinaries, type Major, type ServerAccount, serverAccount } from './binaries.ts'
import { type Guard, startGuard } from './guard.ts'
import { freePort } from './ports.ts'
import { Postmaster, serverEnvironment } from './postmaster.ts'

/** How a server is started. */
export interface PostgresOptions {
  /** Default 18. */
  readonly major?: Major
  /** Settings as in postgresql.conf, by name (`{ max_prepared_transactions: '10' }`). They win over what `durable` says. */
  readonly settings?: Readonly<Record<string, string>>
  /** Where the data lives: kept after `stop`, used again if it holds a cluster. Default: a fresh directory that `stop` removes. */
  readonly dataDir?: string
  /** Default false: fsync, full_page_writes and synchronous_commit are off, so that nothing waits for the disk. */
  readonly durable?: boolean
}

/** A server that was started. Its superuser is `postgres`; every connection over loopback is trusted. */
export interface PostgresServer {
  readonly major: Major
  /** Always 127.0.0.1. */
  readonly host: string
  readonly port: number
  /** The postmaster's pid; another one after `restart`. Throws while the server is down. */
  readonly pid: number
  /** A connection URI. Default database: `postgres`. */
  url(database?: string): string
  /** What the server has logged since it was created. */
  log(): string
  /** Creates a database (default template: template1). The name may be any text. */
  createDatabase(name: string, template?: string): Promise<void>
  /** Ends the server and removes its directory; a `dataDir` of the caller's is shut down cleanly and kept. Safe to call twice. */
  stop(): Promise<void>
  /**
   * Ends all sessions and starts again on the same port; starts it, too, if it is down. `fast` shuts down cleanly, `immediate`
   * leaves recovery to the start.
   */
  restart(mode: 'fast' | 'immediate'): Promise<void>
  /** SIGKILL to all its processes, as when the machine goes down. It stays down until `restart` or `stop`. */
  kill(): Promise<void>
}

const notDurable = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }

/** Starts a server and returns when it accepts sessions. Throws, with the server's log, if it doesn't come up. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const server = new EmbeddedServer(options)
  try {
    await server.create()
    return server
  } catch (error) {
    await server.stop()
    const message = error instanceof Error ? error.message : String(error)
    throw new Error(`PostgreSQL ${server.major} did not start: ${message}`, { cause: error })
  }
}

class EmbeddedServer implements PostgresServer {
  readonly major: Major
  readonly host = '127.0.0.1'
  readonly #options: PostgresOptions
  readonly #account: ServerAccount | undefined = serverAccount()
  readonly #scratch: string
  readonly #dataDir: string
  readonly #guard: Guard
  readonly #initdbBinary: string
  readonly #postmaster: Postmaster
  #port = 0
  #stopped: Promise<void> | undefined

  constructor(options: PostgresOptions) {
    this.#options = options
    this.major = options.major ?? 18
    this.#scratch = mkdtempSync(join(tmpdir(), `pgfresh-postgres-${this.major}-`))
    this.#dataDir = options.dataDir ?? join(this.#scratch, 'data')
    this.#guard = startGuard({
      pidFile: join(this.#dataDir, 'postmaster.pid'),
      marker: this.#dataDir,
      signal: 'QUIT',
      directory: this.#scratch,
    })
    const logFile = join(this.#scratch, 'server.log')
    mkdirSync(this.#dataDir, { recursive: true, mode: 0o700 })
    writeFileSync(logFile, '')
    for (const path of [this.#scratch, this.#dataDir, logFile]) this.#giveAway(path)
    const { initdb, postgres: binary } = findBinaries(this.major, this.#account, this.#scratch)
    this.#initdbBinary = initdb
    const account = this.#account
    this.#postmaster = new Postmaster({
      binary,
      dataDir: this.#dataDir,
      logFile,
      cwd: this.#scratch,
      account,
    })
  }

  get port(): number {
    return this.#port
  }

  get pid(): number {
    const { pid } = this.#postmaster
    if (pid === undefined) throw new Error(`PostgreSQL ${this.major} on port ${this.#port} is not running.`)
    return pid
  }

  url(database = 'postgres'): string {
    return `postgres://postgres@${this.host}:${this.#port}/${encodeURIComponent(database)}`
  }

  log(): string {
    return this.#postmaster.log()
  }

  async create(): Promise<void> {
    if (!existsSync(join(this.#dataDir, 'PG_VERSION'))) await this.#initdb()
    // Somebody may take the free port before the server does: then with another one.
    for (let attempt = 1; ; attempt++) {
      this.#port = await freePort()
      this.#configure()
      try {
        return await this.#postmaster.start()
      } catch (error) {
        if (attempt === 5 || !this.log().includes('Address already in use')) throw error
      }
    }
  }

  async createDatabase(name: string, template = 'template1'): Promise<void> {
    const client = new pg.Client({ connectionString: this.url() })
    await client.connect()
    try {
      await client.query(
        `create database ${pg.escapeIdentifier(name)} template ${pg.escapeIdentifier(template)}`,
      )
    } finally {
      await client.end()
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    try {
      // What a killed server leaves in shared memory is cleared away only by its next start.
      if (this.#postmaster.wasKilled) await this.#postmaster.start()
      await this.#postmaster.end(this.#options.dataDir === undefined ? 'SIGQUIT' : 'SIGINT')
    } finally {
      await this.#guard.release()
    }
  }

  async restart(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#postmaster.end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await this.#postmaster.start()
  }

  kill(): Promise<void> {
    return this.#postmaster.kill()
  }

  async #initdb(): Promise<void> {
    const locale = process.platform === 'linux' ? 'C.UTF-8' : 'en_US.UTF-8'
    const flags = [
      '-U',
      'postgres',
      '-A',
      'trust',
      '-E',
      'UTF8',
      `--locale=${locale}`,
      '--lc-messages=C',
      '--no-sync',
    ]
    const options = { cwd: this.#scratch, env: serverEnvironment(), ...this.#account }
    await promisify(execFile)(this.#initdbBinary, ['-D', this.#dataDir, ...flags], options)
  }

  // A file of our own, written at each creation, so that a kept cluster can come up on another port.
  #configure(): void {
    const main = join(this.#dataDir, 'postgresql.conf')
    const include = "include 'pgfresh.conf'\n"
    if (!readFileSync(main, 'utf8').endsWith(include)) appendFileSync(main, include)
    const settings = {
      listen_addresses: this.host,
      port: String(this.#port),
      unix_socket_directories: '',
      timezone: 'UTC',
      log_timezone: 'UTC',
      log_line_prefix: '%m [%p] %a ',
      ...(this.#options.durable === true ? {} : notDurable),
      ...this.#options.settings,
    }
    const lines = Object.entries(settings).map(
      ([name, value]) => `${name} = '${value.replaceAll(/(['\\])/g, '$1$1')}'\n`,
    )
    const file = join(this.#dataDir, 'pgfresh.conf')
    writeFileSync(file, lines.join(''))
    this.#giveAway(file)
  }

  #giveAway(path: string): void {
    if (this.#account !== undefined) chownSync(path, this.#account.uid, this.#account.gid)
  }
}
