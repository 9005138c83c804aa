/**
 * Every kind of write: what it logs, entry by entry, and that every value is right afterwards.
 * A write that changes nothing that anybody reads logs nothing at all.
 */
import { describe, expect, test } from 'vitest'
import { forEachMajor, testDatabase } from '../../support/database.ts'
import { Project } from '../../support/project.ts'
import { LogReader } from './log.ts'
import { salesComparison, salesDefinition, salesHabits, salesRows, salesSchema } from './sales.ts'

/** One kind of write, as one message to the server, and what it logs (sorted). */
interface Write {
  readonly sql: string
  readonly logs: readonly string[]
  /** The first major that has it. */
  readonly since?: number
}

const writes: Readonly<Record<string, Write>> = {
  'an INSERT of one row': { sql: `insert into ticket values (4, 3, 40)`, logs: ['ticket I 3'] },
  'an INSERT of many rows': {
    sql: 'insert into ticket values (4, 1, 1), (5, 2, 1), (6, 2, 1)',
    logs: ['ticket I 1', 'ticket I 2', 'ticket I 2'],
  },
  'an INSERT … SELECT': {
    sql: 'insert into ticket select id + 10, 3, price from ticket where venue_id = 1',
    logs: ['ticket I 3', 'ticket I 3'],
  },
  'an INSERT … SELECT of no row': { sql: 'insert into ticket select * from ticket where false', logs: [] },
  'an INSERT without a join column': {
    sql: 'insert into ticket values (4, null, 40)',
    logs: ['ticket I null'],
  },
  COPY: {
    sql: `copy ticket (id, venue_id, price) from program 'printf "4,3,40\\n5,2,50\\n"' (format csv)`,
    logs: ['ticket I 2', 'ticket I 3'],
  },
  'an UPDATE of a column that is read': {
    sql: 'update ticket set price = 11 where id = 1',
    logs: ['ticket U 1>1'],
  },
  'an UPDATE of the join column': {
    sql: 'update ticket set venue_id = 3 where id = 1',
    logs: ['ticket U 1>3'],
  },
  'an UPDATE of the join column to nothing and back': {
    sql: 'update ticket set venue_id = null where id = 1; update ticket set venue_id = 1 where id = 1',
    logs: ['ticket U 1>null', 'ticket U null>1'],
  },
  'an UPDATE of many rows': {
    sql: 'update ticket set price = price + 1',
    logs: ['ticket U 1>1', 'ticket U 1>1', 'ticket U 2>2'],
  },
  'an UPDATE of many rows that changes one of them': {
    sql: 'update ticket set price = greatest(price, 20)',
    logs: ['ticket U 1>1'],
  },
  'an UPDATE of a column that nobody reads': { sql: `update ticket set note = 'y'`, logs: [] },
  'an UPDATE to the very same values': {
    sql: 'update ticket set price = price, venue_id = venue_id; update promotion set bonus = bonus; update venue set id = id',
    logs: [],
  },
  'an UPDATE of the key of a source that nobody reads': { sql: 'update ticket set id = id + 100', logs: [] },
  'an UPDATE whose BEFORE trigger changes what is read [A4]': {
    sql: `update ticket set note = 'free' where id = 3`,
    logs: ['ticket U 2>2'],
  },
  'an UPDATE … FROM': {
    sql: `update ticket t set price = 7 from venue v where v.id = t.venue_id and v.name = 'b'`,
    logs: ['ticket U 2>2'],
  },
  'a DELETE of one row': { sql: 'delete from ticket where id = 1', logs: ['ticket D 1'] },
  'a DELETE of many rows': {
    sql: 'delete from ticket',
    logs: ['ticket D 1', 'ticket D 1', 'ticket D 2'],
  },
  'a DELETE and an INSERT of one key in one transaction': {
    sql: 'begin; delete from ticket where id = 1; insert into ticket values (1, 3, 1); commit',
    logs: ['ticket D 1', 'ticket I 3'],
  },
  'an upsert': {
    sql: 'insert into ticket values (1, 1, 99), (4, 3, 1) on conflict (id) do update set price = excluded.price',
    logs: ['ticket I 3', 'ticket U 1>1'],
  },
  'an upsert that leaves what is there': {
    sql: 'insert into ticket values (1, 1, 99), (4, 3, 1) on conflict (id) do nothing',
    logs: ['ticket I 3'],
  },
  'an upsert that changes nothing': {
    sql: 'insert into ticket values (1, 1, 10) on conflict (id) do update set price = excluded.price',
    logs: [],
  },
  MERGE: {
    sql: `merge into ticket t using (values (1, 1, 99), (2, 1, 20), (3, 2, 0), (4, 3, 1)) n(id, venue_id, price) on t.id = n.id
      when matched and n.price = 0 then delete
      when matched and n.price = t.price then do nothing
      when matched then update set price = n.price
      when not matched then insert (id, venue_id, price) values (n.id, n.venue_id, n.price)`,
    logs: ['ticket D 2', 'ticket I 3', 'ticket U 1>1'],
    since: 15,
  },
  'modifying CTEs': {
    sql: `with gone as (delete from ticket where id = 1 returning *),
        moved as (insert into ticket select id + 10, 3, price, note from gone returning id),
        more as (insert into ticket values (5, 2, 1))
      update promotion set bonus = 9 where id = 2 and exists (select from moved)`,
    logs: ['promotion U 2>2', 'ticket D 1', 'ticket I 2', 'ticket I 3'],
  },
  'a write through a view': {
    sql: 'insert into cheap_ticket values (4, 3, 40); update cheap_ticket set price = 41 where id = 4; delete from cheap_ticket where id = 1',
    logs: ['ticket D 1', 'ticket I 3', 'ticket U 3>3'],
  },
  'a DELETE that cascades': {
    sql: 'delete from venue where id = 1',
    logs: ['promotion U 1>null', 'ticket D 1', 'ticket D 1', 'venue D 1'],
  },
  "a change of the target's key that cascades": {
    sql: 'update venue set id = 9 where id = 1',
    logs: ['promotion U 1>9', 'ticket U 1>9', 'ticket U 1>9', 'venue U 1>9'],
  },
  'a trigger that is deferred to the COMMIT': {
    sql: 'begin; insert into promotion values (3, 2, 777); update promotion set venue_id = 3 where id = 3; commit',
    logs: ['promotion I 2', 'promotion U 2>3', 'ticket I 2'],
  },
  'a savepoint that is released, and one that is rolled back': {
    sql: `begin; insert into ticket values (4, 1, 1);
      savepoint a; insert into ticket values (5, 2, 1); savepoint b; insert into ticket values (6, 3, 1); release b; release a;
      savepoint c; update ticket set venue_id = 3; truncate promotion; rollback to c; delete from ticket where id = 3; commit`,
    logs: ['ticket D 2', 'ticket I 1', 'ticket I 2', 'ticket I 3'],
  },
  'a transaction that is rolled back': {
    sql: 'begin; delete from ticket; truncate promotion; rollback',
    logs: [],
  },
  'a loop that catches errors': {
    sql: `do $$ begin
      for n in 1 .. 6 loop
        begin insert into ticket values (n, 3, 1); exception when unique_violation then null; end;
      end loop; end $$`,
    logs: ['ticket I 3', 'ticket I 3', 'ticket I 3'],
  },
  TRUNCATE: { sql: 'truncate ticket', logs: ['ticket T'] },
  'TRUNCATE … CASCADE': {
    sql: `truncate venue cascade; insert into venue values (7, 'z'); insert into ticket values (1, 7, 3)`,
    logs: ['promotion T', 'ticket I 7', 'ticket T', 'venue I 7', 'venue T'],
  },
  'a TRUNCATE that is rolled back': { sql: 'begin; truncate ticket; rollback', logs: [] },
  'a new row of the target': {
    sql: `insert into venue values (4, 'd'); insert into ticket values (4, 4, 1)`,
    logs: ['ticket I 4', 'venue I 4'],
  },
  "somebody's own value in a materialized column [A10]": {
    sql: 'update venue set taken = 0, materialized_at = now() where id = 1',
    logs: ['venue U 1>1'],
  },
  'an INSERT that copies values and stamp [A10]': {
    sql: `insert into venue select id + 10, name, bonus, taken, materialized_at from venue where id = 1`,
    logs: ['venue I 11'],
  },
}

forEachMajor((major) => {
  describe('a write is logged, and everything is fresh after it:', () => {
    const database = testDatabase(major)
    let created = false
    const prepare = async () => {
      const project = new Project(database)
      if (!created) {
        await project.query(`${salesSchema}; ${salesHabits}`)
        await project.materialize(salesDefinition)
        created = true
      }
      await project.query(salesRows)
      await project.drain()
      return project
    }

    const known = Object.entries(writes).filter(([, { since = 14 }]) => major >= since)
    test.each(known)('%s', async (_, { sql, logs }) => {
      const project = await prepare()
      await project.expectFresh(salesComparison, 'before the write')
      const log = new LogReader(project)
      await log.news()

      await project.query(sql)

      expect(await log.sortedNews()).toEqual(logs)
      await project.drain()
      await project.expectFresh(salesComparison)
      // What the daemon wrote is no change.
      expect(await log.news()).toEqual([])
    })
  })
})
