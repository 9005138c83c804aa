/**
 * Parts of a captured table that come and go without a trigger that fires: partitions attached with rows, detached, dropped;
 * inheritance children. A running daemon notices within a minute, and computes again what reads the table.
 */
import { expect, test } from 'vitest'
import { noticeParts } from '../../../src/capture/parts.ts'
import { Session } from '../../../src/db/session.ts'
import { forEachMajor, type Major, waitFor } from '../../support/database.ts'
import { type Comparison, createProject, type Project } from '../../support/project.ts'
import { LogReader } from './log.ts'

const schema = `
  create table venue (id int primary key); insert into venue values (1), (2);
  create table ticket (region text, venue_id int, price int) partition by list (region);
  create table ticket_north partition of ticket for values in ('n', 'nn') partition by list (region);
  create table ticket_north_1 partition of ticket_north for values in ('n');
  create table ticket_south partition of ticket for values in ('s');
  insert into ticket values ('n', 1, 10), ('s', 1, 20), ('s', 2, 30)`

const definition = `export const venue = defineColumns({
  table: 'venue',
  columns: { taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)\` },
  dependsOn: { ticket: { via: sql\`select venue_id as id from changed\` } },
})`

const comparison: Comparison = {
  stored: 'select id, taken from venue',
  expected:
    'select v.id, coalesce(sum(t.price), 0) from venue v left join ticket t on t.venue_id = v.id group by 1',
}

/** A partition of the second level, and a whole second level, made elsewhere, with rows. */
const attachments = {
  'a partition with rows': `create table came (like ticket); insert into came values ('w', 2, 7);
    alter table ticket attach partition came for values in ('w')`,
  'a partition with rows, made, filled and attached in one transaction': `begin; create table came (like ticket);
    insert into came values ('w', 2, 7); alter table ticket attach partition came for values in ('w'); commit`,
  'a partition of the second level with rows': `create table came (like ticket); insert into came values ('nn', 2, 7);
    alter table ticket_north attach partition came for values in ('nn')`,
  'a second level that has rows in a partition that was made as one': `create table came (like ticket) partition by list (region);
    create table came_1 partition of came for values in ('w'); insert into came values ('w', 2, 7);
    alter table ticket attach partition came for values in ('w')`,
}

const departures = {
  'a partition that is detached': 'alter table ticket detach partition ticket_south',
  'a partition that is dropped': 'drop table ticket_south',
  'a partition of the second level that is dropped': 'drop table ticket_north_1',
  'a second level that is dropped': 'drop table ticket_north',
  'a partition that goes, and comes back with other rows': `begin; alter table ticket detach partition ticket_south;
    update ticket_south set price = 900; alter table ticket attach partition ticket_south for values in ('s'); commit`,
}

forEachMajor((major) => {
  test.each(Object.entries({ ...attachments, ...departures }))(
    'a running daemon notices %s',
    async (_, change) => {
      const project = await venues(major)
      project.start()
      await waitFor(
        'the first look',
        async () => (await project.query('select from pgfresh.daemon')).length === 1,
      )

      await project.query(change)

      await waitFor('the walk', async () => (await walks(project)).length > 0, { timeoutMs: 30_000 })
      await project.settle()
      await project.expectFresh(comparison)
    },
  )

  test('one that is detached concurrently is gone at once', async () => {
    const project = await venues(major)
    await project.query('alter table ticket detach partition ticket_south concurrently')

    await project.drain()

    await project.expectFresh(comparison)
  })

  test.each(Object.entries({ ...attachments, ...departures }))(
    'run --until-idle covers %s before its start',
    async (_, change) => {
      const project = await venues(major)
      await project.query(change)

      await project.drain()

      await project.expectFresh(comparison)
      expect((await walks(project)).length).toBe(1)
    },
  )

  test.each([
    ['', `alter column region set default 'x', add check (price < 5000)`],
    [
      ', all columns with defaults,',
      `alter column region set default 'x', alter column venue_id set default 7, alter column price set default 8`,
    ],
  ])(
    'partitions%s that people make for the rows to come, and what they write there, make no walk',
    async (_, habits) => {
      const project = await venues(major)
      const log = new LogReader(project)
      await project.query(`alter table ticket ${habits}`)
      await project.query(`create table ticket_west partition of ticket (primary key (region, venue_id)) for values in ('w');
      create table ticket_up partition of ticket for values in ('u', 'v') partition by list (region);
      insert into ticket values ('w', 1, 70); truncate ticket_south`)
      await project.query(
        `create table ticket_up_1 partition of ticket_up for values in ('u'); insert into ticket values ('u', 2, 80)`,
      )
      await log.news()

      await look(project)
      await look(project)
      expect(await log.news()).toEqual([])
      await project.query('drop table ticket_up')
      await look(project)
      await look(project)

      expect(await log.news()).toEqual(['ticket T'])
      await project.drain()
      await project.expectFresh(comparison)
    },
  )

  test('rows of a target that went with a partition of it leave nothing to do; rows that came are computed', async () => {
    const project = await createProject(
      major,
      `create table venue (id int, region text, price int, primary key (region, id)) partition by list (region);
       create table venue_north partition of venue for values in ('n'); create table venue_south partition of venue for values in ('s');
       insert into venue values (1, 'n', 10), (1, 's', 20)`,
    )
    await project.materialize(
      `export const venue = defineColumns({ table: 'venue', columns: { gross: sql\`venue.price * 2\` } })`,
    )
    await project.drain()
    const before = (await walks(project)).length

    await project.query('drop table venue_south')
    await project.drain()
    expect((await walks(project)).length).toBe(before)
    await project.query(`create table venue_west (like venue including all); insert into venue_west values (1, 'w', 30, null, now());
      alter table venue attach partition venue_west for values in ('w')`)
    await project.drain()

    await project.expectFresh({
      stored: 'select * from (select region, gross from venue) v',
      expected: 'select region, price * 2 from venue',
    })
  })

  test('an inheritance child that comes with rows or goes', async () => {
    const project = await createProject(
      major,
      `create table venue (id int primary key); insert into venue values (1), (2);
       create table ticket (venue_id int, price int); create table ticket_1 () inherits (ticket);
       insert into ticket values (1, 5); insert into ticket_1 values (1, 10), (2, 20)`,
    )
    await project.materialize(definition)
    await project.drain()

    await project.query(
      'create table ticket_2 (price int, venue_id int); insert into ticket_2 values (7, 2); alter table ticket_2 inherit ticket',
    )
    await project.drain()
    await project.expectFresh(comparison, 'with the new child')
    await project.query('alter table ticket_1 no inherit ticket')
    await project.drain()
    await project.expectFresh(comparison, 'without the old one')
  })

  test('one that is attached and locked by a migration is noticed once it is free, and holds nobody up', async () => {
    const project = await venues(major)
    await project.query(attachments['a partition with rows'])
    await project.query(`insert into ticket values ('s', 1, 3)`)
    const migration = await project.database.connect()
    await migration.query('begin; lock table came in access exclusive mode')
    const session = await Session.open({ url: project.database.url }, 'test')
    expect(await noticeParts(session)).toBe(false)
    const drained = project.drain()

    await migration.query('commit')

    await drained
    expect(await noticeParts(session)).toBe(true)
    await session.close()
    await project.expectFresh(comparison)
  })

  test('of many who look at once one logs it', async () => {
    const project = await venues(major)
    const log = new LogReader(project)
    await log.news()
    await project.query('drop table ticket_north; alter table ticket detach partition ticket_south')

    await Promise.all(Array.from({ length: 8 }, () => look(project)))

    expect(await log.news()).toEqual(['ticket T'])
  })

  test('a temporary child of another session is no part of what anybody else reads', async () => {
    const project = await createProject(
      major,
      'create table venue (id int primary key); create table ticket (venue_id int, price int); insert into venue values (1), (2)',
    )
    await project.materialize(definition)
    await project.drain()
    const log = new LogReader(project)
    await log.news()
    const client = await project.database.connect()
    await client.query('create temporary table mine () inherits (ticket); insert into mine values (1, 5)')

    await look(project)
    expect(await log.news()).toEqual([])
    await client.query('drop table mine')
    await look(project)
    expect(await log.news()).toEqual([])
  })

  test('a table that is captured anew is known as it is then', async () => {
    const project = await venues(major)
    await project.materialize(
      `export const venue = defineColumns({ table: 'venue', columns: { taken: sql\`1::bigint\` } })`,
    )
    await project.query(attachments['a partition with rows'])
    const log = new LogReader(project)
    await project.materialize(definition)
    await project.drain()
    await project.expectFresh(comparison)
    await log.news()

    await look(project)

    expect(await log.news()).toEqual([])
    await project.query('drop table came')
    await look(project)
    expect(await log.news()).toEqual(['ticket T'])
  })
})

async function venues(major: Major): Promise<Project> {
  const project = await createProject(major, schema)
  await project.materialize(definition)
  await project.drain()
  await project.expectFresh(comparison, 'after the first apply')
  return project
}

/** Walks but for the one of a new materialization. */
async function walks(project: Project): Promise<unknown[]> {
  return await project.query(`select from pgfresh.walk where why <> 'new'`)
}

async function look(project: Project): Promise<void> {
  const session = await Session.open({ url: project.database.url }, 'test')
  await noticeParts(session).finally(() => session.close())
}
