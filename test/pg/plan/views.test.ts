/**
 * From the definition of a view to its steps: what is made, what is changed, and that nothing is left to do after an apply.
 */
import { describe, expect, it } from 'vitest'
import { forEachMajor, type TestDatabase } from '../../support/database.ts'
import { cinemaDatabase } from './cinema-database.ts'
import { applyTo, mistakesOf, planFor, stepLines, views, type WrittenView } from './planning.ts'

const sold: WrittenView = {
  query: 'select venue_id, sum(sold) as sold from showtime group by venue_id',
  key: ['venue_id'],
  every: '10 minutes',
}

/** Plans, applies, and sees that then there is nothing to do. Returns what was planned. */
async function settle(
  database: TestDatabase,
  written: Readonly<Record<string, WrittenView>>,
  options: { readonly prune?: boolean; readonly drop?: boolean } = {},
): Promise<string[]> {
  const plan = await planFor(database.url, views(written), options)
  await applyTo(database.url, views(written), options)
  expect(stepLines(await planFor(database.url, views(written), options))).toEqual([])
  return stepLines(plan)
}

const stored = (database: TestDatabase) =>
  database.query(
    `select s.materialized_view_name as name, s.refresh_interval::text as every, s.cron, s.time_zone, s.maximum_execution_duration::text as longest,
       s.enabled, s.declared_by, v.target = to_regclass(s.materialized_view_name) as known, v.rebuild
     from pgfresh.materialized_view_refresh_schedule s left join pgfresh.view v on v.schedule = s.id order by s.id`,
  )

const soldRow = {
  name: 'sold',
  every: '00:10:00',
  cron: null,
  time_zone: 'UTC',
  longest: '00:30:00',
  enabled: true,
  declared_by: 'default/sold',
  known: true,
  rebuild: false,
}

forEachMajor((major) => {
  describe('a new view', () => {
    it('is made empty, with its index and its row, and then there is nothing to do', async () => {
      const database = await cinemaDatabase(major)

      expect(
        await settle(database, {
          sold,
          nightly: {
            view: 'nightly',
            query: "select count(*) as n from showtime where starts_at > now() - interval '1 day'",
            cron: '30 3 * * *',
            timeZone: 'Europe/London',
            maximumExecutionDuration: '5 minutes',
          },
          asked: { query: 'select 1 as one' },
        }),
      ).toEqual([
        "+ create pgfresh's own schema",
        '+ create materialized view sold with a unique index on venue_id, refreshed every 10 minutes',
        '+ create materialized view nightly, refreshed at 30 3 * * * (Europe/London)',
        '+ create materialized view asked, refreshed on request',
      ])
      expect(await stored(database)).toEqual([
        soldRow,
        {
          ...soldRow,
          name: 'nightly',
          every: null,
          cron: '30 3 * * *',
          time_zone: 'Europe/London',
          longest: '00:05:00',
          declared_by: 'default/nightly',
        },
        { ...soldRow, name: 'asked', every: null, declared_by: 'default/asked' },
      ])
      expect(
        await database.query(
          `select relname, relispopulated as populated, pg_get_indexdef(indexrelid) as index from pg_class left join pg_index on indrelid = pg_class.oid
           where relkind = 'm' order by 1`,
        ),
      ).toEqual([
        { relname: 'asked', populated: false, index: null },
        { relname: 'nightly', populated: false, index: null },
        {
          relname: 'sold',
          populated: false,
          index: 'CREATE UNIQUE INDEX sold_pgfresh_key ON public.sold USING btree (venue_id)',
        },
      ])
    })

    it('may be in another schema, with a long name in quotes, written as it must be', async () => {
      const database = await cinemaDatabase(major)
      const long = 'Ä'.repeat(31)
      await database.query('create schema reporting')

      expect(await settle(database, { long: { ...sold, view: `reporting."${long}"` } })).toEqual([
        "+ create pgfresh's own schema",
        `+ create materialized view reporting."${long}" with a unique index on venue_id, refreshed every 10 minutes`,
      ])
      expect((await stored(database)).map((row) => row.name)).toEqual([`reporting."${long}"`])
    })

    it('a plan changes nothing', async () => {
      const database = await cinemaDatabase(major)
      const contents = () =>
        database.query(
          'select (select count(*) from pg_class) as relations, (select count(*) from pg_type) as types',
        )
      const found = await contents()

      await planFor(database.url, views({ sold }))

      expect(await contents()).toEqual(found)
    })

    it('is read by another new one, whatever their order', async () => {
      const database = await cinemaDatabase(major)
      const best = { query: 'select * from sold where sold.sold > 10', key: ['venue_id'] }

      expect(await settle(database, { best, sold })).toEqual([
        "+ create pgfresh's own schema",
        '+ create materialized view sold with a unique index on venue_id, refreshed every 10 minutes',
        '+ create materialized view best with a unique index on venue_id, refreshed on request',
      ])
    })

    it('waits for nobody but who has locked what it reads, and says who that is', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, views({ asked: { query: 'select 1 as one' } }))
      const writer = await database.connect()
      const holder = await database.connect()
      await writer.query('begin; update showtime set sold = 1')

      await applyTo(database.url, views({ asked: { query: 'select 1 as one' }, sold }))
      await writer.query('rollback')
      const told = await mistakesOf(
        applyTo(database.url, views({ asked: { query: 'select 1 as one' }, sold, also: sold }), {
          patienceMs: 1000,
          approve: async () => {
            await holder.query('begin; lock table showtime')
            return true
          },
        }),
      )

      expect(told.replace(/\d+/g, '#')).toBe(
        '+ create materialized view also with a unique index on venue_id, refreshed every # minutes: waited # s for a lock on what also reads in vain\n' +
          '  Held by:\n' +
          '    pid #, role postgres (test), idle in transaction, transaction of # s: begin; lock table showtime\n' +
          '  Nothing of this step was done, and what came before it stays: run apply again when that is over.',
      )
    })
  })

  describe('a view that has changed', () => {
    it('is built anew by the daemon if its query has, and its layout is no change', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, views({ sold }))

      expect(
        await settle(database, {
          sold: {
            ...sold,
            query: 'SELECT venue_id, sum(sold) AS sold -- all of it\n FROM showtime GROUP BY venue_id',
          },
        }),
      ).toEqual([])
      expect(
        await settle(database, { sold: { ...sold, query: `${sold.query} having count(*) > 1` } }),
      ).toEqual(['~ change materialized view sold: built anew by the daemon, since its query has changed'])
      expect(await stored(database)).toEqual([{ ...soldRow, rebuild: true }])
    })

    it('keeps its rows where only options have, and gets another row in the schedule', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, views({ sold }))

      expect(
        await settle(database, {
          sold: {
            query: sold.query,
            key: ['venue_id'],
            cron: '*/10 * * * *',
            timeZone: 'Europe/London',
            maximumExecutionDuration: '1 hour',
            settings: { work_mem: '8MB' },
          },
        }),
      ).toEqual([
        '~ change materialized view sold: refreshed at */10 * * * * (Europe/London), cancelled after 1 hour, settings',
      ])
      expect(await stored(database)).toEqual([
        { ...soldRow, every: null, cron: '*/10 * * * *', time_zone: 'Europe/London', longest: '01:00:00' },
      ])
    })

    it('by its key gets another unique index, and none without one', async () => {
      const database = await cinemaDatabase(major)
      const query = 'select venue_id, starts_at from showtime'
      await applyTo(database.url, views({ times: { query, key: ['venue_id', 'starts_at'] } }))

      expect(await settle(database, { times: { query, key: ['starts_at'] } })).toEqual([
        '~ change materialized view times: key starts_at',
        '+ create a unique index on times (starts_at)  [SHARE on times]',
        '- drop the unique index of times, which is no longer its key  [ACCESS EXCLUSIVE on times]',
      ])
      expect(await database.query(`select indexdef from pg_indexes where tablename = 'times'`)).toEqual([
        { indexdef: 'CREATE UNIQUE INDEX times_pgfresh_key ON public.times USING btree (starts_at)' },
      ])
      expect(await settle(database, { times: { query } })).toEqual([
        '~ change materialized view times: without a key',
        '- drop the unique index of times, which is no longer its key  [ACCESS EXCLUSIVE on times]',
      ])
    })

    it('by a key whose values are not unique is told which', async () => {
      const database = await cinemaDatabase(major)
      const query = 'select 1 as a from showtime'
      await applyTo(database.url, views({ ones: { query } }))
      await database.query('refresh materialized view ones')

      const told = await mistakesOf(applyTo(database.url, views({ ones: { query, key: ['a'] } })))

      expect(told).toBe(
        '+ create a unique index on ones (a): could not create unique index "ones_pgfresh_key"\n' +
          '  Key (a)=(1) is duplicated.\n' +
          '  Nothing of this step was done, and what came before it stays: mend this and run apply again.',
      )
    })

    it('is built anew where a function that it calls has another body', async () => {
      const database = await cinemaDatabase(major)
      const body = (factor: number) =>
        `create or replace function taxed(integer) returns bigint language sql immutable as 'select $1::bigint * ${factor}'`
      await database.query(body(2))
      const taxed = { query: 'select id, taxed(capacity) as taxed from venue', key: ['id'] }
      await applyTo(database.url, views({ taxed }))
      await database.query(body(3))

      expect(await settle(database, { taxed })).toEqual([
        '~ change materialized view taxed: built anew by the daemon, since a function that it calls has changed',
      ])
    })

    it('and goes back before it was built is not built at all', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, views({ sold }))
      await applyTo(database.url, views({ sold: { ...sold, query: `${sold.query} limit 3` } }))
      await database.query('create view weekly as select * from sold')

      expect(await settle(database, { sold })).toEqual([
        '~ change materialized view sold: not built anew, since it holds just that',
      ])
      expect(await stored(database)).toEqual([soldRow])
    })

    it('is refused while others depend on it', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, views({ sold }))
      await database.query(`
        create view weekly as select * from sold;
        create function best() returns bigint language sql stable begin atomic select max(sold) from sold; end`)
      const changed = { ...sold, query: `${sold.query} having count(*) > 1` }

      expect(await mistakesOf(planFor(database.url, views({ sold: changed })))).toBe(
        "sold.ts:10: sold has to be built anew, and can't be while others depend on it: function public.best(), view public.weekly\n" +
          '  Drop them, apply, and create them again once it was built; or keep its query.',
      )
      await database.query('drop view weekly; drop function best()')
      await applyTo(database.url, views({ sold: changed }))
      const reader = { query: 'select venue_id from sold' }
      expect(await mistakesOf(planFor(database.url, views({ sold: changed, reader })))).toBe(
        "reader.ts:10: reader reads sold, which is yet to be built anew, and can't be once a new view reads it\n" +
          '  Take it out, apply, and put it back once sold was built.',
      )
    })
  })

  describe('adoption', () => {
    const prepare = async () => {
      const database = await cinemaDatabase(major)
      await database.query(
        `create materialized view sold as ${sold.query}; create unique index theirs on sold (venue_id)`,
      )
      return database
    }

    it('has to be said', async () => {
      const database = await prepare()

      expect(await mistakesOf(planFor(database.url, views({ sold })))).toBe(
        'sold.ts:10: materialized view sold exists, and pgfresh did not make it\n' +
          '  To let pgfresh take it over: adopt: true. Otherwise choose another name.',
      )
    })

    it('takes the same query as it is, with an index that fits, and never drops it', async () => {
      const database = await prepare()
      const adopted = { sold: { ...sold, query: sold.query.toUpperCase(), adopt: true } }

      expect((await settle(database, adopted)).slice(1)).toEqual([
        '+ take over materialized view sold: as it is, refreshed every 10 minutes',
      ])
      expect(await stored(database)).toEqual([soldRow])
      expect(
        await settle(database, { asked: { query: 'select 1 as one' } }, { prune: true, drop: true }),
      ).toEqual([
        '- stop refreshing sold (materialized view sold)',
        '+ create materialized view asked, refreshed on request',
      ])
      expect(await database.query('select count(*)::int as n from sold')).toEqual([{ n: 50 }])
    })

    it('has another query built anew', async () => {
      const database = await prepare()

      expect(
        (await settle(database, { sold: { ...sold, query: `${sold.query} limit 3`, adopt: true } })).slice(1),
      ).toEqual([
        '+ take over materialized view sold: built anew by the daemon, since its query is another one, refreshed every 10 minutes',
      ])
      expect(await stored(database)).toEqual([{ ...soldRow, rebuild: true }])
    })

    it('takes over the row that people had for it, and leaves it switched off', async () => {
      const database = await prepare()
      await applyTo(database.url, views({ asked: { query: 'select 1 as one' } }))
      await database.query(
        `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval, enabled) values ('"public".sold', '1 hour', false)`,
      )

      expect(
        await settle(database, { asked: { query: 'select 1 as one' }, sold: { ...sold, adopt: true } }),
      ).toEqual(['+ take over materialized view sold: as it is, refreshed every 10 minutes'])
      expect((await stored(database)).slice(1)).toEqual([
        { ...soldRow, name: '"public".sold', enabled: false },
      ])
    })
  })
})
