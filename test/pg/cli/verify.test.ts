/**
 * `pgfresh verify`: its exit codes and what it prints. What is drift is tested in status/verify.test.ts.
 */
import { expect, test } from 'vitest'
import { forEachMajor, freshDatabase, type Major, type TestDatabase } from '../../support/database.ts'
import { makeVenues, plan, type VenueOptions } from '../status/venues.ts'
import { on } from './command.ts'

forEachMajor((major) => {
  test('no drift ends with 0', async () => {
    const database = await prepared(major)

    const { code, stdout, stderr } = await on(database, 'verify')

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/\nvenue +showtime_count +10 of ~\d+ +0 +0 +0 +0\n\nno drift in 10 rows\n$/)
  })

  test('drift ends with 2 and names the keys', async () => {
    const database = await prepared(major)
    await spoil(database)

    const text = await on(database, 'verify', 'venue', '--all')
    const json = await on(database, 'verify', '--all', '--json')

    expect(text.code).toBe(2)
    expect(text.stdout).toContain('\nvenue [4]: showtime_count is 7, fresh 3\n\ndrift in 1 of 10 rows\n')
    expect(json.code).toBe(2)
    expect(JSON.parse(json.stdout)).toMatchObject({
      checked: 10,
      drift: 1,
      unsettled: 0,
      materializations: [
        {
          target: 'venue',
          drift: [{ key: [4], columns: [{ name: 'showtime_count', stored: '7', fresh: '3' }] }],
        },
      ],
    })
  })

  test('keys that cannot be computed end with 1, and with 2 if others drift', async () => {
    const expression = '(select count(*) from showtime s where s.venue_id = venue.id) + 0 / (venue.id - 9)'
    const database = await prepared(major, { expression })
    await database.query(
      `insert into pgfresh.quarantine (materialization, key, error, retry_at) select id, '[9]', 'division by zero', now() from pgfresh.materialization`,
    )

    const failing = await on(database, 'verify', '--json')
    expect(failing.code).toBe(1)
    expect(JSON.parse(failing.stdout)).toMatchObject({
      drift: 0,
      failed: 1,
      materializations: [{ quarantined: 1, failed: [{ key: [9], error: 'division by zero' }] }],
    })

    await spoil(database)
    expect((await on(database, 'verify')).code).toBe(2)
  })

  test('a change that is pending while no daemon runs is said, not waited for, and no drift', async () => {
    const database = await prepared(major)
    await database.query('delete from showtime where id = 3')

    const { code, stdout } = await on(database, 'verify')

    expect(code).toBe(0)
    expect(stdout).toContain('1 row unsettled: changes are pending and no daemon runs')
  })

  test.each([
    ['--all with --sample', ['--all', '--sample', '5'], '--all and --sample exclude each other'],
    ['an unknown target', ['film'], 'there is no table or materialized view film'],
    ['a project that has nothing', ['--project', 'films'], 'project films materializes nothing'],
  ])('%s is refused', async (_, argv, message) => {
    const database = await prepared(major)

    const { code, stdout, stderr } = await on(database, 'verify', ...argv)

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(message)
  })
})

async function prepared(major: Major, options: VenueOptions = {}): Promise<TestDatabase> {
  const database = await freshDatabase(major)
  await makeVenues(database, options)
  return database
}

async function spoil(database: TestDatabase): Promise<void> {
  await database.query('alter table venue disable trigger all')
  await database.query('update venue set showtime_count = 7 where id = 4')
  await plan(database)
}
