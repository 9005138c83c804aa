/**
 * People's DDL on captured tables: writers go on whatever happens, also those with cached plans and old snapshots; what can't be
 * followed counts as "everything changed" or is refused by the server itself; and plan sees what is missing.
 */
import { describe, expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { createProject, type Project } from '../../support/project.ts'
import { LogReader } from './log.ts'
import { salesComparison, salesDefinition, salesRows, salesSchema } from './sales.ts'

/** One write of each kind, each of which changes what is read. */
const everyWrite = (venue: string, price: string) => [
  `insert into ticket (id, ${venue}, ${price}) values (4, 3, 40)`,
  `update ticket set ${price} = ${price} + 1 where id = 1`,
  `update ticket set ${venue} = 3 where id = 1`,
  'delete from ticket where id = 2',
]
const everyEntry = ['ticket I 3', 'ticket U 1>1', 'ticket U 1>3', 'ticket D 1']

forEachMajor((major) => {
  describe('RENAME COLUMN', () => {
    test.each([
      ['of the logged column', 'venue_id', 'place', ['ticket A', 'ticket A', 'ticket A', 'ticket A']],
      ['of a column that is read', 'price', 'paid', ['ticket A', 'ticket A', 'ticket A', 'ticket A']],
      ['of a column that nobody reads', 'note', 'remark', everyEntry],
    ])(
      '%s, by somebody else in the middle of a transaction with an old snapshot',
      async (_, from, to, logs) => {
        const { project, log } = await sales(major)
        const writer = await project.database.connect()
        // Plans of all trigger functions are cached.
        for (const sql of everyWrite('venue_id', 'price')) await writer.query(sql)
        await project.query(salesRows)
        await project.drain()
        await writer.query('begin isolation level repeatable read; select count(*) from venue')
        await log.news()

        await project.query(`alter table ticket rename column ${from} to ${to}`)
        const name = (column: string) => (column === from ? to : column)
        for (const sql of everyWrite(name('venue_id'), name('price'))) await writer.query(sql)
        await writer.query('commit')

        expect(await log.news()).toEqual(logs)
        await project.materialize(
          salesDefinition
            .replaceAll(`t.${from}`, `t.${to}`)
            .replace(
              `select ${from} as id from changed\` },\n    promotion`,
              `select ${to} as id from changed\` },\n    promotion`,
            ),
        )
        await project.drain()
        await project.expectFresh({
          ...salesComparison,
          expected: salesComparison.expected.replace(
            'from ticket',
            `from (select ${name('venue_id')} as venue_id, ${name('price')} as price from ticket) ticket`,
          ),
        })
      },
    )

    test('by the writer itself, not committed and then rolled back, leaves nobody else confused', async () => {
      const { project, log } = await sales(major)
      const writer = await project.database.connect()
      await writer.query('insert into ticket values (90, 3, 1); delete from ticket where id = 90')
      await log.news()

      await writer.query('begin; alter table ticket rename column venue_id to place')
      await writer.query(
        'insert into ticket (id, place, price) values (91, 2, 1); update ticket set place = 3 where id = 91',
      )
      await writer.query('savepoint s; alter table ticket rename column place to venue_id')
      await writer.query('insert into ticket (id, venue_id, price) values (92, 2, 1)')
      await writer.query('rollback to s; insert into ticket (id, place, price) values (93, 2, 1); rollback')
      await writer.query('insert into ticket (id, venue_id, price) values (94, 2, 1)')

      expect(await log.news()).toEqual(['ticket I 2'])
      await project.drain()
      await project.expectFresh(salesComparison)
    })
  })

  test.each([
    ['RENAME TO', 'alter table ticket rename to pass', 'pass'],
    ['SET SCHEMA', 'create schema other; alter table ticket set schema other', 'other.ticket'],
    [
      'a table renamed, and another one in its place that was never captured',
      'alter table ticket rename to ticket_old; create table ticket (like ticket_old including all); insert into ticket values (1, 3, 99)',
      'ticket',
    ],
  ])('after %s writers go on and are logged, and apply follows', async (_, ddl, name) => {
    const { project, log } = await sales(major)
    const writer = await project.database.connect()
    await writer.query('insert into ticket values (90, 3, 1); delete from ticket where id = 90')
    await log.news()

    await project.query(ddl)
    const moved = name === 'ticket' ? 'ticket_old' : name
    await writer.query(`insert into ${moved} values (4, 2, 40); update ${moved} set price = 41 where id = 4`)
    expect(await log.news()).toEqual([`${moved} I 2`, `${moved} U 2>2`])
    await project.materialize(
      salesDefinition.replace('from ticket t', `from ${name} t`).replace('    ticket: {', `    '${name}': {`),
    )
    await project.drain()
    const comparison = {
      ...salesComparison,
      expected: salesComparison.expected.replace('from ticket', `from ${name}`),
    }
    await project.expectFresh(comparison)

    await log.news()
    await writer.query(`update ${name} set venue_id = 1 where price = (select max(price) from ${name})`)
    expect(await log.news()).toHaveLength(1)
    await project.drain()
    await project.expectFresh(comparison)
    expect((await project.plan()).steps).toEqual([])
  })

  describe('DROP COLUMN and ALTER TYPE', () => {
    test.each([
      [
        'alter table ticket drop column venue_id',
        '2BP01',
        /trigger pgfresh_columns on table ticket depends on column/,
      ],
      [
        'alter table ticket drop column price',
        '2BP01',
        /trigger pgfresh_columns on table ticket depends on column/,
      ],
      ['alter table ticket alter price type bigint', '0A000', /trigger pgfresh_columns/],
      ['alter table venue alter id type bigint', '0A000', /trigger pgfresh_columns/],
      ['alter table venue drop column taken', '2BP01', /trigger pgfresh_columns/],
    ])('%s is refused by the server, which names our trigger', async (ddl, code, detail) => {
      const { project, log } = await sales(major)

      await expect(project.query(ddl)).rejects.toMatchObject({ code, detail: expect.stringMatching(detail) })

      for (const sql of everyWrite('venue_id', 'price')) await project.query(sql)
      expect(await log.news()).toEqual(everyEntry)
      await project.drain()
      await project.expectFresh(salesComparison)
    })

    test('of columns that nobody reads, and ADD COLUMN, are nobody’s business: no entry, no plan, no confused session', async () => {
      const { project, log } = await sales(major)
      const writer = await project.database.connect()
      const write = async () => {
        await writer.query(salesRows)
        for (const sql of everyWrite('venue_id', 'price')) await writer.query(sql)
        return (await log.news()).slice(-4)
      }
      expect(await write()).toEqual(everyEntry)

      for (const ddl of [
        'alter table ticket add column a text default md5(random()::text), add column b int not null default 0',
        'alter table ticket alter note type varchar(10)',
        'alter table ticket alter b type text',
        'alter table ticket drop column b',
        'alter table ticket add column b jsonb',
        'alter table ticket alter price set default 0, alter venue_id set statistics 50',
        'alter table ticket add check (price >= 0), alter price set not null',
      ]) {
        await project.query(ddl)
        expect(await write(), ddl).toEqual(everyEntry)
      }
      await project.drain()
      await project.expectFresh(salesComparison)
      expect((await project.plan()).steps).toEqual([])
    })

    test('CASCADE, then another column of that name, then other types: no writer fails, and apply mends it', async () => {
      const { project, log } = await sales(major)
      const writer = await project.database.connect()
      for (const sql of everyWrite('venue_id', 'price')) await writer.query(sql)
      await writer.query(salesRows)
      await log.news()

      await project.query('alter table ticket drop column price cascade')
      await writer.query(`insert into ticket (id, venue_id) values (5, 3); update ticket set venue_id = 3 where id = 1;
        delete from ticket where id = 2`)
      await project.query('alter table ticket add column price int')
      await writer.query('update ticket set price = id * 10')
      // Nothing is left that would refuse this.
      await project.query('alter table ticket drop constraint ticket_venue_id_fkey, alter venue_id type text')
      await writer.query(`insert into ticket (id, venue_id, price) values (6, 'two', 3)`)
      await writer.query(`update ticket set venue_id = '1' where id = 6; delete from ticket where id = 5`)
      await project.query('alter table ticket alter venue_id type bigint using venue_id::bigint')
      await writer.query(
        'insert into ticket (id, venue_id, price) values (7, 2, 5); update ticket set venue_id = 3 where id = 6',
      )

      expect(new Set(await log.news())).toEqual(new Set(['ticket A']))
      await project.apply()
      await project.drain()
      await project.expectFresh(salesComparison)
      await log.news()
      await writer.query(`update ticket set venue_id = 2 where id = 6`)
      expect(await log.news()).toEqual(['ticket U 3>2'])
      expect((await project.plan()).steps).toEqual([])
    })
  })

  describe('release()', () => {
    test('is for the owner of the table, in the transaction of the migration: rolled back with it, it never was', async () => {
      const { project, log } = await sales(major)
      const owner = await project.database.createRole()
      await project.query(`grant usage on schema pgfresh to ${owner.name}; alter table ticket owner to ${owner.name};
        grant all on all tables in schema public to ${owner.name}`)
      const migration = await project.database.connect({ connectionString: owner.url })

      await migration.query(
        `begin; select pgfresh.release('ticket'); alter table ticket alter venue_id type bigint; rollback`,
      )
      await migration.query('update ticket set price = price + 1 where id = 1')
      expect(await log.news()).toEqual(['ticket U 1>1'])
      await migration.query(
        `begin; select pgfresh.release('ticket'); alter table ticket alter venue_id type bigint; commit`,
      )
      expect(await log.news()).toEqual(['ticket A'])
      await migration.query(
        'update ticket set price = price * 2; insert into ticket values (8, 3, 80); delete from ticket where id = 3',
      )
      expect(await log.news()).toEqual([])

      await project.apply()
      await project.drain()
      await project.expectFresh(salesComparison)
      await migration.query('update ticket set price = 0 where id = 1')
      expect(await log.news()).toEqual(['ticket U 1>1'])
    })

    test('is nobody else’s', async () => {
      const { project, log } = await sales(major)
      const stranger = await project.database.createRole()
      await project.query(
        `grant usage on schema pgfresh to ${stranger.name}; grant all on ticket to ${stranger.name}`,
      )
      const session = await project.database.connect({ connectionString: stranger.url })

      await expect(session.query(`select pgfresh.release('ticket')`)).rejects.toMatchObject({ code: '42501' })

      expect(await log.news()).toEqual([])
      expect((await project.plan()).steps).toEqual([])
    })

    test('of a table that others inherit from says so of each of them that is captured', async () => {
      const { project } = await sales(
        major,
        `create table base (id int primary key, price int); create table extra (venue_id int) inherits (base)`,
      )
      await project.materialize(`${salesDefinition}
        export const more = defineColumns({
          table: 'venue', stamp: 'more_at',
          columns: { more: sql\`(select sum(e.price) from extra e where e.venue_id = venue.id)\` },
          dependsOn: { extra: { via: sql\`select venue_id as id from changed\` } },
        })`)
      const log = new LogReader(project)
      await log.news()

      await project.query(
        `begin; select pgfresh.release('base'); alter table base alter price type bigint; commit`,
      )

      expect(await log.news()).toEqual(['extra A'])
    })
  })

  describe('triggers that somebody disabled or dropped', () => {
    test.each([
      ['disable trigger pgfresh_update', /trigger pgfresh_update is disabled/],
      ['disable trigger user', /trigger pgfresh_delete is disabled, trigger pgfresh_truncate is disabled/],
      ['disable trigger all', /trigger pgfresh_insert is disabled/],
      ['enable replica trigger pgfresh_insert', /trigger pgfresh_insert fires for replication only/],
    ])('%s is seen by plan, and apply computes what went unnoticed', async (ddl, problem) => {
      const { project, log } = await sales(major)
      await project.query(`alter table ticket ${ddl}`)
      await project.query(
        'insert into ticket values (5, 3, 50); update ticket set price = 1; delete from ticket where id = 3',
      )
      await project.drain()

      const { steps } = await project.plan()
      expect(steps.map((step) => step.kind)).toEqual(['capture'])
      expect(steps[0]?.description).toMatch(problem)
      await project.apply()
      await project.drain()
      await project.expectFresh(salesComparison)

      await log.news()
      for (const sql of everyWrite('venue_id', 'price')) await project.query(sql)
      await project.query('truncate promotion')
      expect(await log.news()).toHaveLength(5)
      await project.drain()
      await project.expectFresh(salesComparison)
      expect((await project.plan()).steps).toEqual([])
    })

    test('the one that never runs may be missing because a column was replaced: everything is computed', async () => {
      const { project } = await sales(major)
      await project.query('alter table ticket drop column price cascade, add column price int default 5')

      const { steps } = await project.plan()
      expect(steps.map((step) => step.description)).toEqual([
        'capture changes of ticket (price, venue_id): trigger pgfresh_columns is missing; what went unnoticed is computed again (venue)',
      ])
      await project.apply()
      await project.drain()

      await project.expectFresh(salesComparison)
      await expect(project.query('alter table ticket drop column price')).rejects.toMatchObject({
        code: '2BP01',
      })
    })
  })

  test('DROP SCHEMA pgfresh CASCADE leaves writers alone, those in the middle of a transaction too', async () => {
    const { project } = await sales(major)
    const writer = await project.database.connect()
    for (const sql of everyWrite('venue_id', 'price')) await writer.query(sql)
    await writer.query('begin isolation level repeatable read; select now()')

    await project.query('drop schema pgfresh cascade')

    await writer.query(
      'insert into ticket values (50, 1, 1); update ticket set price = 9; update venue set taken = 0',
    )
    await writer.query('delete from ticket; commit; truncate ticket, promotion, venue')
    expect(await project.query(`select tgname from pg_trigger where tgname like 'pgfresh%'`)).toEqual([])
    await project.query(salesRows)
    const adopted = salesDefinition.replace(
      'dependsOn:',
      `adopt: ['taken', 'bonus', 'materialized_at'], dependsOn:`,
    )
    await project.materialize(adopted)
    await project.drain()
    await project.expectFresh(salesComparison)
  })
})

async function sales(major: Major, more = ''): Promise<{ project: Project; log: LogReader }> {
  const project = await createProject(major, `${salesSchema};${more}`)
  await project.query(salesRows)
  await project.materialize(salesDefinition)
  await project.drain()
  const log = new LogReader(project)
  await log.news()
  return { project, log }
}
