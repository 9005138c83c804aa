/**
 * pgbouncer in transaction mode in front of a test server, where the machine has it.
 *
 * It allows no start-up parameter but those that pg always sends, so that a session setting which would not survive pooling fails
 * loudly. Like the servers it runs as another account when we are root, and never outlives us (guard.ts).
 */
import { spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { serverAccount } from './binaries.ts'
import { startGuard } from './guard.ts'
import { freePort } from './ports.ts'
import { waitFor } from './wait-for.ts'

/** What the pooler stands in front of, and how it pools. */
export interface PgbouncerOptions {
  readonly server: { readonly host: string; readonly port: number; readonly url?: string }
  /** Default `transaction`. */
  readonly poolMode?: 'transaction' | 'session' | 'statement'
  /** Server connections per database and user. Default 20. */
  readonly poolSize?: number
  /** Who may connect; all are trusted. Default: whom the server's URI names, or `postgres`. */
  readonly users?: readonly string[]
  /** More lines of its [pgbouncer] section, by name. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A pooler that accepts connections. */
export interface Pgbouncer {
  readonly host: string
  readonly port: number
  /** The same URI with the pooler's host and port. */
  url(serverUrl: string): string
  /** What it has logged. */
  log(): string
  /** Ends it. Safe to call twice. */
  stop(): Promise<void>
}

/** The path of pgbouncer, or undefined: not installed. */
export function findPgbouncer(): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return directories.map((directory) => join(directory, 'pgbouncer')).find((path) => existsSync(path))
}

/** Starts pgbouncer, or returns undefined if the machine has none: then a test skips, and says so. */
export async function startPgbouncer(options: PgbouncerOptions): Promise<Pgbouncer | undefined> {
  const binary = findPgbouncer()
  if (binary === undefined) return undefined
  const account = serverAccount()
  const directory = mkdtempSync(join(tmpdir(), 'pgfresh-pgbouncer-'))
  const files = {
    config: join(directory, 'pgbouncer.ini'),
    users: join(directory, 'users.txt'),
    log: join(directory, 'pgbouncer.log'),
    pid: join(directory, 'pgbouncer.pid'),
  }
  const guard = startGuard({ pidFile: files.pid, marker: directory, signal: 'TERM', directory })
  const host = '127.0.0.1'
  const port = await freePort()
  // It logs in with the password of the server's URI, whoever comes: test roles have the same one.
  const { username, password } = new URL(options.server.url ?? 'postgres://postgres@localhost')
  const users = options.users ?? [decodeURIComponent(username)]
  const entries = users.map((user) => `"${user}" "${decodeURIComponent(password)}"\n`)
  writeFileSync(files.users, entries.join(''))
  writeFileSync(files.config, configuration(options, host, port, files))
  if (account !== undefined) {
    for (const path of [directory, files.users, files.config]) chownSync(path, account.uid, account.gid)
  }

  const child = spawn(binary, [files.config], { cwd: directory, detached: true, stdio: 'ignore', ...account })
  child.unref()
  const log = () => (existsSync(files.log) ? readFileSync(files.log, 'utf8') : '')
  const stop = () => guard.release()
  try {
    const ready = () => child.exitCode !== null || log().includes('process up')
    await waitFor('pgbouncer to accept connections', ready, { everyMs: 10 })
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`)
  } catch (cause) {
    const logged = log()
    await stop()
    throw new Error(`pgbouncer did not start: ${cause instanceof Error ? cause.message : cause}\n${logged}`, {
      cause,
    })
  }
  const url = (serverUrl: string) => {
    const changed = new URL(serverUrl)
    changed.hostname = host
    changed.port = String(port)
    return changed.href
  }
  return { host, port, url, log, stop }
}

function configuration(
  { server, poolMode, poolSize, settings }: PgbouncerOptions,
  host: string,
  port: number,
  files: { readonly users: string; readonly log: string; readonly pid: string },
): string {
  const lines = {
    listen_addr: host,
    listen_port: String(port),
    unix_socket_dir: '',
    auth_type: 'trust',
    auth_file: files.users,
    pool_mode: poolMode ?? 'transaction',
    default_pool_size: String(poolSize ?? 20),
    max_client_conn: '500',
    logfile: files.log,
    pidfile: files.pid,
    ...settings,
  }
  const section = Object.entries(lines).map(([name, value]) => `${name} = ${value}`)
  return [`[databases]`, `* = host=${server.host} port=${server.port}`, `[pgbouncer]`, ...section, ''].join(
    '\n',
  )
}
