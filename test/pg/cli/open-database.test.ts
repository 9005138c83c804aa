/**
 * What is wrong with a database as a whole is said in one message before a command does anything.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { migrateSchema } from '../../../src/db/migrate.ts'
import { forEachMajor, freshDatabase, sharedServer } from '../../support/database.ts'
import { freePort } from '../../support/ports.ts'
import { startPostgres } from '../../support/postgres.ts'
import { on } from './command.ts'

test.each(['venue', 'mysql://localhost/cinema', 'postgres://user:p#ss@host/cinema'])(
  'DATABASE_URL=%s is refused without showing it, since it may hold a password',
  async (url) => {
    const { code, stdout, stderr } = await on(url, 'status')

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^DATABASE_URL (is no address|can't be read)/)
    expect(stderr).not.toContain(url)
  },
)

test('a server that does not answer is named with host and port', async () => {
  const port = await freePort()

  const { code, stderr } = await on(`postgres://u:secret@127.0.0.1:${port}/cinema`, 'status')

  expect(code).toBe(1)
  expect(stderr).toContain(`can't connect to the database cinema on 127.0.0.1:${port}: connect ECONNREFUSED`)
  expect(stderr).not.toContain('secret')
})

forEachMajor((major) => {
  test('a database that does not exist is named', async () => {
    const url = new URL(sharedServer(major).url)
    url.pathname = '/nowhere'

    const { code, stderr } = await on(url.href, 'status')

    expect(code).toBe(1)
    expect(stderr).toContain('database "nowhere" does not exist')
    expect(stderr).toContain('PGDATABASE')
  })

  test('a wrong password is told from the rest', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pgfresh-hba-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const hba = join(directory, 'pg_hba.conf')
    writeFileSync(hba, 'host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n')
    const { chmodSync } = await import('node:fs')
    chmodSync(directory, 0o755)
    const server = await startPostgres({ major, settings: { hba_file: hba } })
    onTestFinished(() => server.stop())
    const url = server.url().replace('postgres@', 'locked:wrong@')

    const { code, stderr } = await on(url, 'status')

    expect(code).toBe(1)
    expect(stderr).toContain('password authentication failed for user "locked"')
    expect(stderr).toContain('PGPASSWORD')
  })

  test('a standby is refused, whatever the command', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'pgfresh-standby-'))
    onTestFinished(() => rmSync(dataDir, { recursive: true }))
    await (await startPostgres({ major, dataDir })).stop()
    writeFileSync(join(dataDir, 'standby.signal'), '')
    const standby = await startPostgres({ major, dataDir })
    onTestFinished(() => standby.stop())

    for (const argv of [['status'], ['verify'], ['refresh', 'venue'], ['run']]) {
      const { code, stderr } = await on(standby.url(), ...argv)
      expect(code).toBe(1)
      expect(stderr).toContain(
        'the server of database "postgres" is a standby: pgfresh must talk to the primary',
      )
    }
  })

  test('a role whose transactions are read-only is refused', async () => {
    const database = await freshDatabase(major)
    const role = await database.createRole()
    await database.query(`alter role ${role.name} set default_transaction_read_only = on`)

    const { code, stderr } = await on(role.url, 'status')

    expect(code).toBe(1)
    expect(stderr).toContain(`transactions in database "${database.name}" are read-only`)
  })

  test('without a pgfresh schema apply is named, with another version both versions', async () => {
    const database = await freshDatabase(major)

    const missing = await on(database, 'status')
    expect(missing.code).toBe(1)
    expect(missing.stderr).toBe(
      `database "${database.name}" has no pgfresh schema yet\n  Run "pgfresh apply" first.\n`,
    )

    await migrateSchema({ url: database.url })
    expect((await on(database, 'status')).code).toBe(0)
    await database.query(
      `insert into pgfresh.kysely_migration (name, timestamp) values ('9000_later', '2030-01-01')`,
    )
    expect((await on(database, 'status')).stderr).toContain('has version 9000, newer than this pgfresh')

    await database.query(`delete from pgfresh.kysely_migration where name > '0001_zzz'`)
    expect((await on(database, 'status')).stderr).toContain(
      'Run "pgfresh apply" with this version of pgfresh first',
    )
  })

  test('a role without rights on our schema, or on its tables, is told what to do', async () => {
    const database = await freshDatabase(major)
    await migrateSchema({ url: database.url })
    const role = await database.createRole()

    const schema = await on(role.url, 'status')
    expect(schema.code).toBe(1)
    expect(schema.stderr).toContain(`role ${role.name} may not use pgfresh's schema`)

    await database.query(`grant usage on schema pgfresh to ${role.name}`)
    await database.query(`grant select on pgfresh.kysely_migration to ${role.name}`)
    const tables = await on(role.url, 'status')
    expect(tables.code).toBe(1)
    expect(tables.stderr).toMatch(
      /^pgfresh status failed: permission denied for \w+ \w+ \(SQLSTATE 42501\)\n {2}Connect as/,
    )
    expect(tables.stderr).not.toContain(' at ')
  })
})
