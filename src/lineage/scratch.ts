/**
 * A transaction in which people's SQL becomes temporary views, so that PostgreSQL itself says what it reads and returns.
 * It is always rolled back: a plan changes nothing. Names resolve as they will for the daemon, under the settings it will use.
 */

import { quoteIdentifier, quoteLiteral, quoteQualified } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { begin, setLocal } from '../db/transaction.ts'
import { OperatorError, type Place } from '../kernel/errors.ts'
import { redirectTables } from './redirect.ts'
import { explainSqlError, type PeoplesSql } from './sql-error.ts'

/** One output column of a scratch view. */
export interface OutputColumn {
  readonly name: string
  /** As format_type prints it, with its typmod, qualified unless it is PostgreSQL's own. */
  readonly type: string
  readonly typeOid: string
}

/** A table as it will be once the plan under way has added columns to it. */
export interface PlannedTable {
  readonly oid: string
  readonly schema: string
  readonly name: string
  /** In order; those with `planned` don't exist yet. */
  readonly columns: readonly {
    readonly name: string
    readonly number: number
    readonly type: string
    readonly planned?: true
  }[]
}

/** The open transaction. */
export class Scratch {
  readonly session: Session
  readonly #searchPath: string
  /** By the oid of the temporary table that stands in for it. */
  readonly #shadows = new Map<string, PlannedTable>()

  constructor(session: Session, searchPath: string) {
    this.session = session
    this.#searchPath = searchPath
  }

  /** The oid of a table written as an SQL identifier (at `place`), or null if there is none by that name. */
  async resolve(name: string, place?: Place): Promise<string | null> {
    const oid = await this.#oidOf(name, place)
    return oid === null ? null : (this.#shadows.get(oid)?.oid ?? oid)
  }

  async #oidOf(name: string, place?: Place): Promise<string | null> {
    try {
      const [row] = await this.session.rows('select pg_catalog.to_regclass($1)::oid as oid', [name])
      return row?.oid ?? null
    } catch (error) {
      if (sqlstateOf(error) !== sqlstate.insufficientPrivilege) throw error
      throw new OperatorError({
        message: `${name}: ${(error as Error).message}`,
        hint: 'Grant the right to the role that pgfresh connects as: grant usage on schema … to …;',
        place,
        cause: error,
      })
    }
  }

  /**
   * Lets a temporary table stand in for one that will get columns, so that a definition can read what another one is about to add.
   * Temporary tables come first on every search_path; where the table is named with its schema, the text is redirected.
   */
  async shadow(table: PlannedTable): Promise<void> {
    const name = quoteIdentifier(table.name)
    const found = await this.resolve(name)
    // By its bare name people mean another table.
    if (found !== null && found !== table.oid) return
    await this.createTable(table.name, table.columns)
    const [row] = await this.session.rows('select pg_catalog.to_regclass($1)::oid as oid', [
      `pg_temp.${name}`,
    ])
    if (row?.oid != null) this.#shadows.set(row.oid, table)
  }

  /** An empty temporary table with these columns. Made of names and types, since LIKE would need a right to read the original. */
  async createTable(
    name: string,
    columns: readonly { readonly name: string; readonly type: string }[],
  ): Promise<void> {
    const list = columns.map((column) => `${quoteIdentifier(column.name)} ${column.type}`)
    await this.session.run(`create temporary table ${quoteIdentifier(name)} (${list.join(', ')})`)
  }

  /** How the scratch transaction names a table: what stands in for it, if something does. */
  nameOf(table: { readonly oid: string; readonly schema: string; readonly name: string }): string {
    const shadowed = [...this.#shadows.values()].some((one) => one.oid === table.oid)
    return quoteQualified(shadowed ? 'pg_temp' : table.schema, table.name)
  }

  /** What stands in for what: the real table and its attribute numbers, by position. */
  realOf(oid: string): { readonly oid: string; readonly number: (shadowNumber: number) => number } {
    const table = this.#shadows.get(oid)
    if (table === undefined) return { oid, number: (number) => number }
    return { oid: table.oid, number: (number) => table.columns[number - 1]?.number ?? number }
  }

  /** Makes a temporary view of `before || sql || after`. Mistakes in the SQL are OperatorErrors with file and line. */
  async view(
    name: string,
    piece: PeoplesSql,
    around: { readonly before: string; readonly after: string; readonly columns?: readonly string[] },
  ): Promise<void> {
    const columns = around.columns === undefined ? '' : ` (${around.columns.map(quoteIdentifier).join(', ')})`
    const before = `create temporary view ${quoteIdentifier(name)}${columns} as ${around.before}`
    const redirected = { ...piece, sql: this.redirected(piece.sql) }
    try {
      await this.session.run(`${before}${redirected.sql}${around.after}`)
    } catch (error) {
      throw explainSqlError(error, redirected, before, this.#searchPath)
    }
  }

  /** People's SQL as this transaction has to be asked. */
  redirected(sql: string): string {
    return redirectTables(sql, [...this.#shadows.values()])
  }

  /** The output columns of a scratch view, in order. */
  async outputs(name: string): Promise<OutputColumn[]> {
    // Type names are printed relative to the search_path, so it is emptied for the question.
    const [, rows] = await this.session.run(`
      set local search_path = pg_catalog;
      select a.attname as name, pg_catalog.format_type(a.atttypid, a.atttypmod) as type, a.atttypid as type_oid from pg_catalog.pg_attribute a
      where a.attrelid = ${quoteLiteral(`pg_temp.${quoteIdentifier(name)}`)}::regclass and a.attnum > 0 order by a.attnum;
      ${setLocal({ search_path: this.#searchPath })}`)
    return (rows ?? []).map((row) => ({
      name: row.name ?? '',
      type: row.type ?? '',
      typeOid: row.type_oid ?? '',
    }))
  }
}

/**
 * Runs `work` in a scratch transaction under these settings (search_path among them) and rolls it back.
 * A setting that the server refuses is thrown as it came.
 */
export async function inScratch<T>(
  session: Session,
  settings: Readonly<Record<string, string>> & { readonly search_path: string },
  work: (scratch: Scratch) => Promise<T>,
): Promise<T> {
  try {
    await session.run(begin({ ...settings, idle_in_transaction_session_timeout: '60s' }))
    return await work(new Scratch(session, settings.search_path))
  } catch (error) {
    if (sqlstateOf(error) !== sqlstate.lockNotAvailable) throw error
    throw new OperatorError({
      message: 'a table that the definitions read is locked by somebody right now',
      hint: 'Run it again when their ALTER TABLE (or the like) is done.',
      cause: error,
    })
  } finally {
    await session.rollback()
  }
}
