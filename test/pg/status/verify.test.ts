/**
 * Drift is what is wrong with nothing on its way; a change on its way is not. No daemon runs: the tests play its part.
 */
import { setImmediate as letOthersRun } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Session } from '../../../src/db/session.ts'
import { loadCatalogue } from '../../../src/materialization/store.ts'
import type { VerifyOptions } from '../../../src/status/verify/verification.ts'
import { verify } from '../../../src/status/verify/verify.ts'
import {
  forEachMajor,
  freshDatabase,
  type Major,
  type TestDatabase,
  waitFor,
} from '../../support/database.ts'
import { beat, compute, makeVenues, plan, type VenueOptions } from './venues.ts'

forEachMajor((major) => {
  test('what is right is no drift, all of it or a sample', async () => {
    const { run } = await prepared(major, { rows: 1000 })

    expect(await run({ rows: 'all' })).toMatchObject({ checked: 1000, drift: [], unsettled: [], failed: [] })
    expect(await run({ rows: 100 })).toMatchObject({ checked: 100, drift: [] })
  })

  test('a large table is sampled by blocks', async () => {
    const { run } = await prepared(major, { rows: 30_000 })

    const { checked, rows, drift } = await run({ rows: 100 })

    expect({ checked, drift }).toEqual({ checked: 100, drift: [] })
    expect(rows).toBeGreaterThan(20_000)
  })

  test('a value that nobody is about to mend is drift at once, with both values', async () => {
    const { database, run } = await prepared(major)
    await spoil(database, 'showtime_count = 7', 'id = 4')

    const { drift } = await run({ rows: 'all' })

    expect(drift).toEqual([
      { key: '[4]', uncomputed: false, columns: [{ name: 'showtime_count', stored: '7', fresh: '3' }] },
    ])
  })

  test('a NULL stamp is drift only if nothing is on its way', async () => {
    const { database, id, run } = await prepared(major)
    await spoil(database, 'materialized_at = null', 'id = 2')

    expect(await run({ rows: 'all' })).toMatchObject({
      drift: [{ key: '[2]', uncomputed: true, columns: [] }],
    })

    await addTask(database, id, '[[2]]')
    expect(await run({ rows: 'all' })).toMatchObject({
      drift: [],
      unsettled: [{ key: '[2]', uncomputed: true }],
    })
  })

  test('without a daemon a pending change leaves the row unsettled, and nobody waits', async () => {
    const { database, verifyAll } = await prepared(major)
    await database.query('delete from showtime where id = 3')

    const found = await verifyAll({ rows: 'all' })

    expect(found.unsettled).toBe('no daemon')
    expect(found.verifications).toMatchObject([{ drift: [], unsettled: [{ key: '[4]' }] }])
  })

  test('a change that is worked off meanwhile is no drift', async () => {
    const { database, id, run } = await prepared(major)
    await beat(database)
    await database.query('delete from showtime where id = 3')

    const running = run({ rows: 'all' })
    await waitFor('verify to look at the progress', () => hasVerifyLooked(database))
    await addTask(database, id, '[[4]]')
    await plan(database)
    await looksAgain(database)
    expect(await isSettled(running)).toBe(false)
    await compute(database)
    await database.query('delete from pgfresh.task')

    expect(await running).toMatchObject({ drift: [], unsettled: [] })
  })

  test('a change whose task is put off is no drift until that is done', async () => {
    const { database, id, run } = await prepared(major)
    await beat(database)
    await addTask(database, id, '[[4]]')
    await database.query('delete from showtime where id = 3')
    await plan(database)

    const running = run({ rows: 'all' })
    await waitFor('verify to look at the progress', () => hasVerifyLooked(database))
    await database.query(
      `with task as (delete from pgfresh.task returning *)
       insert into pgfresh.deferred (due_at, lane, origin, materialization, kind, keys, why)
       select now(), lane, origin, materialization, kind, keys, why from task`,
    )
    await looksAgain(database)
    expect(await isSettled(running)).toBe(false)
    await compute(database)
    await database.query('delete from pgfresh.deferred')

    expect(await running).toMatchObject({ drift: [], unsettled: [] })
  })

  test('a wrong row under changes that never end is drift, since it does not move', async () => {
    const { database, id, run } = await prepared(major)
    await beat(database)
    await spoil(database, 'showtime_count = 7', 'id = 4')
    await addTask(database, id, '[[1]]')
    let done = false
    // There is always a task, each of a later origin than the last: the queue is never empty.
    const busy = (async () => {
      while (!done) {
        await addTask(database, id, '[[1]]')
        await database.query('delete from pgfresh.task where id < (select max(id) from pgfresh.task)')
        await plan(database)
      }
    })()

    const found = await run({ rows: 'all' })
    done = true
    await busy

    expect(found).toMatchObject({ drift: [{ key: '[4]' }], unsettled: [] })
  })

  test('what is not worked off by the deadline is unsettled, not drift', async () => {
    const { database, verifyAll } = await prepared(major)
    await beat(database)
    await database.query('delete from showtime where id = 3')

    const found = await verifyAll({ rows: 'all', settleMs: 300 })

    expect(found).toMatchObject({
      unsettled: 'deadline',
      verifications: [{ drift: [], unsettled: [{ key: '[4]' }] }],
    })
  })

  test('a key that cannot be computed is found by itself, and the others are verified', async () => {
    const { database, run } = await prepared(major, {
      rows: 500,
      expression: '(select count(*) from showtime s where s.venue_id = venue.id) + 0 / (venue.id - 123)',
    })
    await spoil(database, 'showtime_count = 7', 'id = 124')

    expect(await run({ rows: 'all' })).toMatchObject({
      checked: 499,
      failed: [{ key: '[123]', error: 'division by zero' }],
      drift: [{ key: '[124]' }],
    })
  })

  test('a definition that fails for every row says so once', async () => {
    const { database, run } = await prepared(major)
    await database.query('alter table showtime rename to screening')

    expect(await run({ rows: 'all' })).toMatchObject({
      error: 'relation "showtime" does not exist',
      drift: [],
      failed: [],
    })
  })

  test('so much drift that the rest is not read is said', async () => {
    const { database, run } = await prepared(major, { rows: 3000 })
    await spoil(database, 'showtime_count = 7', 'true')

    const { drift, stoppedEarly, checked } = await run({ rows: 'all' })

    expect(stoppedEarly).toBe(true)
    expect(drift.length).toBeGreaterThanOrEqual(1000)
    expect(checked).toBeLessThan(3000)
  })

  test('a locked row is verified without waiting, and a writer waits for nobody', async () => {
    const { database, run } = await prepared(major)
    const writer = await database.connect()
    await writer.query('begin')
    await writer.query('select from venue for update')

    expect(await run({ rows: 'all' })).toMatchObject({ checked: 10, drift: [] })
    await writer.query('rollback')
  })

  test('1.0 in place of 1.00 is drift: values are compared by their image', async () => {
    const { database, run } = await prepared(major, {
      expression: 'case when venue.id = 4 then 1.0 else 1.00 end',
    })
    await database.query('drop trigger log on venue')
    await database.query('alter table venue alter showtime_count type numeric using 1.00')
    await database.query(
      `update pgfresh.materialization set compiled = jsonb_set(compiled, '{columns,0,type}', '"numeric"')`,
    )

    expect((await run({ rows: 'all' })).drift).toEqual([
      { key: '[4]', uncomputed: false, columns: [{ name: 'showtime_count', stored: '1.00', fresh: '1.0' }] },
    ])
  })

  test('a key of (timestamptz, mixed-case text, numeric) is paged through exactly, whatever the role prints', async () => {
    const { database, verifyAll } = await prepared(major)
    await database.query(`create table log_entry (at timestamptz, "Code" text, amount numeric, showtime_count bigint,
      materialized_at timestamptz, primary key (at, "Code", amount))`)
    await database.query(`insert into log_entry select timestamptz '2026-03-29 00:59:59.123456+00' + n * interval '1 microsecond',
      case when n % 2 = 0 then 'Ab' else 'aB' end, n + 0.10, 1, now() from generate_series(1, 1000) n`)
    const key = [
      { name: 'at', type: 'timestamp with time zone', json: true },
      { name: 'Code', type: 'text', json: true },
      { name: 'amount', type: 'numeric', json: true },
    ]
    const target = { schema: 'public', name: 'log_entry' }
    const form = {
      kind: 'columns',
      expressions: { showtime_count: `case when log_entry.amount = 77.1 then 2 else 1 end` },
    }
    await database.query(
      `update pgfresh.materialization set target = 'log_entry'::regclass, compiled = compiled || $1`,
      [JSON.stringify({ key, target, form, routes: [] })],
    )
    await database.query(`alter database ${database.name} set datestyle = 'SQL, DMY'`)
    await database.query(`alter database ${database.name} set timezone = 'America/New_York'`)

    const found = await verifyAll({ rows: 'all' })

    expect(found.verifications).toMatchObject([
      { checked: 1000, drift: [{ key: '["2026-03-29T00:59:59.123533+00:00", "aB", 77.10]' }] },
    ])
  })
})

async function prepared(major: Major, venues: VenueOptions = {}) {
  const database = await freshDatabase(major)
  const { id } = await makeVenues(database, venues)
  const verifyAll = async (options: Omit<VerifyOptions, 'materializations'>) => {
    const session = await Session.open({ url: database.url }, 'verify')
    try {
      const { materializations } = await loadCatalogue(session)
      return await verify(session, { materializations, ...options })
    } finally {
      await session.close()
    }
  }
  const run = async (options: Omit<VerifyOptions, 'materializations'>) => {
    const [found] = (await verifyAll(options)).verifications
    if (found === undefined) throw new Error('nothing was verified')
    return found
  }
  return { database, id, run, verifyAll }
}

/** Writes as our own batch would, so that no trigger notices. */
async function spoil(database: TestDatabase, set: string, where: string): Promise<void> {
  const client = await database.connect()
  await client.query(`begin; set local pgfresh.batch = 'on'; update venue set ${set} where ${where}; commit`)
  await client.end()
  await plan(database)
}

async function addTask(database: TestDatabase, id: string, keys: string): Promise<void> {
  await database.query(
    `insert into pgfresh.task (id, lane, origin, materialization, kind, keys, why)
     select n, 4, n, $1, 'keys', $2, 'change of public.showtime' from nextval('pgfresh.task_id') n`,
    [id, keys],
  )
}

async function hasVerifyLooked(database: TestDatabase): Promise<boolean> {
  const rows = await database.query(
    `select from pg_stat_activity where datname = current_database() and application_name = 'pgfresh verify' and (query like '%enable_seqscan%' or query like '%verify: wait%')`,
  )
  return rows.length > 0
}

/** Returns once verify has looked several times more. */
async function looksAgain(database: TestDatabase): Promise<void> {
  const looks = new Set<string>()
  await waitFor('verify to look again', async () => {
    const rows = await database.query<{ at: string }>(
      `select query_start::text as at from pg_stat_activity where datname = current_database() and application_name = 'pgfresh verify'`,
    )
    for (const { at } of rows) looks.add(at)
    return looks.size >= 6
  })
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => true), letOthersRun().then(() => false)])
}
