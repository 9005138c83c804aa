/**
 * Views on the command line: what status, refresh and verify print of them and their exit codes. The facts are tested in pg/status.
 */
import { expect, test } from 'vitest'
import { forEachMajor, freshDatabase, type Major } from '../../support/database.ts'
import { beat } from '../status/venues.ts'
import { addExecution, makeEvents, makeView, setState, type ViewOptions } from '../status/views.ts'
import { on } from './command.ts'

forEachMajor((major) => {
  test('status shows the views of the schedule below the materializations, --json with their moments', async () => {
    const { database, id } = await prepared(major, { declared: true })
    await addExecution(database, id, { outcome: 'refreshed', ago: '3 minutes', took: '1.5 s', rows: 1234 })
    const own = await makeView(database, {
      name: '"Own"',
      timing: { cron: '*/10 * * * *', timeZone: 'Asia/Tokyo' },
    })
    await setState(database, own, `failures = 2, attempted_at = now(), error = 'division by zero'`)

    const text = await on(database, 'status')
    const json = await on(database, 'status', '--json')

    expect(text).toMatchObject({ code: 0, stderr: '' })
    expect(text.stdout).toMatch(
      new RegExp(
        [
          '^VIEW +STATE +SCHEDULE +REFRESHED +NEXT +TOOK +OUTCOME +ROWS +SIZE',
          'big_event +fresh +every 10 minutes +3 m \\d\\d s ago +in [67] m \\d\\d s +1\\.5 s +refreshed +~1,234 +121 kB',
          '"Own" +failing 2 times +\\*/10 \\* \\* \\* \\* Asia/Tokyo +3 m \\d\\d s ago +in \\d+(\\.\\d)? s +- +- +- +-',
          '',
          '"Own": division by zero \\(.* ago\\)',
          '',
          'watermark .*, 1 daemon running\n$',
        ].join('\n'),
      ),
    )
    const { views } = JSON.parse(json.stdout)
    expect(views).toMatchObject([
      {
        project: 'default',
        name: 'big_event definition',
        view: 'big_event',
        state: 'fresh',
        last_refresh_ms: 1500,
        last_execution: {
          outcome: 'refreshed',
          triggered_by: 'schedule',
          ms: 1500,
          concurrent: true,
          error: null,
        },
        rows_estimated: 1234,
        bytes: 123_400,
      },
      {
        project: null,
        view: '"Own"',
        state: 'failing',
        failures: 2,
        last_error: { error: 'division by zero' },
      },
    ])
    for (const name of ['last_attempted_at', 'last_refreshed_at', 'next_refresh_at']) {
      expect(views[0][name]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d$/)
    }
  })

  test('a refresh is asked for, and the request is an entry of the log', async () => {
    const { database, id } = await prepared(major)

    expect(await on(database, 'refresh', 'big_event')).toEqual({
      code: 0,
      stdout: 'asked for a refresh of big_event\n',
      stderr: '',
    })
    expect(await database.query(`select new_row from pgfresh.change_log where op = 'R'`)).toEqual([
      { new_row: { view: Number(id) } },
    ])
    expect(JSON.parse((await on(database, 'refresh', 'public.big_event', '--json')).stdout)).toEqual({
      target: 'big_event',
      whole: true,
      rows: null,
      columns: null,
    })
  })

  test('a request for a paused view is kept, and that is said', async () => {
    const { database } = await prepared(major)
    await database.query('update pgfresh.materialized_view_refresh_schedule set enabled = false')

    const { code, stderr } = await on(database, 'refresh', 'big_event')

    expect(code).toBe(0)
    expect(stderr).toBe(
      'big_event is paused: the request is kept, and done after "pgfresh resume big_event".\n',
    )
  })

  test.each([
    [
      'keys of a view',
      ['big_event', '--keys', '[[1]]'],
      'big_event is a materialized view: it is refreshed as a whole\n  Leave out --keys and --columns.\n',
    ],
    [
      'columns of a view',
      ['big_event', '--columns', 'name'],
      'big_event is a materialized view: it is refreshed as a whole\n  Leave out --keys and --columns.\n',
    ],
    [
      'a view that is in no row of the schedule',
      ['other'],
      'the materialized view other is not in the refresh schedule\n' +
        '  Insert a row for it into pgfresh.materialized_view_refresh_schedule, or declare it in a definition file and run "pgfresh apply".\n',
    ],
    [
      'a name like one',
      ['big_evnt'],
      'there is no table or materialized view big_evnt: did you mean big_event?\n  Targets in this database: big_event.\n',
    ],
    [
      'a plain table',
      ['event'],
      'nothing is materialized on event\n  Targets in this database: big_event.\n',
    ],
  ])('%s is refused, and nothing is asked for', async (_, argv, message) => {
    const { database } = await prepared(major)
    await database.query('create materialized view other as select 1 as one')

    expect(await on(database, 'refresh', ...argv)).toEqual({ code: 1, stdout: '', stderr: message })
    expect(await database.query(`select from pgfresh.change_log where op = 'R'`)).toEqual([])
  })

  test('verify says that a view is equal, or how far it is behind, and ends with 0', async () => {
    const { database } = await prepared(major, { declared: true })
    const equal = await on(database, 'verify')
    expect(equal).toMatchObject({ code: 0, stderr: '' })
    expect(equal.stdout).toMatch(
      /^VIEW +ROWS +MISSING +EXTRA +REFRESHED +NEXT +RESULT\nbig_event +10 +0 +0 +3 m \d\d s ago +in [67] m \d\d s +equal\n\nno drift in 1 view\n$/,
    )

    await database.query('delete from event where id = 11')
    await database.query(`insert into event values (9007199254740993, 'new', 1.10), (22, 'new', 2)`)
    const behind = await on(database, 'verify', 'big_event')
    expect(behind.code).toBe(0)
    expect(behind.stdout).toMatch(
      /\n\nbig_event: behind by 3 rows \(2 missing, 1 extra\), refreshed 3 m \d\d s ago, next in [67] m \d\d s\n\nno drift in 1 view \(1 behind\)\n$/,
    )
    const json = await on(database, 'verify', '--json')
    expect(JSON.parse(json.stdout)).toMatchObject({
      views_drift: 0,
      materializations: [],
      views: [
        {
          project: 'default',
          view: 'big_event',
          result: 'behind',
          because: null,
          rows: 10,
          missing: 2,
          extra: 1,
          missing_rows: [
            { id: 22, name: 'new', price: 2 },
            { id: '9007199254740993', name: 'new', price: '1.10' },
          ],
          extra_rows: [{ id: 11, name: 'event 11', price: '11.10' }],
          error: null,
        },
      ],
    })
  })

  test('verify of a view that should not differ shows rows, and ends with 2', async () => {
    const { database, id } = await prepared(major, { declared: true })
    await database.query('delete from event where id = 11')
    await setState(database, id, `failures = 2, attempted_at = now(), error = 'division by zero'`)

    const { code, stdout } = await on(database, 'verify')

    expect(code).toBe(2)
    expect(stdout).toContain(
      '\nbig_event: differs by 1 row (0 missing, 1 extra), and its refresh fails (2 times): division by zero\n' +
        `big_event has {"id":11,"name":"event 11","price":11.10}, which its query doesn't return\n\n` +
        'drift in 1 of 1 view\n',
    )
    expect((await on(database, 'verify', '--json')).code).toBe(2)
  })

  test("people's own rows are verified by name alone", async () => {
    const { database } = await prepared(major)

    expect((await on(database, 'verify')).stderr).toContain('there is nothing to verify')
    expect(await on(database, 'verify', 'big_event')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('equal'),
    })
    expect((await on(database, 'verify', 'big_event', '--project', 'films')).stderr).toContain(
      'project films materializes nothing on big_event',
    )
  })

  test('a view whose query fails ends with 1', async () => {
    const { database } = await prepared(major, { query: 'select 100 / price as q from event' })
    await database.query('update event set price = 0 where id = 11')

    const { code, stdout } = await on(database, 'verify', 'big_event')

    expect(code).toBe(1)
    expect(stdout).toContain(
      "\nbig_event: can't be compared: division by zero\n\nno drift in 0 views; 1 view can't be compared\n",
    )
  })
})

async function prepared(major: Major, options: ViewOptions = {}) {
  const database = await freshDatabase(major)
  await makeEvents(database)
  await beat(database)
  const id = await makeView(database, options)
  return { database, id }
}
