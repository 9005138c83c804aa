/**
 * `pgfresh refresh`: what is asked for is in the log, exactly as it was written.
 */
import { expect, test } from 'vitest'
import { forEachMajor, freshDatabase, type Major } from '../../support/database.ts'
import { beat, makeVenues, plan } from '../status/venues.ts'
import { on } from './command.ts'

forEachMajor((major) => {
  test('a whole target is asked for', async () => {
    const { database, requests } = await prepared(major)

    expect(await on(database, 'refresh', 'venue')).toEqual({
      code: 0,
      stdout: 'asked for all rows of venue\n',
      stderr: '',
    })
    expect(await requests()).toEqual([{ keys: null, columns: null }])
  })

  test('keys and columns are asked for in every form, and never go through a JavaScript number', async () => {
    const { database, requests } = await prepared(major)

    const { code, stdout } = await on(
      database,
      'refresh',
      'public.venue',
      '--keys',
      '[[9007199254740993], 5, {"id": "6"}]',
      '--columns=showtime_count',
    )

    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'asked for 3 rows of venue, columns showtime_count\n',
    })
    expect(await requests()).toEqual([
      { keys: '[[9007199254740993], [5], ["6"]]', columns: '["showtime_count"]' },
    ])
  })

  test('--json prints what was asked for', async () => {
    const { database } = await prepared(major)

    const { stdout } = await on(database, 'refresh', 'venue', '--json', '--keys=[1]')

    expect(JSON.parse(stdout)).toEqual({ target: 'venue', whole: false, rows: 1, columns: null })
  })

  test('names are read as SQL reads them', async () => {
    const { database } = await prepared(major)
    await database.query('create schema sales')
    await database.query('alter table venue rename to "Order"')
    await database.query('alter table "Order" set schema sales')

    expect((await on(database, 'refresh', 'sales."Order"')).stdout).toBe(
      'asked for all rows of sales."Order"\n',
    )
    expect((await on(database, 'refresh', 'sales.Order')).stderr).toContain(
      'there is no table or materialized view sales.Order',
    )
  })

  test('without a daemon the request is kept, and that is said', async () => {
    const { database, requests } = await prepared(major, { daemon: false })

    const { code, stderr } = await on(database, 'refresh', 'venue')

    expect(code).toBe(0)
    expect(stderr).toContain('No daemon runs now')
    expect(await requests()).toHaveLength(1)
  })

  test.each([
    ['an unknown table', ['veneu'], 'there is no table or materialized view veneu: did you mean venue?'],
    ['a table with no definition', ['showtime'], 'nothing is materialized on showtime'],
    ['no name', ['a b'], '"a b" is not a name as SQL writes it'],
    ['an unknown column', ['venue', '--columns', 'showtime_cuont'], 'did you mean showtime_count?'],
    [
      'a key of another shape',
      ['venue', '--keys', '[[1, 2]]'],
      "Write '[[42]]' or '[42]' or '[{\"id\": 42}]'.",
    ],
    [
      'a value of another type',
      ['venue', '--keys', '[1, "abc"]'],
      'invalid input syntax for type bigint: "abc"',
    ],
    [
      'a number out of range',
      ['venue', '--keys', '[{"id": 99999999999999999999}]'],
      'out of range for type bigint',
    ],
    ['no JSON', ['venue', '--keys', '[[1'], '--keys is no JSON'],
  ])('%s is refused, and nothing is asked for', async (_, argv, message) => {
    const { database, requests } = await prepared(major)

    const { code, stdout, stderr } = await on(database, 'refresh', ...argv)

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(message)
    expect(await requests()).toEqual([])
  })

  test('a role that may not update the target is refused in the words of the server', async () => {
    const { database, requests } = await prepared(major)
    const role = await database.createRole()
    await database.query(`grant usage on schema pgfresh to ${role.name}`)
    await database.query(`grant select on all tables in schema pgfresh to ${role.name}`)

    const { code, stderr } = await on(role.url, 'refresh', 'venue')

    expect(code).toBe(1)
    expect(stderr).toContain(`can't ask for venue: role ${role.name} may not update public.venue`)
    expect(stderr).toContain('grant update on public.venue')
    expect(await requests()).toEqual([])
  })
})

async function prepared(major: Major, { daemon = true } = {}) {
  const database = await freshDatabase(major)
  await makeVenues(database)
  if (daemon) await beat(database)
  await plan(database)
  const requests = () =>
    database.query<{ keys: string | null; columns: string | null }>(
      `select nullif(new_row -> 'keys', 'null')::text as keys, nullif(new_row -> 'columns', 'null')::text as columns
       from pgfresh.change_log where op = 'R'`,
    )
  return { database, requests }
}
