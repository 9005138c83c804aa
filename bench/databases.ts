/**
 * Databases of one server: made once, copied for every run, dropped.
 *
 * A fresh copy per run is what makes variants comparable: the same pages, no bloat of earlier rounds. Called by the cases.
 */
import pg from 'pg'
import type { PostgresServer } from '../test/support/postgres.ts'

/** Runs statements on a connection of their own and returns the rows of the last one, values as text. */
export async function query(
  server: PostgresServer,
  database: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Record<string, string>[]> {
  const client = await connect(server, database)
  try {
    const results: unknown = await client.query(sql, values.length === 0 ? undefined : [...values])
    const last = (Array.isArray(results) ? results.at(-1) : results) as pg.QueryResult<Record<string, string>>
    return last.rows
  } finally {
    await client.end()
  }
}

/** A connection whose values come as text. The caller ends it. */
export async function connect(server: PostgresServer, database: string): Promise<pg.Client> {
  const types = { getTypeParser: () => (value: string) => value }
  const client = new pg.Client({ connectionString: server.url(database), types })
  // Whoever waits for a statement is told; an idle session that a dying server ends must not end the bench.
  client.on('error', () => {})
  await client.connect()
  return client
}

/**
 * `name` as a fresh copy of `template`, whatever it was before. A checkpoint is taken before. By `wal`, the copy is in shared
 * buffers and its pages need no full-page images until the next checkpoint, as on a server in the middle of its work: for small
 * databases. By `files`, nothing is written to the WAL: for big ones.
 */
export async function copyDatabase(
  server: PostgresServer,
  name: string,
  { template, strategy }: { readonly template: string; readonly strategy: 'wal' | 'files' },
): Promise<void> {
  const way = strategy === 'wal' ? 'wal_log' : 'file_copy'
  await dropDatabase(server, name)
  await query(server, 'postgres', 'checkpoint')
  await query(
    server,
    'postgres',
    `create database ${pg.escapeIdentifier(name)} template ${pg.escapeIdentifier(template)} strategy ${way}`,
  )
}

/** Drops a database with its sessions, if it exists. */
export async function dropDatabase(server: PostgresServer, name: string): Promise<void> {
  await query(server, 'postgres', `drop database if exists ${pg.escapeIdentifier(name)} with (force)`)
}

/** Drops all that cases made: whatever is not a database of initdb's. */
export async function dropAllDatabases(server: PostgresServer): Promise<void> {
  const rows = await query(
    server,
    'postgres',
    "select datname from pg_database where datname not in ('postgres', 'template0', 'template1')",
  )
  for (const { datname } of rows) if (datname !== undefined) await dropDatabase(server, datname)
}
