/**
 * `pgfresh run` as a command: when it ends, and with which exit code. What the daemon does is tested in pg/daemon.
 */
import { expect, onTestFinished, test } from 'vitest'
import { runCommand } from '../../../src/cli/cli.ts'
import type { Writer } from '../../../src/cli/context.ts'
import { forEachMajor, freshDatabase, type TestDatabase, waitFor } from '../../support/database.ts'
import { makeVenues } from '../status/venues.ts'
import { on } from './command.ts'

forEachMajor((major) => {
  test('--until-idle makes fresh what was committed, and verify finds nothing', async () => {
    const database = await freshDatabase(major)
    await makeVenues(database)
    await database.query('delete from showtime where id in (3, 7, 9)')
    await database.query('insert into venue (id) values (11)')

    expect((await on(database, 'run', '--until-idle', '--log-level', 'error')).code).toBe(0)

    expect(
      await on(database, 'verify', '--all', '--json').then(({ stdout }) => JSON.parse(stdout)),
    ).toMatchObject({
      checked: 11,
      drift: 0,
      unsettled: 0,
    })
    expect(
      (await on(database, 'status', '--json').then(({ stdout }) => JSON.parse(stdout))).materializations,
    ).toMatchObject([{ state: 'fresh', pending: 0, tasks: 0, lag_ms: 0 }])
  })

  test('--until-idle ends with 1 while keys stay in quarantine, and says so', async () => {
    const database = await freshDatabase(major)
    await makeVenues(database, { expression: '1 / (venue.id - 4)' })
    await database.query('update venue set materialized_at = null')

    const { code, stderr } = await on(database, 'run', '--until-idle', '--log-level', 'silent')

    expect(code).toBe(1)
    expect(stderr).toBe('Not all is fresh (1 key in quarantine): "pgfresh status" shows why.\n')
    expect((await on(database, 'status')).stdout).toContain('venue [4]: division by zero (')
  })

  test('it runs until it is told to stop, with daemons and progress in view', async () => {
    const database = await freshDatabase(major)
    await makeVenues(database)
    const stop = new AbortController()
    onTestFinished(() => stop.abort())
    const running = start(database, stop.signal)

    await waitFor('the daemon to be listed', async () =>
      (await on(database, 'status')).stdout.includes('1 daemon running'),
    )
    await database.query('delete from showtime where id = 3')
    await waitFor('the change to be fresh', async () => {
      const [row] = await database.query<{ count: string }>(
        'select showtime_count::text as count from venue where id = 4',
      )
      return row?.count === '2'
    })
    stop.abort()

    expect(await running.code).toBe(0)
    expect(running.written()).toContain('pgfresh runs')
    expect((await on(database, 'status')).stdout).toContain('no daemon runs')
  })

  test('on a terminal a backfill has a bar below the log', async () => {
    const database = await freshDatabase(major)
    await makeVenues(database, { expression: '(select 3 from pg_sleep(0.4 + 0 * venue.id))' })
    await database.query(
      `insert into pgfresh.walk (materialization, why) select id, 'backfill' from pgfresh.materialization`,
    )
    const stop = new AbortController()
    onTestFinished(() => stop.abort())
    const running = start(database, stop.signal, { isTTY: true, columns: 120, rows: 40 })

    await waitFor('a bar', () => /venue {2}░{24} .* rows\n/.test(running.written()))
    stop.abort()

    expect(await running.code).toBe(0)
    // What was drawn last is taken away again.
    expect(running.written().endsWith('\u001b[1A\u001b[0J')).toBe(true)
  })
})

function start(database: TestDatabase, signal: AbortSignal, terminal: Partial<Writer> = {}) {
  let written = ''
  const writer = { ...terminal, write: (text: string) => (written += text) }
  const code = runCommand({
    // The triggers of these tests ring no bell.
    argv: ['run', '--poll', '50', '--no-listen'],
    env: { DATABASE_URL: database.url },
    stdin: process.stdin,
    stdout: writer,
    stderr: writer,
    signal,
  })
  return { code, written: () => written }
}
