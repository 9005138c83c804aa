/**
 * `pgfresh status` on a real database; its texts are tested in unit/cli, its facts in pg/status.
 */
import { expect, test } from 'vitest'
import { runCommand } from '../../../src/cli/cli.ts'
import { forEachMajor, freshDatabase, waitFor } from '../../support/database.ts'
import { beat, makeVenues } from '../status/venues.ts'
import { on } from './command.ts'

forEachMajor((major) => {
  test('status prints a table, --json an object, and --project narrows both', async () => {
    const database = await freshDatabase(major)
    await makeVenues(database)
    await beat(database)

    const text = await on(database, 'status')
    const json = await on(database, 'status', '--json')
    const other = await on(database, 'status', '--project', 'films')

    expect(text).toMatchObject({ code: 0, stderr: '' })
    expect(text.stdout).toMatch(
      /^TARGET .*\nvenue +showtime_count +fresh +0 +0 +0 +0 +0 +-\n\nwatermark .*, 1 daemon running\n$/,
    )
    expect(JSON.parse(json.stdout)).toMatchObject({
      materializations: [{ target: 'venue', state: 'fresh', lag_ms: 0 }],
    })
    expect(other.stdout).toContain('Nothing is materialized here yet')
  })

  test('--watch redraws until it is told to stop, and leaves the last drawing', async () => {
    const database = await freshDatabase(major)
    await makeVenues(database)
    const stop = new AbortController()
    let written = ''
    const writer = { isTTY: true, columns: 200, rows: 50, write: (text: string) => (written += text) }

    const running = runCommand({
      argv: ['status', '--watch'],
      env: { DATABASE_URL: database.url, NO_COLOR: '1' },
      stdin: process.stdin,
      stdout: writer,
      stderr: writer,
      signal: stop.signal,
    })
    await waitFor('a drawing', () => written.includes('catching up') || written.includes('fresh'))
    await database.query('delete from showtime where id = 3')
    await waitFor('the next drawing', () => written.includes('catching up'))
    stop.abort()

    expect(await running).toBe(0)
    expect(written).toContain('\u001b[4A\u001b[0J')
    expect(written.endsWith('\n')).toBe(true)
  })

  test('--watch needs a terminal and excludes --json', async () => {
    const database = await freshDatabase(major)

    expect((await on(database, 'status', '--watch')).stderr).toContain('stdout is none')
    expect((await on(database, 'status', '--watch', '--json')).stderr).toContain('exclude each other')
  })
})
