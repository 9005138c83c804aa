/**
 * Generated columns as columns that are read or logged. A virtual one (18) reads as NULL in a trigger's body, so there the trigger's
 * WHEN decides, and everybody counts as concerned.
 */
import { expect, test } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { createProject } from '../../support/project.ts'
import { LogReader } from './log.ts'

forEachMajor((major) => {
  const kinds = major >= 18 ? (['stored', 'virtual'] as const) : (['stored'] as const)

  test.each(kinds)('a %s column that one of several definitions reads', async (kind) => {
    const project = await createProject(
      major,
      `create table venue (id int primary key); insert into venue values (1), (2);
       create table ticket (id int primary key, a int, note text, venue_id int, price int, fee int, tax int,
         gross int generated always as (price + tax) ${kind}) partition by list (id);
       create table ticket_1 partition of ticket for values in (1);
       create table ticket_rest (gross int generated always as (price + tax) ${kind}, tax int, b int, fee int, price int, note text, a int, venue_id int, id int not null);
       alter table ticket_rest drop column b; alter table ticket attach partition ticket_rest default;
       insert into ticket (id, venue_id, price, tax, fee) values (1, 1, 10, 1, 100), (2, 2, 20, 2, 200), (3, 2, 30, 3, 300)`,
    )
    await project.materialize(`
      const dependsOn = { ticket: { via: sql\`select venue_id as id from changed\` } }
      export const gross = defineColumns({
        table: 'venue', dependsOn,
        columns: { gross: sql\`(select sum(t.gross) from ticket t where t.venue_id = venue.id)\` },
      })
      export const fees = defineColumns({
        table: 'venue', dependsOn, stamp: 'fees_at',
        columns: { fees: sql\`(select sum(t.fee) from ticket t where t.venue_id = venue.id)\` },
      })
      export const dear = defineColumns({
        table: 'venue', dependsOn, stamp: 'dear_at',
        columns: { dear: sql\`(select count(*) from ticket t where t.venue_id = venue.id and t.price > 20)\` },
      })`)
    await project.drain()
    const comparison = {
      stored: 'select id, gross, fees, dear from venue',
      expected: `select v.id, sum(price + tax), sum(fee), count(*) filter (where price > 20)
        from venue v left join ticket t on t.venue_id = v.id group by v.id`,
    }
    const log = new LogReader(project)
    await log.news()
    const writes: [sql: string, logs: string[]][] = [
      ['update ticket set tax = tax + 1 where id < 3', ['ticket U 1>1', 'ticket U 2>2']],
      ['update ticket set price = price + 1, tax = tax - 1 where id = 2', ['ticket U 2>2']],
      ['update ticket set price = price, tax = tax', []],
      [`update ticket set note = 'x', a = 5`, []],
      ['update ticket set fee = 25 where id = 3', ['ticket U 2>2']],
      ['update ticket set venue_id = 1 where id = 2', ['ticket U 2>1']],
      ['insert into ticket_rest (id, venue_id, price, tax, fee) values (4, 2, 40, 4, 400)', ['ticket I 2']],
      ['delete from ticket where id = 1', ['ticket D 1']],
    ]
    for (const [sql, logs] of writes) {
      await project.query(sql)
      expect(await log.sortedNews(), sql).toEqual(logs)
      await project.drain()
      await project.expectFresh(comparison, sql)
    }
    expect((await project.plan()).steps).toEqual([])
  })

  test('a stored column is logged as a join column', async () => {
    const project = await createProject(
      major,
      `create table venue (id int primary key); insert into venue values (1), (2);
       create table ticket (id int primary key, code int, price int, venue_id int generated always as (code / 100) stored)`,
    )
    await project.materialize(`export const venue = defineColumns({
      table: 'venue',
      columns: { taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)\` },
      dependsOn: { ticket: { via: sql\`select venue_id as id from changed\` } },
    })`)
    await project.drain()
    const log = new LogReader(project)

    await project.query(
      'insert into ticket values (1, 100, 5); update ticket set code = 205; update ticket set code = 299',
    )

    expect(await log.news()).toEqual(['ticket I 1', 'ticket U 1>2'])
    await project.drain()
    await project.expectFresh({
      stored: 'select id, taken from venue',
      expected:
        'select v.id, coalesce(sum(price), 0) from venue v left join ticket t on code / 100 = v.id group by 1',
    })
  })

  const setExpression = [
    ['stored', 'table', 'ticket'],
    ['stored', 'partitioned table', 'ticket'],
    ['stored', 'partitioned table', 'ticket_2'],
    ['stored', 'inheritance child', 'ticket_2'],
    ['virtual', 'table', 'ticket'],
    ['virtual', 'partitioned table', 'ticket_2'],
  ] as const
  test.runIf(major >= 18).each(setExpression)(
    'another expression of a %s column of a %s, set on %s, is a change of all rows, which plan sees',
    async (kind, form, table) => {
      const columns = `id int, venue_id int, price int, gross int generated always as (price + 1) ${kind}`
      const project = await createProject(
        major,
        `create table venue (id int primary key); insert into venue values (1), (2); ${
          {
            table: `create table ticket (${columns})`,
            'partitioned table': `create table ticket (${columns}) partition by list (id);
              create table ticket_2 partition of ticket for values in (2); create table ticket_rest partition of ticket default`,
            'inheritance child': `create table ticket (${columns}); create table ticket_2 () inherits (ticket);
              insert into ticket_2 (id, venue_id, price) values (4, 2, 40)`,
          }[form]
        }; insert into ticket (id, venue_id, price) values (1, 1, 10), (2, 2, 20), (3, 2, 30)`,
      )
      await project.materialize(`export const venue = defineColumns({
        table: 'venue',
        columns: { gross: sql\`(select sum(t.gross) from ticket t where t.venue_id = venue.id)\` },
        dependsOn: { ticket: { via: sql\`select venue_id as id from changed\` } },
      })`)
      await project.drain()
      expect((await project.plan()).steps).toEqual([])

      await project.query(`alter table ${table} alter column gross set expression as (price * 100)`)

      const on = form === 'inheritance child' ? ' on ticket_2' : ''
      expect((await project.plan()).steps.map((step) => step.description)).toEqual([
        `capture changes of ticket (gross, venue_id): trigger pgfresh_columns${on} is about another expression of gross; what went unnoticed is computed again (venue)`,
      ])
      await project.apply()
      await project.query('update ticket set price = price + 1 where id = 1')
      await project.drain()
      await project.expectFresh({
        stored: 'select id, gross from venue',
        expected:
          'select v.id, sum(t.gross) from venue v left join ticket t on t.venue_id = v.id group by v.id',
      })
      expect((await project.plan()).steps).toEqual([])
    },
  )

  test.runIf(major >= 18)(
    'a virtual column is refused as a join column: no trigger could log it',
    async () => {
      const project = await createProject(
        major,
        `create table venue (id int primary key);
       create table ticket (id int primary key, code int, price int, venue_id int generated always as (code / 100) virtual)`,
      )
      project.define(`export const venue = defineColumns({
      table: 'venue',
      columns: { taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)\` },
      dependsOn: { ticket: { via: sql\`select venue_id as id from changed\` } },
    })`)

      await expect(project.plan()).rejects.toThrow(
        /venue_id, a virtual generated column that triggers can't see/,
      )
    },
  )

  test.runIf(major >= 18)(
    'RENAME of what a virtual column is made from, or of itself, breaks no writer',
    async () => {
      const project = await createProject(
        major,
        `create table venue (id int primary key); insert into venue values (1), (2);
       create table ticket (id int primary key, venue_id int, price int, tax int, gross int generated always as (price + tax) virtual)`,
      )
      await project.materialize(`export const venue = defineColumns({
      table: 'venue',
      columns: { gross: sql\`(select sum(t.gross) from ticket t where t.venue_id = venue.id)\` },
      dependsOn: { ticket: { via: sql\`select venue_id as id from changed\` } },
    })`)
      const log = new LogReader(project)
      const writer = await project.database.connect()
      await writer.query(
        'insert into ticket values (1, 1, 10, 1); update ticket set tax = 2; delete from ticket',
      )
      expect(await log.news()).toEqual(['ticket I 1', 'ticket U 1>1', 'ticket D 1'])

      await project.query('alter table ticket rename column tax to vat')
      await writer.query(
        'insert into ticket values (1, 1, 10, 1); update ticket set vat = 2; delete from ticket',
      )
      expect(await log.news()).toEqual(['ticket I 1', 'ticket U 1>1', 'ticket D 1'])
      await project.query('alter table ticket rename column gross to total')
      await writer.query('insert into ticket values (1, 1, 10, 1); update ticket set vat = 2')
      expect(await log.news()).toEqual(['ticket A', 'ticket A'])

      await project.materialize(`export const venue = defineColumns({
      table: 'venue',
      columns: { gross: sql\`(select sum(t.total) from ticket t where t.venue_id = venue.id)\` },
      dependsOn: { ticket: { via: sql\`select venue_id as id from changed\` } },
    })`)
      await project.drain()
      await project.expectFresh({
        stored: 'select id, gross from venue',
        expected:
          'select v.id, sum(price + vat) from venue v left join ticket t on t.venue_id = v.id group by 1',
      })
    },
  )
})
