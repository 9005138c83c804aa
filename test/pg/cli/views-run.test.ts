/**
 * Views from a definition file to the last word of verify, by commands alone and with a daemon that runs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runCommand } from '../../../src/cli/cli.ts'
import { forEachMajor, freshDatabase, type TestDatabase, waitFor } from '../../support/database.ts'
import { on } from './command.ts'

forEachMajor((major) => {
  test('apply, run, status, refresh, pause, resume and verify work on a view together', async () => {
    const database = await freshDatabase(major)
    await database.query('create table event (id bigint primary key, name text)')
    await database.query(`insert into event select n, 'event ' || n from generate_series(1, 20) n`)
    await apply(
      database,
      `export const bigEvent = defineView({
        name: 'big_event', query: sql\`select * from event where id > 10\`, key: ['id'], refresh: { every: '1 hour' } })`,
    )
    expect(await viewOf(database)).toMatchObject({
      project: 'default',
      name: 'bigEvent',
      state: 'never refreshed',
      every: '01:00:00',
    })
    expect((await on(database, 'verify')).stdout).toContain(
      'big_event: it holds nothing yet, and pgfresh has never refreshed it\n',
    )

    start(database)
    await waitFor('the view to be filled', async () => (await viewOf(database)).state === 'fresh')
    expect(await viewOf(database)).toMatchObject({
      failures: 0,
      last_execution: { outcome: 'refreshed', error: null },
      last_error: null,
    })
    expect((await on(database, 'verify', 'big_event')).stdout).toContain('no drift in 1 view\n')

    await database.query(`insert into event values (21, 'new')`)
    const behind = await on(database, 'verify')
    expect(behind.code).toBe(0)
    expect(behind.stdout).toMatch(
      /big_event: behind by 1 row \(1 missing, 0 extra\), refreshed .* ago, next in (1 h 00 m|59 m \d\d s)\n/,
    )
    expect((await on(database, 'refresh', 'big_event')).stdout).toBe('asked for a refresh of big_event\n')
    await waitFor('the refresh', () => isEqual(database))
    expect(await viewOf(database)).toMatchObject({
      state: 'fresh',
      last_execution: { triggered_by: 'request', concurrent: true },
    })

    await on(database, 'pause', 'big_event')
    await database.query(`insert into event values (22, 'new')`)
    expect((await on(database, 'refresh', 'big_event')).stderr).toContain('big_event is paused')
    await waitFor('the request to be read', async () => {
      const prompts = await database.query('select from pgfresh.view_prompt')
      return prompts.length === 1
    })
    expect(await viewOf(database)).toMatchObject({ state: 'paused', next_refresh_at: null })
    expect(await isEqual(database)).toBe(false)
    await on(database, 'resume', 'big_event')
    await waitFor('what was asked for while it was paused', () => isEqual(database))
  })

  test('a view that fails is shown with its error, and drifts', async () => {
    const database = await freshDatabase(major)
    await database.query('create table event (id bigint primary key, price numeric)')
    await database.query('insert into event values (1, 1), (2, 2)')
    await apply(
      database,
      `export const share = defineView({
        name: 'share', query: sql\`select id, 100 / price as share from event where price < 100\`, refresh: { every: '1 hour' } })`,
    )
    start(database)
    await waitFor('the view to be filled', async () => (await viewOf(database)).state === 'fresh')

    await database.query('insert into event values (3, 0)')
    await on(database, 'refresh', 'share')
    await waitFor('the failure', async () => (await viewOf(database)).state === 'failing')

    const view = await viewOf(database)
    expect(view).toMatchObject({
      last_error: { error: 'division by zero' },
      last_execution: { outcome: 'failed' },
    })
    expect(view.next_refresh_at).not.toBeNull()
    expect((await on(database, 'status')).stdout).toMatch(
      /\nshare +failing \d times? .*\n\nshare: division by zero \(.* ago\)\n/,
    )
    // Computing it for verify fails just so.
    expect(await on(database, 'verify')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining("can't be compared"),
    })

    await database.query('update event set price = 50 where id = 3')
    await waitFor('the next try', async () => (await viewOf(database)).state === 'fresh', {
      timeoutMs: 30_000,
    })
    expect(await isEqual(database)).toBe(true)
  })

  test('a view that is skipped while nothing changes drifts if it differs all the same', async () => {
    const database = await freshDatabase(major)
    await database.query('create table event (id bigint primary key, name text, price numeric)')
    await database.query(`insert into event values (1, 'one', 1), (2, 'two', 2)`)
    await apply(
      database,
      `export const names = defineView({
        name: 'names', query: sql\`select id, name from event\`, skipUnchanged: true, refresh: { every: '1 hour' } })`,
    )
    start(database)
    await waitFor('the view to be filled', async () => (await viewOf(database)).state === 'fresh')
    expect((await on(database, 'verify')).stdout).toContain('no drift in 1 view\n')

    await database.query(`insert into event values (3, 'three', 3)`)
    expect(await on(database, 'verify')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('names: behind by 1 row (1 missing, 0 extra)'),
    })
    await on(database, 'refresh', 'names')
    await waitFor('the refresh', () => isEqual(database))

    await database.query('alter table event disable trigger all')
    await database.query(`insert into event values (4, 'four', 4)`)
    const { code, stdout } = await on(database, 'verify')
    expect(code).toBe(2)
    expect(stdout).toContain(
      'names: differs by 1 row (1 missing, 0 extra), and nothing that it reads has changed since its last refresh\n' +
        'names lacks {"id":4,"name":"four"}\n',
    )
  })
})

async function apply(database: TestDatabase, body: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'pgfresh-views-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  writeFileSync(join(directory, 'views.ts'), `import { defineView, sql } from 'pgfresh'\n\n${body}\n`)
  const { code, stderr } = await on(database, 'apply', '--yes', '--definitions', directory)
  expect(code, stderr).toBe(0)
}

/** A daemon that runs until the end of the test. */
function start(database: TestDatabase): void {
  const stop = new AbortController()
  const sink = { write: () => {} }
  const running = runCommand({
    argv: ['run', '--poll', '50', '--no-listen', '--log-level', 'error'],
    env: { DATABASE_URL: database.url },
    stdin: process.stdin,
    stdout: sink,
    stderr: sink,
    signal: stop.signal,
  })
  onTestFinished(async () => {
    stop.abort()
    await running
  })
}

async function viewOf(database: TestDatabase) {
  return JSON.parse((await on(database, 'status', '--json')).stdout).views[0]
}

async function isEqual(database: TestDatabase): Promise<boolean> {
  const { views } = JSON.parse((await on(database, 'verify', '--json')).stdout)
  return views[0].result === 'equal'
}
