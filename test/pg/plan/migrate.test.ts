/**
 * The migrations of our own schema.
 */
import { expect, it } from 'vitest'
import { expectedVersion, migrateSchema, migrationScript, schemaVersion } from '../../../src/db/migrate.ts'
import { Session } from '../../../src/db/session.ts'
import { forEachMajor, freshDatabase } from '../../support/database.ts'
import { mistakesOf } from './planning.ts'

async function versionOf(url: string) {
  const session = await Session.open({ url }, 'test')
  try {
    return await schemaVersion(session)
  } finally {
    await session.close()
  }
}

forEachMajor((major) => {
  it('twenty at once on an empty database make one schema and no error', async () => {
    const { url } = await freshDatabase(major)
    expect(await versionOf(url)).toEqual({ found: null, known: expectedVersion() })

    await Promise.all(Array.from({ length: 20 }, () => migrateSchema({ url })))

    expect(await versionOf(url)).toEqual({ found: expectedVersion(), known: expectedVersion() })
  })

  it('a schema of a later version is left alone', async () => {
    const { url, query } = bind(await freshDatabase(major))
    await migrateSchema({ url })
    await query(`insert into pgfresh.kysely_migration values ('9999_future', '2999-01-01T00:00:00.000Z')`)

    expect(await versionOf(url)).toEqual({ found: 9999, known: expectedVersion() })
    expect(await mistakesOf(migrateSchema({ url }))).toBe(
      'this pgfresh is older than the schema in the database\n' +
        '  Use the version of pgfresh that ran apply last, or a later one.',
    )
  })

  it('run by hand from the printed script they leave the same schema', async () => {
    const byUs = bind(await freshDatabase(major))
    const byHand = bind(await freshDatabase(major))
    await migrateSchema({ url: byUs.url })
    await byHand.query(migrationScript(null))

    const contents = `
      select c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull
      from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
      where c.relnamespace = 'pgfresh'::regnamespace order by 1, a.attnum`
    expect(await byHand.query(contents)).toEqual(await byUs.query(contents))
    await migrateSchema({ url: byHand.url })
    expect(await versionOf(byHand.url)).toEqual({ found: expectedVersion(), known: expectedVersion() })
  })

  it('a role that may not create a schema is told what to grant', async () => {
    const database = await freshDatabase(major)
    const role = await database.createRole()

    expect(await mistakesOf(migrateSchema({ url: role.url }))).toBe(
      `role ${role.name} may not create pgfresh's schema in database ${database.name}: permission denied for database ${database.name}\n` +
        `  Grant it: grant create on database "${database.name}" to "${role.name}";`,
    )
  })
})

function bind(database: Awaited<ReturnType<typeof freshDatabase>>) {
  return { url: database.url, query: (sql: string) => database.query(sql) }
}
