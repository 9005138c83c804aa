/**
 * `pgfresh pause` and `pgfresh resume`: what they say, and that status and refresh say it too. What it means for the work is tested
 * with the daemon.
 */
import { expect, test } from 'vitest'
import { forEachMajor, freshDatabase, type TestDatabase } from '../../support/database.ts'
import { beat, makeVenues } from '../status/venues.ts'
import { makeEvents, makeView } from '../status/views.ts'
import { on } from './command.ts'

forEachMajor((major) => {
  test('columns are paused and resumed, once each', async () => {
    const database = await freshDatabase(major)
    await makeVenues(database)
    await beat(database)

    expect(await on(database, 'pause', 'venue')).toEqual({
      code: 0,
      stdout: 'paused venue: what changes is kept, and worked off after "pgfresh resume venue"\n',
      stderr: '',
    })
    expect(await stateOf(database)).toMatchObject({ state: 'paused', paused_at: expect.any(String) })
    expect(await on(database, 'pause', 'venue')).toEqual({
      code: 0,
      stdout: 'venue is paused already\n',
      stderr: '',
    })
    expect((await on(database, 'refresh', 'venue', '--keys', '[1]')).stderr).toBe(
      'venue is paused: the request is kept, and done after "pgfresh resume venue".\n',
    )

    expect(await on(database, 'resume', 'venue')).toEqual({
      code: 0,
      stdout: 'resumed venue: what changed meanwhile is worked off now\n',
      stderr: '',
    })
    expect(await stateOf(database)).toMatchObject({ state: 'catching up', paused_at: null })
    expect(await on(database, 'resume', 'venue')).toEqual({
      code: 0,
      stdout: 'venue is not paused\n',
      stderr: '',
    })
  })

  test('a view is paused and resumed by its row in the schedule', async () => {
    const database = await freshDatabase(major)
    await makeEvents(database)
    await makeView(database, { name: '"Big Event"' })

    expect((await on(database, 'pause', '"Big Event"')).stdout).toBe(
      `paused "Big Event": it is not refreshed until "pgfresh resume '"Big Event"'"\n`,
    )
    expect((await on(database, 'status')).stdout).toMatch(/\n"Big Event" +paused /)
    expect(await database.query('select enabled from pgfresh.materialized_view_refresh_schedule')).toEqual([
      { enabled: false },
    ])

    expect((await on(database, 'resume', 'public."Big Event"')).stdout).toBe(
      'resumed "Big Event": it is refreshed by its schedule again, at once if that was missed\n',
    )
    expect((await on(database, 'status')).stdout).toMatch(/\n"Big Event" +fresh /)
    expect((await on(database, 'resume', '"Big Event"')).stdout).toBe('"Big Event" is not paused\n')
  })

  test.each([
    ['an unknown target', 'veneu', 'there is no table or materialized view veneu: did you mean venue?'],
    ['a table with no definition', 'showtime', 'nothing is materialized on showtime'],
    ['no name', 'a b', '"a b" is not a name as SQL writes it'],
  ])('%s is refused by both', async (_, written, message) => {
    const database = await freshDatabase(major)
    await makeVenues(database)

    for (const verb of ['pause', 'resume']) {
      const { code, stdout, stderr } = await on(database, verb, written)
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
      expect(stderr).toContain(message)
    }
  })

  test('a role that may not update the target is refused', async () => {
    const database = await freshDatabase(major)
    await makeVenues(database)
    const role = await database.createRole()
    await database.query(`grant usage on schema pgfresh to ${role.name}`)
    await database.query(`grant select on all tables in schema pgfresh to ${role.name}`)

    expect(await on(role.url, 'pause', 'venue')).toEqual({
      code: 1,
      stdout: '',
      stderr: `can't pause venue: role ${role.name} may not update public.venue\n  grant update on public.venue to ${role.name}.\n`,
    })
    expect(await stateOf(database)).toMatchObject({ state: 'fresh' })
  })

  test('verify does not wait for what is paused', async () => {
    const database = await freshDatabase(major)
    await makeVenues(database)
    await beat(database)
    await on(database, 'pause', 'venue')
    await database.query('delete from showtime where id = 3')

    const { code, stdout } = await on(database, 'verify')

    expect(code).toBe(0)
    expect(stdout).toContain('no drift in 10 rows; 1 row unsettled: changes wait for "pgfresh resume"\n')
  })
})

async function stateOf(database: TestDatabase) {
  const { stdout } = await on(database, 'status', '--json')
  return JSON.parse(stdout).materializations[0]
}
