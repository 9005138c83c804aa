/**
 * Tables that inherit from a source: their rows are the source's rows, and no trigger of the parent sees a write to them.
 * So each of them, at any depth, has triggers of its own.
 */
import { expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { type Comparison, createProject, type Project } from '../../support/project.ts'
import { LogReader } from './log.ts'

const schema = `
  create table venue (id int primary key);
  create table sale (id int primary key, venue_id int, price int, note text);
  create table ticket (seat text, primary key (id)) inherits (sale);
  create table vip_ticket (lounge text) inherits (ticket);
  create table voucher (price int, gone int, note text, venue_id int, id int);
  alter table voucher drop column gone;
  alter table voucher alter id set not null;
  alter table voucher inherit sale;
  insert into venue values (1), (2), (3);
  insert into sale values (1, 1, 1); insert into ticket values (2, 1, 2); insert into vip_ticket values (3, 2, 4)`

const definition = `export const venue = defineColumns({
  table: 'venue',
  columns: { taken: sql\`(select coalesce(sum(s.price), 0) from sale s where s.venue_id = venue.id)\` },
  dependsOn: { sale: { via: sql\`select venue_id as id from changed\` } },
})`

const comparison: Comparison = {
  stored: 'select id, taken, materialized_at is not null from venue',
  expected:
    'select v.id, coalesce(sum(s.price), 0), true from venue v left join sale s on s.venue_id = v.id group by 1',
}

forEachMajor((major) => {
  test('writes to a child or a grandchild are logged as the parent, once each', async () => {
    const { project, log } = await venues(major)
    const writes: [sql: string, logs: string[]][] = [
      ['insert into sale values (10, 3, 8)', ['sale I 3']],
      [`insert into ticket values (11, 3, 16, null, 'A1')`, ['sale I 3']],
      [
        `insert into vip_ticket values (12, 1, 32, null, 'A2', 'red'), (13, 2, 64, null, 'A3', 'red')`,
        ['sale I 1', 'sale I 2'],
      ],
      ['insert into voucher (id, venue_id, price) values (14, 1, 128)', ['sale I 1']],
      [`copy voucher (id, venue_id, price) from program 'printf "15,2,256\\n"' (format csv)`, ['sale I 2']],
      [`update sale set note = 'unread'; update voucher set note = 'unread'`, []],
      [`update vip_ticket set lounge = 'blue', seat = 'B1'`, []],
      ['update sale set price = price + 1 where id in (1, 3)', ['sale U 1>1', 'sale U 2>2']],
      ['update only sale set venue_id = 2', ['sale U 1>2', 'sale U 3>2']],
      ['update voucher set venue_id = 3 where id = 14', ['sale U 1>3']],
      ['delete from ticket where id = 12', ['sale D 1']],
      ['truncate only sale', ['sale T']],
      ['truncate vip_ticket', ['sale T']],
      ['truncate voucher', ['sale T']],
    ]
    for (const [sql, logs] of writes) {
      await project.query(sql)
      expect(await log.sortedNews(), sql).toEqual(logs)
      await project.drain()
      await project.expectFresh(comparison, sql)
    }
  })

  test('a child that comes later is seen by plan; apply captures it, and computes what came before', async () => {
    const { project, log } = await venues(major)
    await project.query(
      `create table season_ticket () inherits (ticket); insert into season_ticket values (20, 3, 512)`,
    )
    expect(await log.news()).toEqual([])

    const { steps } = await project.plan()
    expect(steps.map((step) => step.kind)).toEqual(['capture'])
    await project.apply()
    await project.drain()
    await project.expectFresh(comparison)
    expect(await log.news(), 'what the daemon noticed').toEqual(['sale A'])

    await project.query('insert into season_ticket values (21, 2, 1024)')
    expect(await log.news()).toEqual(['sale I 2'])
    await project.drain()
    await project.expectFresh(comparison)
    expect((await project.plan()).steps).toEqual([])
  })

  test('a plain table that becomes a parent is captured row by row from the next apply on', async () => {
    const { project, log } = await venues(
      major,
      `create table venue (id int primary key); create table sale (id int primary key, venue_id int, price int);
       insert into venue values (1), (2)`,
    )
    await project.query('create table ticket () inherits (sale); insert into ticket values (1, 1, 5)')
    await project.query('insert into sale values (2, 2, 7)')
    expect(await log.news()).toEqual(['sale I 2'])

    await project.apply()
    await project.query('insert into ticket values (3, 1, 1); insert into sale values (4, 2, 2)')

    expect(await log.news()).toEqual(['sale I 1', 'sale I 2'])
    await project.drain()
    await project.expectFresh(comparison)
    expect((await project.plan()).steps).toEqual([])
  })

  test('a child that leaves goes on being written to, also when its former parent is gone; apply takes our triggers off it', async () => {
    const { project, log } = await venues(major)

    await project.query('alter table voucher no inherit sale; alter table ticket no inherit sale')
    await project.query(`insert into voucher (id, venue_id, price) values (30, 1, 1);
      insert into vip_ticket values (31, 1, 1)`)
    await project.query('drop table sale')
    await project.query(`insert into voucher (id, venue_id, price) values (32, 1, 1); update voucher set price = 2;
      insert into vip_ticket values (33, 1, 1); update ticket set price = 5, venue_id = 7; delete from ticket; truncate ticket`)
    await log.news()

    await project.materialize(definition.replaceAll('sale', 'voucher'), { prune: true })
    await project.drain()
    await project.expectFresh({ ...comparison, expected: comparison.expected.replaceAll('sale', 'voucher') })
    expect(
      await project.query(
        `select distinct tgrelid::regclass::text as name from pg_trigger where tgname like 'pgfresh%' order by 1`,
      ),
    ).toEqual([{ name: 'venue' }, { name: 'voucher' }])
  })

  test('release() takes the triggers off all children, so that a column of all of them can change its type', async () => {
    const { project, log } = await venues(major)
    await project.query('create table box () inherits (vip_ticket)')
    await project.apply()

    await expect(project.query('alter table sale alter venue_id type bigint')).rejects.toThrow(
      /used in a trigger definition/,
    )
    await project.query(
      `begin; select pgfresh.release('sale'); alter table sale alter venue_id type bigint; commit`,
    )
    expect(await log.news()).toContain('sale A')
    await project.query('insert into box values (40, 3, 2048)')
    await project.apply()
    await project.drain()

    await project.expectFresh(comparison)
    await project.query('insert into box values (41, 3, 4096)')
    await project.drain()
    await project.expectFresh(comparison)
    expect((await project.plan()).steps).toEqual([])
  })
})

async function venues(major: Major, tables = schema): Promise<{ project: Project; log: LogReader }> {
  const project = await createProject(major, tables)
  await project.materialize(definition)
  await project.drain()
  await project.expectFresh(comparison, 'after the first apply')
  const log = new LogReader(project)
  await log.news()
  return { project, log }
}
