/**
 * What the report says of states that are made one by one, and that it reads bookkeeping only.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Session } from '../../../src/db/session.ts'
import { report } from '../../../src/status/read-report.ts'
import type { MaterializationReport, Report } from '../../../src/status/report.ts'
import {
  forEachMajor,
  freshDatabase,
  type Major,
  type TestDatabase,
  testDatabase,
} from '../../support/database.ts'
import { beat, compute, makeVenues, plan, type VenueOptions, type Venues } from './venues.ts'

forEachMajor((major) => {
  test('with nothing pending a materialization is fresh, with no lag', async () => {
    const { look } = await prepared(major, { freshness: '2 s' })

    expect(await look()).toMatchObject({
      project: 'default',
      name: 'venue',
      target: 'venue',
      stamp: 'materialized_at',
      columns: ['showtime_count'],
      state: 'fresh',
      pending: { value: 0, estimate: false },
      tasks: 0,
      quarantined: { value: 0, estimate: false },
      lagMs: 0,
      freshnessMs: 2000,
      late: false,
      backfills: [],
      lastError: null,
      lastSuccessAgeMs: null,
    })
  })

  test('a change that no round has read is pending, and late once the watermark is older than the freshness', async () => {
    const { database, look } = await prepared(major, { freshness: '1 hour' })
    await database.query('delete from showtime where id in (3, 4)')

    expect(await look()).toMatchObject({
      state: 'catching up',
      pending: { value: 2, estimate: false },
      late: false,
    })

    await database.query(`update pgfresh.watermark_0 set created_at = now() - interval '2 hours'`)
    const old = await look()
    expect(old.late).toBe(true)
    expect(old.lagMs).toBeGreaterThanOrEqual(7_200_000)
  })

  test('a change of a column that a materialization does not read is not pending for it', async () => {
    const { database, look } = await prepared(major)
    await database.query(`update venue set name = 'x'`)

    expect(await look()).toMatchObject({ state: 'fresh', pending: { value: 0 } })
  })

  test('an entry whose mask names none of its routes is not pending for it, a TRUNCATE always is', async () => {
    const { database, captures, look } = await prepared(major)
    const log = (mask: number, op: string) =>
      database.query(
        'insert into pgfresh.change_log_0 (xid, capture, mask, op, new_key) values (pg_current_xact_id(), $1, $2, $3, 1)',
        [captures.showtime, mask, op],
      )

    await log(2, 'U')
    expect(await look()).toMatchObject({ pending: { value: 0 } })
    await log(1, 'U')
    expect(await look()).toMatchObject({ pending: { value: 1 } })
    await log(0, 'T')
    expect(await look()).toMatchObject({ pending: { value: 2 } })
  })

  test('a transaction that is open is not pending, and is once it commits', async () => {
    const { database, look } = await prepared(major)
    const writer = await database.connect()
    await writer.query('begin')
    await writer.query('delete from showtime where id = 3')
    await plan(database)

    expect(await look()).toMatchObject({ pending: { value: 0 } })

    await writer.query('commit')
    expect(await look()).toMatchObject({ pending: { value: 1 } })
  })

  test('a lag of the log is not older than what a daemon saw, less its beat', async () => {
    const { database, look } = await prepared(major, { freshness: '2 s' })
    await database.query(`update pgfresh.watermark_0 set created_at = now() - interval '2 hours'`)
    await beat(database)
    await database.query('delete from showtime where id = 3')

    expect(await look()).toMatchObject({ state: 'catching up', lagMs: 0, late: false })
  })

  test('past 10,000 changes the count is an estimate', async () => {
    const { database, look, all } = await prepared(major)
    await database.query('insert into showtime select n, 1 from generate_series(1000, 14000) n')

    expect((await look()).pending).toEqual({ value: 10_000, estimate: true })
    expect((await all()).pending).toEqual({ value: 10_000, estimate: true })
  })

  test('tasks, ready and deferred, count with their keys, and the oldest is the lag', async () => {
    const { database, id, look } = await prepared(major)
    await database.query(
      `insert into pgfresh.task (lane, origin, materialization, kind, keys, why, planned_at)
       values (4, 1, $1, 'keys', '[[1],[2]]', 'change of public.showtime', now() - interval '9 s')`,
      [id],
    )
    await database.query(
      `insert into pgfresh.deferred (due_at, lane, origin, materialization, kind, keys, why, planned_at)
       values (now(), 4, 2, $1, 'keys', '[[3]]', 'change of public.showtime', now() - interval '60 s')`,
      [id],
    )

    const found = await look()
    expect(found).toMatchObject({ state: 'catching up', tasks: 2, keys: 3 })
    expect(found.lagMs).toBeGreaterThanOrEqual(60_000)
    expect(found.lagMs).toBeLessThan(120_000)
  })

  test('an unexpanded huge transaction is pending for those that read its source', async () => {
    const { database, look } = await prepared(major)
    const [row] = await database.query<{ xid: string }>(
      `with gone as (delete from showtime where id <= 5 returning 1)
       select pg_current_xact_id()::text as xid, count(*) from gone`,
    )
    await plan(database)
    await database.query(
      `insert into pgfresh.task (lane, origin, kind, expand_xid, why) values (10, 1, 'expand', $1, 'bulk change')`,
      [row?.xid],
    )

    expect(await look()).toMatchObject({ state: 'catching up', pending: { value: 5 } })
  })

  test('a backfill has progress, a rate and what is left of it', async () => {
    const { database, id, look } = await prepared(major)
    await database.query(
      `insert into pgfresh.walk (materialization, why, columns, cursor, rows_planned, rows_estimated, created_at)
       values ($1, 'backfill', '{showtime_count}', '[4]', 4000, 10000, now() - interval '1 hour')`,
      [id],
    )
    await database.query(
      `insert into pgfresh.execution (materialization, daemon, why, outcome, started_at, ended_at, batches, rows_checked)
       values ($1, 'd1', 'backfill', 'done', now() - interval '15 s', now(), 20, 2000)`,
      [id],
    )
    await database.query(
      `insert into pgfresh.task (lane, origin, materialization, kind, range_to, walk, why)
       select 34, 1, $1, 'range', '[4]', (select id from pgfresh.walk), 'backfill' from generate_series(1, 2)`,
      [id],
    )

    const { state, lagMs, backfills } = await look()
    expect({ state, lagMs }).toEqual({ state: 'backfilling', lagMs: 0 })
    // 4,000 planned less two stretches of 100 rows; 2,000 rows in 15 s and the 5 s before.
    expect(backfills).toMatchObject([
      { why: 'backfill', columns: ['showtime_count'], rowsDone: 3800, rowsEstimated: 10_000, share: 0.38 },
    ])
    expect(backfills[0]?.rowsPerSecond).toBeCloseTo(100, -1)
    expect(backfills[0]?.etaMs).toBeCloseTo(62_000, -4)
  })

  test('quarantined keys make it failing, with the newest error and its key as it is', async () => {
    const { database, id, look } = await prepared(major)
    await database.query(
      `insert into pgfresh.quarantine (materialization, key, error, retry_at, last_failed_at)
       values ($1, '[1]', 'older', now(), now() - interval '1 minute'), ($1, '[9007199254740993]', 'division by zero', now(), now())`,
      [id],
    )

    const found = await look()
    expect(found).toMatchObject({ state: 'failing', quarantined: { value: 2, estimate: false } })
    expect(found.lastError).toMatchObject({ error: 'division by zero', key: '[9007199254740993]' })
  })

  test('a definition that fails as a whole is failing', async () => {
    const { database, look } = await prepared(major)
    await database.query(`update pgfresh.materialization set error = 'permission denied', error_at = now()`)

    expect(await look()).toMatchObject({
      state: 'failing',
      lastError: { error: 'permission denied', key: null },
    })
  })

  test('a request is pending for its target', async () => {
    const { database, look } = await prepared(major)
    await database.query(`select pgfresh.refresh('venue', '[[1]]')`)

    expect(await look()).toMatchObject({ pending: { value: 1 } })
  })

  describe('over one database', () => {
    const database = testDatabase(major)
    let session: Session
    beforeAll(async () => {
      await makeVenues(database)
      session = await Session.open({ url: database.url }, 'test')
    })
    afterAll(() => session.close())

    test('the last success is that of the newest batch that was done', async () => {
      await database.query(
        `insert into pgfresh.execution (materialization, daemon, why, outcome, started_at, ended_at)
         select id, 'd1', 'change', outcome, now(), now() - age from pgfresh.materialization,
           (values ('done', interval '1 hour'), ('done', interval '10 s'), ('failed', interval '1 s')) v(outcome, age)`,
      )

      const [found] = (await report(session, null)).materializations
      expect(found?.lastSuccessAgeMs).toBeGreaterThanOrEqual(10_000)
      expect(found?.lastSuccessAgeMs).toBeLessThan(100_000)
    })

    test('only daemons that beat are listed', async () => {
      await beat(database)
      await database.query(
        `insert into pgfresh.daemon (id, host, pid, version, beat_at) values ('d2', 'host', 1, '0.1.0', now() - interval '40 s')`,
      )

      expect((await report(session, null)).daemons).toMatchObject([{ id: 'd1', host: 'host', pid: 4711 }])
    })

    test('tables with a stamp and no definition are listed, a target and a partition are not', async () => {
      await database.query('create schema sales')
      await database.query(`create table sales."Order" (id int, materialized_at timestamptz)`)
      await database.query('create table split (id int, materialized_at timestamptz) partition by range (id)')
      await database.query('create table split_1 partition of split for values from (1) to (9)')

      expect((await report(session, null)).undeclared).toEqual(['sales."Order"', 'split'])
    })

    test('another project has nothing', async () => {
      expect((await report(session, 'films')).materializations).toEqual([])
    })

    test('no target and no source is read, not even in part', async () => {
      const own = await database.connect()
      await own.query('begin')
      await own.query('lock table venue, showtime in access exclusive mode')

      // A read of either would wait for the lock, and fail at its timeout.
      expect((await report(session, null)).materializations).toHaveLength(1)
      await own.query('rollback')
    })

    test('a table that is gone is still reported, by the name it had', async () => {
      await compute(database)
      await database.query('drop table venue')

      expect((await report(session, null)).materializations).toMatchObject([{ target: 'public.venue' }])
    })
  })
})

interface Prepared extends Venues {
  readonly database: TestDatabase
  readonly all: () => Promise<Report>
  readonly look: () => Promise<MaterializationReport>
}

async function prepared(major: Major, options: VenueOptions = {}): Promise<Prepared> {
  const database = await freshDatabase(major)
  const venues = await makeVenues(database, options)
  const all = async () => {
    const session = await Session.open({ url: database.url }, 'test')
    return report(session, null).finally(() => session.close())
  }
  const look = async () => {
    const [found] = (await all()).materializations
    if (found === undefined) throw new Error('nothing is reported')
    return found
  }
  return { ...venues, database, all, look }
}
