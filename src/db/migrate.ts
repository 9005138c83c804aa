/**
 * The migrations of our own schema: numbered `.sql` files, forward only, run in order and in one transaction by kysely's
 * migrator, under its advisory lock: twenty at once on an empty database end with one schema and no error.
 *
 * A schema that is newer than this program is never touched. The version is read directly, because a migrator's run that
 * finds nothing to do still looks at every table of the database. Called by apply; the version by every command.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'
import { OperatorError } from '../kernel/errors.ts'
import { quoteIdentifier, quoteLiteral } from './identifier.ts'
import type { DatabaseAddress, Session } from './session.ts'
import { sqlstate, sqlstateOf } from './sqlstate.ts'

/** Beside src/ and dist/ alike. */
const directory = new URL('../../migrations/', import.meta.url)

/** Our schema in a database, against what this program brings. */
export interface SchemaVersion {
  /** The number of the last migration that ran, or null: there is no schema, or none of its migrations ran. */
  readonly found: number | null
  /** The number of the last migration that this program brings. */
  readonly known: number
}

/** The version of the schema behind this session. An OperatorError if the role may not look into the schema. */
export async function schemaVersion(session: Session): Promise<SchemaVersion> {
  const known = expectedVersion()
  try {
    const [table] = await session.rows(
      `select pg_catalog.to_regclass('pgfresh.kysely_migration')::text as name`,
    )
    if (table?.name == null) return { found: null, known }
    const [last] = await session.rows('select max(name) as name from pgfresh.kysely_migration')
    return { found: last?.name == null ? null : numberOf(last.name), known }
  } catch (error) {
    throw sqlstateOf(error) === sqlstate.insufficientPrivilege ? await notOurs(session, error) : error
  }
}

async function notOurs(session: Session, cause: unknown): Promise<OperatorError> {
  // If the caller had a transaction open, it is broken by now.
  await session.rollback()
  const [row] = await session.rows(
    `select current_user as role, current_database() as database, pg_catalog.pg_get_userbyid(nspowner) as owner
     from pg_catalog.pg_namespace where nspname = 'pgfresh'`,
  )
  return new OperatorError({
    message: `role ${row?.role} may not use pgfresh's schema in database ${row?.database}, which belongs to ${row?.owner}`,
    hint: `Connect as ${row?.owner}, or make this role a member of it: grant ${quoteIdentifier(row?.owner ?? '')} to ${quoteIdentifier(row?.role ?? '')};`,
    cause,
  })
}

/** The number of the last migration that this program brings. */
export function expectedVersion(): number {
  return Math.max(...migrationNames().map(numberOf))
}

/**
 * Runs the migrations that have not run yet. Safe to call at the same time from anywhere.
 * An OperatorError if the schema is newer than ours or the role may not create it.
 */
export async function migrateSchema(address: DatabaseAddress): Promise<void> {
  const pool = new pg.Pool({
    ...(address.url === null ? {} : { connectionString: address.url }),
    application_name: 'pgfresh migrate',
    max: 1,
  })
  // A pooled connection that is lost while idle must not end the process; whoever uses it next hears of it.
  pool.on('error', () => {})
  // Whatever the role's defaults are [A2]: the migrator begins its transactions itself.
  pool.on('connect', (client) => {
    void client.query('set session characteristics as transaction isolation level read committed, read write')
  })
  const database = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    const { error } = await new Migrator({
      db: database,
      provider: { getMigrations: async () => Object.fromEntries(migrationNames().map(migration)) },
      migrationTableSchema: 'pgfresh',
    }).migrateToLatest()
    if (error !== undefined) throw await explain(error, pool)
  } finally {
    await database.destroy()
  }
}

/** The migrations after version `found` as one script, for people with a migrator of their own. What it leaves is what migrateSchema leaves. */
export function migrationScript(found: number | null): string {
  const names = migrationNames().filter((name) => found === null || numberOf(name) > found)
  const bookkeeping = [
    'create schema if not exists pgfresh',
    'create table if not exists pgfresh.kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null)',
    'create table if not exists pgfresh.kysely_migration_lock (id varchar(255) primary key, is_locked integer not null default 0)',
    `insert into pgfresh.kysely_migration_lock (id) values ('migration_lock') on conflict do nothing`,
  ]
  const ran = (name: string, at: number) =>
    `insert into pgfresh.kysely_migration values (${quoteLiteral(name)}, to_char((clock_timestamp() + interval '${at} milliseconds') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));`
  return [
    'begin;',
    ...(found === null ? bookkeeping.map((statement) => `${statement};`) : []),
    ...names.map((name, at) => `${read(name)}\n${ran(name, at)}`),
    'commit;',
  ].join('\n')
}

function migrationNames(): string[] {
  return readdirSync(directory)
    .filter((file) => /^\d{4}_\w+\.sql$/.test(file))
    .map((file) => file.slice(0, -'.sql'.length))
    .sort()
}

function migration(name: string) {
  return [name, { up: async (db: Kysely<unknown>) => void (await sql.raw(read(name)).execute(db)) }] as const
}

function read(name: string): string {
  return readFileSync(new URL(`${name}.sql`, directory), 'utf8')
}

function numberOf(name: string): number {
  return Number(name.slice(0, 4))
}

async function explain(error: unknown, pool: pg.Pool): Promise<unknown> {
  if (sqlstateOf(error) === sqlstate.insufficientPrivilege) {
    const { rows } = await pool.query<{ database: string; role: string }>(
      'select current_database() as database, current_user as role',
    )
    const { database, role } = rows[0] ?? { database: '', role: '' }
    return new OperatorError({
      message: `role ${role} may not create pgfresh's schema in database ${database}: ${(error as Error).message}`,
      hint: `Grant it: grant create on database ${quoteIdentifier(database)} to ${quoteIdentifier(role)};`,
      cause: error,
    })
  }
  const names = new Set(migrationNames())
  const ran = await pool
    .query<{ name: string }>('select name from pgfresh.kysely_migration')
    .then((result) => result.rows.map((row) => row.name))
    .catch(() => [])
  if (ran.every((name) => names.has(name))) return error
  return new OperatorError({
    message: 'this pgfresh is older than the schema in the database',
    hint: 'Use the version of pgfresh that ran apply last, or a later one.',
    cause: error,
  })
}
