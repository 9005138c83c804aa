/**
 * Databases with the cinema in it, and looks into them.
 */
import { freshDatabase, type Major, type TestDatabase } from '../../support/database.ts'
import { cinemaTables } from './cinema.ts'
import { applyTo, definitions, type Written } from './planning.ts'

/** A database with the cinema's tables. */
export async function cinemaDatabase(major: Major): Promise<TestDatabase> {
  const database = await freshDatabase(major)
  const client = await database.connect()
  await client.query(cinemaTables)
  return database
}

/** One where these definitions were applied, and their walks are done with. */
export async function applied(
  major: Major,
  written: Readonly<Record<string, Written>>,
): Promise<TestDatabase> {
  const database = await cinemaDatabase(major)
  await applyTo(database.url, definitions(written))
  // Walks that a test asks for are told from those of the first apply.
  await database.query('delete from pgfresh.walk')
  return database
}

/** What is to be computed. */
export function walks(database: TestDatabase): Promise<Record<string, unknown>[]> {
  return database.query(
    `select m.name, w.columns, w.stamp_due, w.why from pgfresh.walk w join pgfresh.materialization m on m.id = w.materialization
     where w.finished_at is null order by w.id`,
  )
}

/** Names of a table's columns, in order. */
export async function columnsOf(database: TestDatabase, table: string): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum`,
    [table],
  )
  return rows.map((row) => row.name)
}
