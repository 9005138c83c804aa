/**
 * Partitioned tables, as source and as target, two levels deep: written through any level, moved between partitions,
 * truncated in part, attached and detached. Row triggers of the root reach every partition, also those that come later;
 * TRUNCATE triggers don't, so each leaf has one.
 */
import { expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { type Comparison, createProject, type Project } from '../../support/project.ts'
import { LogReader } from './log.ts'

/** The partitions of one level have their columns in another order than the root, and one of them has lost a column. */
const schema = `
  create table venue (id int, region text, name text, primary key (region, id)) partition by list (region);
  create table venue_north partition of venue for values in ('n') partition by hash (id);
  create table venue_north_0 partition of venue_north for values with (modulus 2, remainder 0);
  create table venue_north_1 partition of venue_north for values with (modulus 2, remainder 1);
  create table venue_south (name text, gone int, region text not null, id int not null);
  alter table venue_south drop column gone;
  alter table venue attach partition venue_south for values in ('s');

  create table ticket (id int, sold_on date, region text, venue_id int, price int, note text) partition by list (region);
  create table ticket_north partition of ticket for values in ('n') partition by range (sold_on);
  create table ticket_north_old partition of ticket_north for values from (minvalue) to ('2024-01-01');
  create table ticket_north_new partition of ticket_north for values from ('2024-01-01') to (maxvalue);
  create table ticket_south (price int, dropped text, note text, venue_id int, id int, region text, sold_on date);
  alter table ticket_south drop column dropped;
  alter table ticket attach partition ticket_south for values in ('s');

  insert into venue values (1, 'n', 'a'), (2, 'n', 'b'), (1, 's', 'c'), (2, 's', 'd');
  insert into ticket values (1, '2023-05-01', 'n', 1, 10), (2, '2024-05-01', 'n', 2, 20), (3, '2024-05-01', 's', 1, 30)`

const definition = `export const venue = defineColumns({
  table: 'venue',
  columns: { taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.region = venue.region and t.venue_id = venue.id)\` },
  dependsOn: { ticket: { via: sql\`select region, venue_id as id from changed\` } },
})`

const comparison: Comparison = {
  stored: 'select region, id, taken, materialized_at is not null from venue',
  expected: `select v.region, v.id, coalesce(sum(t.price), 0), true from venue v
    left join ticket t on t.region = v.region and t.venue_id = v.id group by 1, 2`,
}

forEachMajor((major) => {
  test('rows that are written through the root, a partition of it or a leaf are logged once each', async () => {
    const project = await venues(major)
    const log = await logOf(project)
    const writes: [sql: string, logs: string[]][] = [
      [`insert into ticket values (4, '2024-06-01', 'n', 1, 40)`, ['ticket I ["n", 1]']],
      [`insert into ticket_north values (5, '2023-06-01', 'n', 2, 50)`, ['ticket I ["n", 2]']],
      [`insert into ticket_north_old values (6, '2023-07-01', 'n', 2, 60)`, ['ticket I ["n", 2]']],
      [
        `insert into ticket_south (id, region, venue_id, price) values (7, 's', 2, 70)`,
        ['ticket I ["s", 2]'],
      ],
      [
        `copy ticket_south (id, region, venue_id, price) from program 'printf "8,s,1,80\\n"' (format csv)`,
        ['ticket I ["s", 1]'],
      ],
      ['update ticket_south set price = price + 1 where id = 7', ['ticket U ["s", 2]>["s", 2]']],
      [`update ticket_south set note = 'x'; update ticket set note = 'y'`, []],
      ['update ticket set venue_id = 2 where id = 3', ['ticket U ["s", 1]>["s", 2]']],
      ['delete from ticket_north_new where id = 2', ['ticket D ["n", 2]']],
      [`insert into venue_south (id, region) values (3, 's')`, ['venue I [3, "s"]']],
      [`delete from venue where region = 'n' and id = 2`, ['venue D [2, "n"]']],
    ]
    for (const [sql, logs] of writes) {
      await project.query(sql)
      expect(await log.news(), sql).toEqual(logs)
    }
    await project.drain()

    await project.expectFresh(comparison)
  })

  test('a table that has no partition yet is captured for those to come', async () => {
    const project = await createProject(
      major,
      `create table venue (id int, region text, primary key (region, id)); insert into venue values (1, 'n'), (2, 'n');
       create table ticket (region text, venue_id int, price int) partition by list (region)`,
    )
    await project.materialize(definition)
    await project.drain()

    await project.query(`create table ticket_north partition of ticket default;
      insert into ticket_north values ('n', 1, 5); insert into ticket values ('n', 2, 6)`)
    await project.drain()

    await project.expectFresh(comparison)
  })

  test.each([
    ['the owner of the table', 'owner'],
    ['a member of the role that owns it', 'member'],
  ] as const)('partitions are made and attached by %s, who has no right on our schema', async (_, how) => {
    const project = await createProject(major, schema)
    const owner = await project.database.createRole()
    const other = await project.database.createRole()
    await project.query(`grant all on schema public to ${owner.name}, ${other.name}; alter table ticket owner to ${owner.name};
      alter table ticket_north owner to ${owner.name}; alter table ticket_south owner to ${owner.name}`)
    await project.materialize(definition)
    await project.drain()
    const log = await logOf(project)
    await project.query(`grant ${owner.name} to ${other.name}`)
    const who = await project.database.connect({ connectionString: { owner, member: other }[how].url })

    await who.query(`create table ticket_west partition of ticket for values in ('w');
      create table ticket_east (like ticket); alter table ticket attach partition ticket_east for values in ('e')`)
    await who.query(`insert into ticket (region, venue_id, price) values ('w', 1, 5);
      insert into ticket_east (region, venue_id, price) values ('e', 1, 6)`)

    expect(await log.news()).toEqual(['ticket I ["w", 1]', 'ticket I ["e", 1]'])
  })

  test.each(['ticket', 'ticket_north'])(
    'partitions are made and attached by a role that has come to own %s since apply',
    async (table) => {
      const project = await venues(major)
      const log = await logOf(project)
      const heir = await project.database.createRole()
      await project.query(
        `grant all on schema public to ${heir.name}; alter table ${table} owner to ${heir.name}`,
      )
      const who = await project.database.connect({ connectionString: heir.url })
      const [made, attached, write] = {
        ticket: [`for values in ('w')`, `for values in ('e')`, `('w', 1, 5), ('e', 2, 6)`],
        ticket_north: [
          `for values from ('2025-01-01') to ('2026-01-01')`,
          `for values from ('2026-01-01') to (maxvalue)`,
          `('n', 1, '2025-05-05'), ('n', 2, '2026-05-05')`,
        ],
      }[table] as [string, string, string]
      if (table === 'ticket_north') {
        await project.query('alter table ticket_north detach partition ticket_north_new')
        await log.news()
      }

      await who.query(`create table made partition of ${table} ${made};
        create table attached (like ${table}); alter table ${table} attach partition attached ${attached}`)
      await who.query(
        `insert into ${table} (region, venue_id, ${table === 'ticket' ? 'price' : 'sold_on'}) values ${write}`,
      )

      const logs = table === 'ticket' ? ['["w", 1]', '["e", 2]'] : ['["n", 1]', '["n", 2]']
      expect(await log.news()).toEqual(logs.map((key) => `ticket I ${key}`))
    },
  )

  test('a transaction whose snapshot is older than a partition is logged when it writes there', async () => {
    const project = await venues(major)
    const log = await logOf(project)
    const writer = await project.database.connect()
    await writer.query('begin isolation level repeatable read; select from venue')

    await project.query(`create table ticket_west partition of ticket for values in ('w')`)
    await writer.query(`insert into ticket (region, venue_id, price) values ('w', 1, 5);
      update ticket_west set price = 6; delete from ticket_west; commit`)

    expect(await log.news()).toEqual(['ticket I ["w", 1]', 'ticket U ["w", 1]>["w", 1]', 'ticket D ["w", 1]'])
  })

  test('a row that moves to another partition is a DELETE and an INSERT, in source and target', async () => {
    const project = await venues(major)
    const log = await logOf(project)

    await project.query(`update ticket set sold_on = '2022-01-01' where id = 2`)
    expect(await log.news(), 'within the second level').toEqual(['ticket D ["n", 2]', 'ticket I ["n", 2]'])
    await project.query(`update ticket set region = 's' where id = 1`)
    expect(await log.news(), 'to another of the first level').toEqual([
      'ticket D ["n", 1]',
      'ticket I ["s", 1]',
    ])
    await project.query(`update venue set region = 's', id = 7 where region = 'n' and id = 1`)
    expect(await log.news(), 'of the target').toEqual(['venue D [1, "n"]', 'venue I [7, "s"]'])
    await project.drain()

    await project.expectFresh(comparison)
  })

  test.each(['ticket', 'ticket_north', 'ticket_north_old', 'ticket_south'])(
    'TRUNCATE of %s is logged',
    async (table) => {
      const project = await venues(major)
      const log = await logOf(project)

      await project.query(`truncate ${table}`)

      expect(new Set(await log.news())).toEqual(new Set(['ticket T']))
      await project.drain()
      await project.expectFresh(comparison)
    },
  )

  test('TRUNCATE of a part of the target leaves nothing to do for the rows that went', async () => {
    const project = await venues(major)
    await project.query(`truncate venue_south; insert into venue values (1, 's', 'new')`)

    await project.drain()

    await project.expectFresh(comparison)
  })

  test('of a partition that is attached later writes are logged at once; plan sees it, and apply computes what came with it', async () => {
    const project = await venues(major)
    const log = await logOf(project)
    await project.query(`create table ticket_west (note text, venue_id int, x int, region text, price int, id int, sold_on date);
      alter table ticket_west drop column x;
      insert into ticket_west (region, venue_id, price) values ('w', 1, 500);
      insert into venue_south (id, region) values (1, 's') on conflict do nothing;
      create table venue_west partition of venue for values in ('w'); insert into venue values (1, 'w'), (2, 'w');
      alter table ticket attach partition ticket_west for values in ('w')`)
    await log.news()

    await project.query(`insert into ticket_west (region, venue_id, price) values ('w', 2, 7);
      update ticket_west set price = 8 where venue_id = 2`)
    expect(await log.news()).toEqual(['ticket I ["w", 2]', 'ticket U ["w", 2]>["w", 2]'])
    const { steps } = await project.plan()
    expect(steps.map((step) => step.description)).toEqual([
      'capture changes of venue (id, region): trigger pgfresh_truncate on venue_west is missing; what went unnoticed is computed again (venue)',
      'capture changes of ticket (price, region, venue_id): trigger pgfresh_truncate on ticket_west is missing; what went unnoticed is computed again (venue)',
    ])
    await project.apply()
    await project.drain()
    await project.expectFresh(comparison)

    expect((await project.plan()).steps).toEqual([])
    await project.query('truncate ticket_west')
    expect(await log.news()).toContain('ticket T')
    await project.drain()
    await project.expectFresh(comparison)
  })

  test('a partition that is detached is not logged any more, loses the last trigger of ours by apply, and can come back', async () => {
    const project = await venues(major)
    const log = await logOf(project)

    await project.query('alter table ticket detach partition ticket_south')
    await project.query(`insert into ticket_south (region, venue_id, price) values ('s', 2, 1); update ticket_south set price = 2;
      delete from ticket_south where venue_id = 2`)
    expect(await log.news()).toEqual([])
    await project.apply()

    expect(
      await project.query(
        `select from pg_trigger where tgrelid = 'ticket_south'::regclass and tgname like 'pgfresh%'`,
      ),
    ).toEqual([])
    await project.query(`alter table ticket attach partition ticket_south for values in ('s')`)
    await project.apply()
    await project.drain()
    await project.expectFresh(comparison)
    expect(await log.news(), 'what the daemon noticed').toEqual(['ticket A'])
    await project.query(`update ticket_south set price = 99`)
    expect(await log.news()).toEqual(['ticket U ["s", 1]>["s", 1]'])
    await project.query('truncate ticket_south')
    expect(await log.news()).toEqual(['ticket T'])
    await project.drain()
    await project.expectFresh(comparison)
  })

  test('a table that is captured by itself becomes a partition of a captured one after release(), and is captured as its part', async () => {
    const project = await createProject(
      major,
      `${schema}; create table ticket_west (id int, sold_on date, region text, venue_id int, price int, note text);
       insert into ticket_west values (9, '2024-05-01', 'w', 1, 90); insert into venue_north values (9, 'n')`,
    )
    const west = `export const west = defineColumns({
      table: 'venue', stamp: 'west_at',
      columns: { west: sql\`(select coalesce(sum(w.price), 0) from ticket_west w where w.venue_id = venue.id)\` },
      dependsOn: { ticket_west: { via: sql\`select v.region, v.id from changed w join venue v on v.id = w.venue_id\` } },
    })`
    await project.materialize(`${definition}\n${west}`)
    await project.drain()
    const attach = `alter table ticket attach partition ticket_west for values in ('w')`
    await expect(project.query(attach)).rejects.toMatchObject({ code: '42710' })

    await project.query(`begin; select pgfresh.release('ticket_west'); ${attach}; commit`)
    await project.query(`insert into ticket values (10, '2024-05-01', 'w', 2, 100)`)
    await project.apply()
    await project.query('update ticket_west set price = price + 1')
    await project.drain()

    await project.expectFresh(comparison)
    const westComparison = {
      stored: 'select region, id, west from venue',
      expected: `select v.region, v.id, coalesce(sum(t.price), 0) from venue v
        left join ticket_west t on t.venue_id = v.id group by 1, 2`,
    }
    await project.expectFresh(westComparison)
    expect((await project.plan()).steps).toEqual([])
    await project.query('truncate ticket_west')
    await project.drain()
    await project.expectFresh(westComparison)
  })
})

async function venues(major: Major): Promise<Project> {
  const project = await createProject(major, schema)
  await project.materialize(definition)
  await project.drain()
  await project.expectFresh(comparison, 'after the first apply')
  return project
}

async function logOf(project: Project): Promise<LogReader> {
  const log = new LogReader(project)
  await log.news()
  return log
}
