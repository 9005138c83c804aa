/**
 * Invariants 7 and 8: rows that the query returns nothing for are fresh too, and one bad row stops one row.
 */
import { describe, expect, test } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { createProject } from '../../support/project.ts'
import { waitFor } from '../../support/wait-for.ts'

const saleSchema = `
  create table venue (id int primary key, seats int);
  create table sale (id int primary key, venue_id int, sold int);
  create index on sale (venue_id)`

const saleQuery = (options = '') => `export const venue = defineColumns({
  table: 'venue',
  query: sql\`select s.venue_id as id, sum(s.sold) as sold, max(s.id) as last_sale from sale s group by s.venue_id\`,
  defaults: { sold: 0 },
  dependsOn: { sale: { via: sql\`select venue_id as id from changed\` } },
  ${options}
})`

const saleComparison = {
  stored: 'select id, sold, last_sale, materialized_at is not null from venue',
  expected: `select v.id, coalesce((select sum(sold) from sale where venue_id = v.id), 0), (select max(id) from sale where venue_id = v.id), true from venue v`,
}

forEachMajor((major) => {
  describe('rows that a query returns nothing for', () => {
    test('get their defaults and their stamp, and come up in no later batch', async () => {
      const project = await createProject(major, saleSchema)
      await project.query(
        `insert into venue select n, 10 from generate_series(1, 1000) n; insert into sale values (1, 7, 3)`,
      )
      await project.materialize(saleQuery())
      await project.drain()
      await project.expectFresh(saleComparison)
      const versions = `select md5(string_agg(xmin::text, ',' order by id)) from venue where id <> 8`
      const before = await project.query(versions)

      await project.query('insert into sale values (2, 8, 5)')
      await project.drain()
      await project.query('delete from sale where id = 2')
      await project.drain()

      await project.expectFresh(saleComparison)
      expect(await project.query(versions)).toEqual(before)
      // Broken: rows are found by joining the query's result; then these stay NULL and come up again in each batch.
    })

    test('are stamped where every value of theirs is NULL, and are not computed again for that', async () => {
      const project = await createProject(major, saleSchema)
      await project.query('insert into venue values (1, null), (2, null)')
      await project.materialize(
        `export const venue = defineColumns({ table: 'venue', columns: { double: sql\`venue.seats * 2\` } })`,
      )
      await project.drain()
      await project.expectFresh({
        stored: 'select double, materialized_at is not null from venue',
        expected: 'select null::int, true from venue',
      })

      await project.query('update venue set seats = null')

      expect(await project.pending()).toEqual({ news: false, tasks: 0, deferred: 0, walks: 0 })
    })
  })

  describe('one bad row', () => {
    const ratio = `export const venue = defineColumns({
      table: 'venue',
      columns: { ratio: sql\`(select sum(s.sold) from sale s where s.venue_id = venue.id) / venue.seats\` },
      dependsOn: { sale: { via: sql\`select venue_id as id from changed\` } },
    })`

    test('in ten thousand costs one row: quarantined with its error, everything else fresh, free once it is mended', async () => {
      const project = await createProject(major, saleSchema)
      await project.query(`insert into venue select n, case n when 4321 then 0 else 2 end from generate_series(1, 10000) n;
        insert into sale select n, n, n from generate_series(1, 10000) n`)
      await project.materialize(ratio)

      expect(await project.drain()).toEqual({ quarantined: 1, failing: [], paused: [] })
      await project.expectFresh({
        stored: 'select id, ratio, materialized_at is not null from venue where id <> 4321',
        expected:
          'select v.id, s.sold / 2, true from venue v join sale s on s.venue_id = v.id where v.id <> 4321',
      })
      expect(await project.query('select key, error, sqlstate from pgfresh.quarantine')).toEqual([
        { key: [4321], error: 'division by zero', sqlstate: '22012' },
      ])

      await project.query('update venue set seats = 3 where id = 4321')
      expect(await project.drain()).toEqual({ quarantined: 0, failing: [], paused: [] })
      await project.expectFresh({
        stored: 'select ratio from venue where id = 4321',
        expected: 'select 4321 / 3',
      })
    })

    test('is tried again by itself: what was mended without a change is computed too', async () => {
      const project = await createProject(major, saleSchema)
      await project.query(`create function weigh(n int) returns int language plpgsql as $$ begin if n = 2 then raise exception 'too heavy'; end if; return n; end $$;
        insert into venue values (1, 1), (2, 2), (3, 3)`)
      await project.materialize(
        `export const venue = defineColumns({ table: 'venue', columns: { weight: sql\`weigh(venue.seats)\` } })`,
      )
      await project.drain()
      expect(await project.query('select key, error from pgfresh.quarantine')).toEqual([
        { key: [2], error: 'too heavy' },
      ])
      const daemon = project.start()

      await project.query(
        'create or replace function weigh(n int) returns int language sql as $$ select n $$',
      )
      // Not ten seconds later, but now.
      await project.query('update pgfresh.quarantine set retry_at = now()')
      await waitFor(
        'quarantine to be empty',
        async () => (await project.query('select from pgfresh.quarantine')).length === 0,
      )

      await project.expectFresh({
        stored: 'select id, weight from venue',
        expected: 'select id, seats from venue',
      })
      await daemon.stop()
    })

    test('that is deleted leaves quarantine', async () => {
      const project = await createProject(major, saleSchema)
      await project.query(
        'insert into venue values (1, 1), (2, 0); insert into sale values (1, 1, 5), (2, 2, 5)',
      )
      await project.materialize(ratio)
      expect(await project.drain()).toMatchObject({ quarantined: 1 })

      await project.query('delete from venue where id = 2')
      await project.query('update pgfresh.quarantine set retry_at = now()')

      expect(await project.drain()).toMatchObject({ quarantined: 0 })
    })

    test('stays in quarantine for the column that fails, whatever happens to its other columns', async () => {
      const project = await createProject(
        major,
        `create table venue (id int primary key, seats int); insert into venue values (1, 1);
         create table a (venue_id int primary key, n int); create table b (venue_id int primary key, n int);
         insert into a values (1, 1); insert into b values (1, 1)`,
      )
      await project.materialize(`export const venue = defineColumns({
        table: 'venue',
        columns: {
          by_a: sql\`(select 60 / a.n from a where a.venue_id = venue.id)\`,
          by_b: sql\`(select 60 / b.n from b where b.venue_id = venue.id)\`,
        },
        dependsOn: { a: { via: sql\`select venue_id as id from changed\` }, b: { via: sql\`select venue_id as id from changed\` } },
      })`)
      await project.drain()

      await project.query('update a set n = 0')
      expect(await project.drain()).toMatchObject({ quarantined: 1 })
      await project.query('update b set n = 2')
      expect(await project.drain(), 'by_b was computed, by_a was not').toMatchObject({ quarantined: 1 })
      await project.query('update b set n = 0')
      expect(await project.drain()).toMatchObject({ quarantined: 1 })
      expect(await project.query('select columns from pgfresh.quarantine')).toEqual([
        { columns: ['by_a', 'by_b'] },
      ])

      await project.query('update b set n = 3')
      await project.query(
        'alter table a disable trigger all; update a set n = 4; alter table a enable trigger all',
      )
      await project.query('update pgfresh.quarantine set retry_at = now()')
      expect(await project.drain()).toMatchObject({ quarantined: 0 })
      await project.expectFresh({ stored: 'select by_a, by_b from venue', expected: 'select 15, 20' })
    })

    test('does not hold up its source: a change of it and of others are planned and done', async () => {
      const project = await createProject(major, saleSchema)
      await project.query(
        `insert into venue select n, n - 1 from generate_series(1, 50) n; insert into sale select n, n, 100 from generate_series(1, 50) n`,
      )
      await project.materialize(ratio)
      await project.drain()

      for (let n = 1; n <= 5; n += 1) {
        await project.query('update sale set sold = sold + 100')
        expect(await project.drain()).toMatchObject({ quarantined: 1 })
      }

      await project.expectFresh({
        stored: 'select id, ratio from venue where id > 1',
        expected:
          'select v.id, s.sold / v.seats from venue v join sale s on s.venue_id = v.id where v.id > 1',
      })
    })
  })

  test('a query that gives a key twice quarantines that key, and says so', async () => {
    const project = await createProject(major, saleSchema)
    await project.query(`insert into venue select n, 1 from generate_series(1, 300) n; insert into sale select n, n, n from generate_series(1, 300) n;
      insert into sale values (1000, 77, 1)`)
    await project.materialize(`export const venue = defineColumns({
      table: 'venue',
      query: sql\`select s.venue_id as id, s.sold from sale s\`,
      dependsOn: { sale: { via: sql\`select venue_id as id from changed\` } },
    })`)

    expect(await project.drain()).toMatchObject({ quarantined: 1 })
    expect(await project.query('select key, error from pgfresh.quarantine')).toEqual([
      { key: [77], error: 'the query returned more than one row for key 77' },
    ])
    await project.query('delete from sale where id = 1000')
    expect(await project.drain()).toMatchObject({ quarantined: 0 })
    await project.expectFresh({
      stored: 'select id, sold from venue',
      expected: 'select venue_id, sold from sale',
    })
  })

  describe('one bad definition', () => {
    const two = `export const venue = defineColumns({
        table: 'venue',
        columns: { sold: sql\`(select coalesce(sum(s.sold), 0) from sale s where s.venue_id = venue.id)\` },
        dependsOn: { sale: { via: sql\`select venue_id as id from changed\` } },
      })
      export const hall = defineColumns({
        table: 'hall',
        columns: { label: sql\`upper(hall.name)\` },
        expires: '1 hour',
      })`
    const schema = `${saleSchema}; create table hall (id int primary key, name text);
      insert into venue values (1, 1), (2, 2); insert into hall select n, 'h' || n from generate_series(1, 20) n`
    const venueIsFresh = {
      stored: 'select id, sold from venue',
      expected:
        'select v.id, coalesce(sum(s.sold), 0) from venue v left join sale s on s.venue_id = v.id group by 1',
    }

    test.each([
      ['whose target was renamed', 'alter table hall rename to room'],
      ['whose target was dropped', 'drop table hall'],
      ['whose column was dropped', 'alter table hall drop column name cascade'],
      ['whose own column was dropped', 'alter table hall drop column label cascade'],
    ])('%s stops nobody else, neither now nor with a walk of its own open', async (_, ddl) => {
      const project = await createProject(major, schema)
      await project.materialize(two)
      await project.drain()
      const daemon = project.start()

      await project.query(`select pgfresh.refresh('hall')`)
      await project.query(ddl)
      for (let n = 1; n <= 3; n += 1) {
        await project.query('insert into sale values ($1, 1, 5)', [n])
        await waitFor(
          'the other definition to be fresh',
          async () =>
            (await project.query('select from venue where id = 1 and sold = $1', [n * 5])).length === 1,
          { timeoutMs: 5_000 },
        )
      }

      await project.expectFresh(venueIsFresh)
      await daemon.stop()
    })

    test('is named as failing, and comes to life by itself once it is mended', async () => {
      const project = await createProject(major, schema)
      await project.materialize(two)
      await project.drain()
      const daemon = project.start()

      await project.query('alter table hall rename to room')
      await project.query(`insert into room values (21, 'h21')`)
      await waitFor('the definition to be noted as failing', async () => {
        const rows = await project.query(
          `select from pgfresh.materialization where name = 'hall' and error is not null`,
        )
        return rows.length === 1
      })
      await project.query('alter table room rename to hall')
      await waitFor(
        'its rows to be fresh',
        async () => (await project.query(`select from hall where label = 'H21'`)).length === 1,
        {
          timeoutMs: 15_000,
        },
      )
      await daemon.stop()
    })
  })
})
