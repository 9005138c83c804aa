/**
 * Tables that logical replication writes to: its apply worker fires only triggers that are ENABLE ALWAYS, and row triggers alone.
 * A database that receives what another one of the same server publishes.
 */
import { expect, test } from 'vitest'
import { forEachMajor, type TestDatabase } from '../../support/database.ts'
import { type Comparison, Project } from '../../support/project.ts'
import { waitFor } from '../../support/wait-for.ts'
import { LogReader } from './log.ts'
import { ownServer } from './own-server.ts'

const sources = `
  create table ticket (id int primary key, venue_id int, price int, note text);
  create table seat (id int, region text, venue_id int, price int, primary key (id, region)) partition by list (region);
  create table seat_north partition of seat for values in ('n') partition by range (id);
  create table seat_north_low partition of seat_north for values from (0) to (100);
  create table seat_south partition of seat for values in ('s');
  create table marker (id int primary key);`

const definition = `export const venue = defineColumns({
  table: 'venue',
  columns: {
    taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)\`,
    seats: sql\`(select coalesce(sum(s.price), 0) from seat s where s.venue_id = venue.id)\`,
  },
  dependsOn: {
    ticket: { via: sql\`select venue_id as id from changed\` },
    seat: { via: sql\`select venue_id as id from changed\` },
  },
})`

const comparison: Comparison = {
  stored: 'select id, taken, seats, materialized_at is not null from venue',
  expected: `select v.id, coalesce(t.sum, 0), coalesce(s.sum, 0), true from venue v
    left join (select venue_id, sum(price) from ticket group by 1) t on t.venue_id = v.id
    left join (select venue_id, sum(price) from seat group by 1) s on s.venue_id = v.id`,
}

forEachMajor((major) => {
  const database = ownServer(major, { wal_level: 'logical', max_worker_processes: '20' })

  test('what the apply worker writes is captured: the first copy, rows, TRUNCATE, partitions', async () => {
    const { publisher, project, caughtUp, subscribe } = await pair(database)
    await publisher.query(
      `insert into ticket values (1, 1, 10), (2, 2, 20); insert into seat values (1, 'n', 1, 1), (2, 's', 2, 2)`,
    )
    await project.materialize(definition)
    await project.drain()
    await subscribe()

    // The triggers didn't fire for it yet: plan says so, and apply computes what went unnoticed.
    const { steps } = await project.plan()
    expect(steps.map((step) => step.description)).toEqual([
      expect.stringMatching(
        /^capture changes of ticket .*pgfresh_update does not fire for replication.*computed again/,
      ),
      expect.stringMatching(
        /^capture changes of seat .*pgfresh_update does not fire for replication.*computed again/,
      ),
    ])
    await project.apply()
    await caughtUp()
    await project.drain()
    await project.expectFresh(comparison)
    expect((await project.plan()).steps).toEqual([])

    const log = new LogReader(project)
    await log.news()
    const writes: [sql: string, logs: string[]][] = [
      ['insert into ticket values (3, 3, 40), (4, 1, 80)', ['ticket I 1', 'ticket I 3']],
      [`copy ticket (id, venue_id, price) from program 'printf "5,2,160\\n"' (format csv)`, ['ticket I 2']],
      ['update ticket set price = price + 1 where id = 1', ['ticket U 1>1']],
      ['update ticket set venue_id = 3 where id = 1', ['ticket U 1>3']],
      [`update ticket set note = 'unread'`, []],
      ['delete from ticket where id = 2', ['ticket D 2']],
      [`insert into seat values (3, 'n', 3, 4), (4, 's', 3, 8)`, ['seat I 3', 'seat I 3']],
      [`update seat set price = 16 where id = 1`, ['seat U 1>1']],
      [`update seat set region = 's' where id = 3`, ['seat D 3', 'seat I 3']],
      ['delete from seat where id = 4', ['seat D 3']],
      ['truncate seat_north_low', ['seat T']],
      ['truncate ticket', ['ticket T']],
    ]
    for (const [sql, logs] of writes) {
      await publisher.query(sql)
      await caughtUp()
      expect(await log.sortedNews(), sql).toEqual(logs)
      await project.drain()
      await project.expectFresh(comparison, sql)
    }
    // Writers of its own are captured as before.
    await project.query('insert into ticket values (90, 1, 5); update seat set price = 3; delete from ticket')
    expect(await log.sortedNews()).toEqual(['seat U 2>2', 'seat U 3>3', 'ticket D 1', 'ticket I 1'])
    await project.drain()
    await project.expectFresh(comparison)
  })

  test('a table that was subscribed before is captured from the first apply on, its partitions that come later too', async () => {
    const { publisher, project, caughtUp, subscribe } = await pair(database)
    await subscribe()
    await project.materialize(definition)
    await project.drain()
    const log = new LogReader(project)
    await log.news()

    await publisher.query(`insert into ticket values (1, 1, 10); insert into seat values (2, 's', 2, 2)`)
    await caughtUp()
    expect(await log.sortedNews()).toEqual(['seat I 2', 'ticket I 1'])
    for (const side of [publisher, project.database])
      await side.query('create table seat_north_high partition of seat_north for values from (100) to (200)')
    await project.query('alter subscription incoming refresh publication')
    await publisher.query(`insert into seat values (150, 'n', 3, 32)`)
    await caughtUp()
    expect(await log.news()).toEqual(['seat I 3'])
    await project.apply()
    await publisher.query('truncate seat_north_high')
    await caughtUp()

    expect(await log.news()).toEqual(['seat T'])
    await project.drain()
    await project.expectFresh(comparison)
    expect((await project.plan()).steps).toEqual([])
  })

  interface Pair {
    readonly publisher: TestDatabase
    readonly project: Project
    readonly subscribe: () => Promise<void>
    /** Waits until all that was committed at the publisher so far has arrived. */
    readonly caughtUp: () => Promise<void>
  }

  async function pair(create: () => Promise<TestDatabase>): Promise<Pair> {
    const publisher = await create()
    const project = new Project(await create())
    await publisher.query(`${sources} create publication everything for all tables`)
    await project.query(
      `${sources} create table venue (id int primary key); insert into venue values (1), (2), (3)`,
    )
    const slot = `slot_${project.database.name}`
    let markers = 0
    const copied = () =>
      waitFor('the first copy of all tables', async () => {
        const rows = await project.query(`select from pg_subscription_rel where srsubstate <> 'r'`)
        return rows.length === 0
      })
    return {
      publisher,
      project,
      subscribe: async () => {
        // On one server the slot can't be made by CREATE SUBSCRIPTION itself: it would wait for its own transaction.
        await publisher.query(`select pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
        await project.query(
          `create subscription incoming connection '${publisher.url}' publication everything with (create_slot = false, slot_name = '${slot}')`,
        )
        await copied()
      },
      caughtUp: async () => {
        markers += 1
        await publisher.query('insert into marker values ($1)', [markers])
        await waitFor('the changes to arrive', async () => {
          const rows = await project.query('select from marker where id = $1', [markers])
          return rows.length === 1
        })
        await copied()
      },
    }
  }
})
