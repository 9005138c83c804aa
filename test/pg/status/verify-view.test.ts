/**
 * A view against its query: what differs, when that is drift, and that nobody waits. No daemon runs: the tests play its part.
 */
import { expect, test } from 'vitest'
import { Session } from '../../../src/db/session.ts'
import { verifyView } from '../../../src/status/verify/view.ts'
import {
  forEachMajor,
  freshDatabase,
  type Major,
  type TestDatabase,
  waitFor,
} from '../../support/database.ts'
import { makeEvents, makeView, setState, type ViewOptions } from './views.ts'

forEachMajor((major) => {
  test('a view that holds what its query returns is equal, whatever its state', async () => {
    const { database, id, verify } = await prepared(major, { declared: true })
    expect(await verify()).toMatchObject({ result: 'equal', rows: 10, missing: 0, extra: 0, why: null })

    await setState(database, id, `failures = 3, error = 'division by zero'`)
    expect(await verify()).toMatchObject({ result: 'equal', view: { state: 'failing' } })
  })

  test('what changed since its last refresh is no drift, but counted and shown', async () => {
    const { database, verify } = await prepared(major, { declared: true })
    await database.query('delete from event where id = 11')
    await database.query(`insert into event values (9007199254740993, 'new', 1.10)`)
    await database.query('update event set price = price + 0.0 where id = 12')
    await database.query('update event set price = 12.100 where id = 12')

    expect(await verify()).toMatchObject({
      result: 'behind',
      rows: 10,
      missing: 2,
      extra: 2,
      missingRows: [
        '{"id":12,"name":"event 12","price":12.100}',
        '{"id":9007199254740993,"name":"new","price":1.10}',
      ],
      extraRows: ['{"id":11,"name":"event 11","price":11.10}', '{"id":12,"name":"event 12","price":12.10}'],
    })
  })

  test('rows are a multiset: one that is there twice and should be once is one too many', async () => {
    const { database, verify } = await prepared(major, { query: 'select name from event where id > 18' })
    await database.query(`insert into event values (21, 'event 20', 1), (22, 'event 20', 1)`)
    expect(await verify()).toMatchObject({ missing: 2, extra: 0, missingRows: ['{"name":"event 20"}'] })

    await database.query('refresh materialized view big_event')
    await database.query('delete from event where id = 21')
    expect(await verify()).toMatchObject({ missing: 0, extra: 1, extraRows: ['{"name":"event 20"}'] })
  })

  test('ten rows of each side are shown', async () => {
    const { database, verify } = await prepared(major)
    await database.query('update event set price = 0')

    const { missing, extra, missingRows, extraRows } = await verify()
    expect({ missing, extra, shown: [missingRows.length, extraRows.length] }).toEqual({
      missing: 10,
      extra: 10,
      shown: [10, 10],
    })
  })

  test('types without equality, NULLs, odd names and a comment at the end are compared like any other', async () => {
    const { database, verify } = await prepared(major, {
      declared: true,
      query: `select id as r, json_build_object('a', id) as "J", null::xml as x, point(id, 1), array[price] as "a b",
        case when id = 20 then 'NaN'::float8 else id / 3.0::float8 end as f from event -- all`,
    })
    expect(await verify()).toMatchObject({ result: 'equal', rows: 20 })

    await database.query('delete from event where id = 20')
    expect(await verify()).toMatchObject({
      missing: 0,
      extra: 1,
      extraRows: ['{"r":20,"J":{"a" : 20},"x":null,"point":"(20,1)","a b":[20.10],"f":"NaN"}'],
    })
  })

  test('a declared view is compared under its own settings', async () => {
    const { database, id, verify } = await prepared(major, { declared: true, query: 'select id from event' })
    await database.query('create schema sales')
    await database.query('create table sales.event as select id from event')
    await database.query(
      `update pgfresh.view set compiled = jsonb_set(compiled, '{settings,search_path}', '"sales"') where schedule = $1`,
      [id],
    )
    await database.query('delete from public.event')

    expect(await verify()).toMatchObject({ result: 'equal', rows: 20 })
  })

  test.each([
    ['overdue', `next_at = now() - interval '31 s'`],
    ['failing', 'failures = 1, attempted_at = now()'],
    ['never refreshed', 'refreshed_at = null'],
  ])('a difference is drift if the view is %s', async (why, state) => {
    const { database, id, verify } = await prepared(major, { declared: true })
    await database.query('delete from event where id = 11')
    await setState(database, id, state)

    expect(await verify()).toMatchObject({ result: 'drift', why, extra: 1 })

    await database.query('update pgfresh.materialized_view_refresh_schedule set enabled = false')
    expect(await verify()).toMatchObject({ result: 'behind', why: null })
  })

  test('a view that is about to be refreshed, or is being refreshed, is just behind', async () => {
    const { database, id, verify } = await prepared(major)
    await database.query('delete from event where id = 11')
    await setState(database, id, `next_at = now() - interval '2 s'`)
    expect(await verify()).toMatchObject({ result: 'behind', view: { state: 'due' } })

    await setState(database, id, `next_at = now() - interval '1 hour', failures = 1, attempted_at = now()`)
    const refresher = await database.connect()
    await refresher.query('select pg_advisory_lock(7331003, $1)', [id])
    expect(await verify()).toMatchObject({ result: 'behind', view: { state: 'refreshing' } })
  })

  test('a view that is skipped while nothing changes drifts if it differs and nothing has changed', async () => {
    const database = await freshDatabase(major)
    await makeEvents(database)
    const [event] = await database.query<{ oid: string }>(`select 'event'::regclass::oid::text as oid`)
    const route = {
      source: { schema: 'public', name: 'event' },
      sourceOid: event?.oid ?? '',
      kind: 'all',
      via: null,
      logs: [],
      reads: ['id'],
      unlessOurs: false,
      columns: null,
    } as const
    const id = await makeView(database, { declared: true, skipUnchanged: true, routes: [route] })
    const [capture] = await database.query<{ id: string }>(
      `insert into pgfresh.capture (source, shape) values ('event'::regclass, $1) returning id::text`,
      [JSON.stringify({ source: route.source, logs: [], interests: [{ reads: ['id'], unlessOurs: false }] })],
    )
    const verify = () => verifyAs(database, id)
    await database.query('delete from event where id = 11')
    expect(await verify()).toMatchObject({ result: 'drift', why: 'unchanged' })

    // What the delete's trigger would have logged, then what a round makes of it.
    await database.query(
      `insert into pgfresh.change_log_0 (xid, capture, mask, op) values (pg_current_xact_id(), $1, 1, 'D')`,
      [capture?.id],
    )
    expect(await verify()).toMatchObject({ result: 'behind', why: null })

    await database.query('truncate pgfresh.change_log_0')
    expect(await verify()).toMatchObject({ result: 'drift', why: 'unchanged' })
    await database.query(`insert into pgfresh.view_prompt (schedule, reason) values ($1, 'change')`, [id])
    expect(await verify()).toMatchObject({ result: 'behind', why: null })
  })

  test('a view that is yet to be filled, or built anew, is not compared', async () => {
    const { database, id, verify } = await prepared(major, { declared: true })
    await database.query('refresh materialized view big_event with no data')
    await setState(database, id, 'refreshed_at = null')
    expect(await verify()).toMatchObject({ result: 'drift', why: 'never refreshed', rows: null })

    await database.query('refresh materialized view big_event')
    await setState(database, id, 'refreshed_at = now()')
    await database.query(
      `update pgfresh.view set rebuild = true, compiled = jsonb_set(compiled, '{query}', '"select 1"')`,
    )
    expect(await verify()).toMatchObject({ result: 'behind', rows: null, view: { state: 'rebuild pending' } })

    await database.query(`update pgfresh.view set applied_at = now() - interval '1 minute'`)
    expect(await verify()).toMatchObject({ result: 'drift', why: 'overdue' })
  })

  test('a view that is gone, and a query that fails, are said', async () => {
    const { database, verify } = await prepared(major, {
      declared: true,
      query: 'select 1 / (id - 15) as q from event where id > 15',
    })
    await database.query('alter table event rename to old_event')
    expect(await verify()).toMatchObject({
      result: 'failed',
      error: 'relation "event" does not exist',
      rows: null,
    })

    await database.query('drop materialized view big_event')
    expect(await verify()).toMatchObject({
      result: 'failed',
      error: 'there is no materialized view big_event',
    })
  })

  test.each([
    ['declared', true],
    ["of people's own", false],
  ])(
    'a view %s that belongs to another role is not computed: its functions would have our rights',
    async (_, declared) => {
      const database = await freshDatabase(major)
      await makeEvents(database)
      const owner = await database.createRole()
      await database.query('create table called (by_whom text)')
      await database.query(`create function who(bigint) returns bigint language plpgsql as $$ begin
      insert into public.called values (current_user); return $1; exception when read_only_sql_transaction then
        raise exception 'called by %', current_user; end $$`)
      await database.query('grant insert, select on called to public')
      const id = await makeView(database, { declared, query: 'select who(id) as id from event' })
      await database.query('truncate called')
      await database.query(`alter materialized view big_event owner to ${owner.name}`)

      const found = await verifyAs(database, id)
      const [me] = await database.query<{ name: string }>('select current_user as name')
      expect(found).toMatchObject({
        result: 'failed',
        rows: null,
        error: `it belongs to ${owner.name}: verify it as that role, not as ${me?.name}`,
      })

      // To be a member of the owner is not to be the owner.
      await database.query(`alter materialized view big_event owner to current_user`)
      expect(await verifyAs(database, id)).toMatchObject({ error: `called by ${me?.name}` })
    },
  )

  test('what takes longer than four times the longest refresh is cancelled', async () => {
    const { database, verify } = await prepared(major, {
      query: 'select id from event where id > (select 19 from pg_sleep(0.6))',
    })
    await database.query(
      `update pgfresh.materialized_view_refresh_schedule set maximum_execution_duration = '0.1 s'`,
    )

    expect(await verify()).toMatchObject({
      result: 'failed',
      error: expect.stringMatching(/^it took longer than \d+ s, 4 times its maximum_execution_duration$/),
    })
  })

  test('while its query runs, writers and every kind of refresh go on', async () => {
    const { database, verify } = await prepared(major, { query: slow })
    await database.query('create unique index on big_event (id)')
    const worker = await database.connect()
    await worker.query(`set lock_timeout = '300 ms'`)

    const running = verify()
    await waitFor('verify to run the query', () => isRunning(database, '%pg_sleep%'))
    await worker.query('insert into event values (21, null, 1)')
    await worker.query('refresh materialized view concurrently big_event')
    await worker.query('refresh materialized view big_event')

    // What it saw is what was there when it began.
    expect(await isRunning(database, '%pg_sleep%')).toBe(true)
    expect(await running).toMatchObject({ result: 'equal', rows: 10 })
  })

  test('a refresh that is not concurrent and ends under its snapshot is no difference: it looks again', async () => {
    const { database, verify } = await prepared(major)
    const refresher = await database.connect()
    await refresher.query('begin')
    await refresher.query(`insert into event values (21, 'new', 1)`)
    await refresher.query('refresh materialized view big_event')

    const running = verify()
    await waitFor('verify to wait for the view', () => isWaiting(database))
    // The new rows are as if they had always been there, and the snapshot doesn't see the row that they came from.
    await refresher.query('commit')

    expect(await running).toMatchObject({ result: 'equal', rows: 11 })
  })

  test('a view that is locked all the time is given up', async () => {
    const { database, verify } = await prepared(major)
    await database.query(
      `update pgfresh.materialized_view_refresh_schedule set maximum_execution_duration = '0.2 s'`,
    )
    const refresher = await database.connect()
    await refresher.query('begin')
    await refresher.query('refresh materialized view big_event')

    expect(await verify()).toMatchObject({ result: 'failed' })
    await refresher.query('rollback')
  })

  test('it leaves the session at rest, also when the query fails', async () => {
    const { database, id } = await prepared(major, {
      query: 'select 100 / price as q from event where id > 15',
    })
    const session = await Session.open({ url: database.url }, 'test')
    const isAtRest = async () => {
      const [row] = await session.rows(
        `select pg_catalog.current_setting('transaction_isolation') as isolation, now() = statement_timestamp() as alone`,
      )
      return row?.isolation === 'read committed' && row.alone === 't'
    }
    try {
      expect(await verifyView(session, id)).toMatchObject({ result: 'equal' })
      expect(await isAtRest()).toBe(true)
      await database.query('update event set price = 0 where id = 16')
      expect(await verifyView(session, id)).toMatchObject({ result: 'failed', error: 'division by zero' })
      expect(await isAtRest()).toBe(true)
    } finally {
      await session.close()
    }
  })
})

/** Ten rows that take 2 s for verify, and no time for others. */
const slow = `select id, name from event, lateral (select from pg_sleep(
  case current_setting('application_name') when 'pgfresh verify' then 0.2 else 0 end + 0 * id)) s where id > 10`

async function prepared(major: Major, options: ViewOptions = {}) {
  const database = await freshDatabase(major)
  await makeEvents(database)
  const id = await makeView(database, options)
  return { database, id, verify: () => verifyAs(database, id) }
}

async function verifyAs(database: TestDatabase, id: string) {
  const session = await Session.open({ url: database.url }, 'verify')
  return verifyView(session, id).finally(() => session.close())
}

async function isRunning(database: TestDatabase, query: string): Promise<boolean> {
  const rows = await database.query(
    `select from pg_stat_activity where datname = current_database() and application_name = 'pgfresh verify' and state = 'active' and query like $1`,
    [query],
  )
  return rows.length > 0
}

async function isWaiting(database: TestDatabase): Promise<boolean> {
  const rows = await database.query(
    `select from pg_stat_activity where datname = current_database() and application_name = 'pgfresh verify' and wait_event_type = 'Lock'`,
  )
  return rows.length > 0
}
