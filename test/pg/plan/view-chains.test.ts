/**
 * Views and materialized columns that read each other, and views whose refreshes are left out while nothing has changed.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { migrationScript } from '../../../src/db/migrate.ts'
import { planSql } from '../../../src/plan/render.ts'
import { forEachMajor, type TestDatabase } from '../../support/database.ts'
import { venue } from './cinema.ts'
import { cinemaDatabase, walks } from './cinema-database.ts'
import { applyTo, definitions, mistakesOf, planFor, stepLines, views } from './planning.ts'

/** Columns, a view of them, columns from that view, and a view of those. */
const chain = [
  ...views({
    top: { query: 'select id, best from country where best is not null', key: ['id'], skipUnchanged: true },
    byCountry: {
      view: 'by_country',
      query: 'select v.country_id, max(v.sold_total) as best from venue v group by v.country_id',
      key: ['country_id'],
      every: '1 minute',
    },
  }),
  ...definitions({
    country: {
      table: 'country',
      columns: { best: '(select b.best from by_country b where b.country_id = country.id)' },
      dependsOn: { by_country: 'all' },
    },
    venue,
  }),
]

const chainSteps = [
  "+ create pgfresh's own schema",
  '+ add to country: best bigint, materialized_at timestamp with time zone  [ACCESS EXCLUSIVE on country]',
  '+ add to venue: country_id integer, sold_total bigint, materialized_at timestamp with time zone  [ACCESS EXCLUSIVE on venue]',
  '+ capture changes of country (best, id)  [SHARE ROW EXCLUSIVE on country]',
  '+ capture changes of venue (cinema_id, id)  [SHARE ROW EXCLUSIVE on venue]',
  '+ capture changes of cinema (country_id, id)  [SHARE ROW EXCLUSIVE on cinema]',
  '+ capture changes of showtime (sold, venue_id)  [SHARE ROW EXCLUSIVE on showtime]',
  '+ create materialized view top with a unique index on id, refreshed on request',
  '+ create materialized view by_country with a unique index on country_id, refreshed every 1 minute',
  '+ capture refreshes of by_country (best, country_id)',
  '+ materialize country (country.materialized_at): compute best for ~82 rows (new)',
  '+ materialize venue (venue.materialized_at): compute country_id, sold_total for ~82 rows (new)',
]

/** Whether captures and routes of what reads by_country are about the view that there is. */
const known = (database: TestDatabase) =>
  database.query(
    `select r ->> 'sourceOid' = 'by_country'::regclass::oid::text as route,
       (select count(*)::int from pgfresh.capture where source = 'by_country'::regclass and retired_at is null) as captures
     from pgfresh.materialization m, jsonb_array_elements(m.compiled -> 'routes') r
     where m.name = 'country' and r -> 'source' ->> 'name' = 'by_country'`,
  )

forEachMajor((major) => {
  describe('columns that read views that read columns', () => {
    it('are planned and applied in one go, each after what it reads', async () => {
      const database = await cinemaDatabase(major)
      const lines: string[] = []

      expect(stepLines(await planFor(database.url, chain))).toEqual(chainSteps)
      await applyTo(database.url, chain, { progress: (line) => lines.push(line) })

      expect(lines.map((line) => line.replace(/ {2}\(\d+ ms\)$/, ''))).toEqual(
        chainSteps.map((line) => line.replace(/ {2}\[.*\]$/, '')),
      )
      expect(stepLines(await planFor(database.url, chain))).toEqual([])
      expect(await known(database)).toEqual([{ route: true, captures: 1 }])
    })

    it('by the printed SQL are the same', async () => {
      const database = await cinemaDatabase(major)
      const client = await database.connect()

      await client.query(planSql(await planFor(database.url, chain)))

      expect(stepLines(await planFor(database.url, chain))).toEqual([])
      expect(await known(database)).toEqual([{ route: true, captures: 1 }])
    })

    it.each([7, 8, 9])('go on where an apply ended after %i steps', async (enough) => {
      const database = await cinemaDatabase(major)
      let done = 0
      const progress = () => {
        done += 1
        if (done === enough) throw new Error('killed')
      }

      await expect(applyTo(database.url, chain, { progress })).rejects.toThrow('killed')
      expect(stepLines(await planFor(database.url, chain))).toEqual(chainSteps.slice(enough))
      await applyTo(database.url, chain)
      expect(stepLines(await planFor(database.url, chain))).toEqual([])
    })

    it('are left alone by a swap, which gives the view another oid', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, chain)

      await database.query(`do $$ declare v pgfresh.view; begin
        select * into v from pgfresh.view where name = 'byCountry';
        execute 'create materialized view beside as ' || pg_get_viewdef(v.target);
        drop materialized view by_country; alter materialized view beside rename to by_country;
        create unique index by_country_pgfresh_key on by_country (country_id);
        perform pgfresh.view_swapped(v.schedule, v.fingerprint, v.target, 'by_country'::regclass, v.compiled -> 'key');
      end $$`)

      expect(stepLines(await planFor(database.url, chain))).toEqual([])
      expect(await known(database)).toEqual([{ route: true, captures: 1 }])
    })

    it('when they are gone, its refreshes are no longer captured', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, chain)
      const rest = chain.filter((one) => one.name !== 'country' && one.name !== 'top')

      expect(stepLines(await planFor(database.url, rest, { prune: true }))).toEqual([
        '- stop materializing country (country.materialized_at): best',
        '- stop refreshing top (materialized view top)',
        '- stop capturing changes of country  [ACCESS EXCLUSIVE on country]',
        '- stop capturing refreshes of by_country',
      ])
      await applyTo(database.url, rest, { prune: true })
      expect(stepLines(await planFor(database.url, rest, { prune: true }))).toEqual([])
    })

    it('find a view that was dropped by hand, and what read it, set right', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, chain)
      await database.query('delete from pgfresh.walk; drop materialized view by_country')

      expect(stepLines(await planFor(database.url, chain))).toEqual([
        '+ create materialized view by_country again with a unique index on country_id, refreshed every 1 minute',
        '+ capture refreshes of by_country (best, country_id)',
        '~ change country (country.materialized_at): compute best for ~82 rows (changes are captured another way: best)',
        '- forget the capture of by_country, which is gone',
      ])
      await applyTo(database.url, chain)
      expect(stepLines(await planFor(database.url, chain))).toEqual([])
      expect(await known(database)).toEqual([{ route: true, captures: 1 }])
      expect((await walks(database)).map((walk) => walk.name)).toEqual(['country'])
    })

    it('find a view that people made anew under its name taken over', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, chain)
      await database.query(`drop materialized view by_country;
        create materialized view by_country as select v.country_id, max(v.sold_total) as best from venue v group by v.country_id`)

      expect(stepLines(await planFor(database.url, chain))).toEqual([
        '+ capture refreshes of by_country (best, country_id)',
        '~ change materialized view by_country: found again by its name',
        '~ change country (country.materialized_at): compute best for ~82 rows (changes are captured another way: best)',
        '+ create a unique index on by_country (country_id)  [SHARE on by_country]',
        '- forget the capture of by_country, which is gone',
      ])
      await applyTo(database.url, chain)
      expect(stepLines(await planFor(database.url, chain))).toEqual([])
    })

    it('stand in the way of a query that no longer has what they read', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, chain)
      const [top, byCountry, ...columns] = chain
      if (top?.kind !== 'view' || byCountry?.kind !== 'view') throw new Error('the chain begins with views')
      const without = {
        ...byCountry,
        query: { ...byCountry.query, sql: byCountry.query.sql.replace('as best', 'as most') },
      }

      expect(await mistakesOf(planFor(database.url, [top, without, ...columns]))).toBe(
        'country.ts:10: country reads best of by_country, which its new query does not return\n' +
          '  Keep it in the query of byCountry, or read something else.',
      )
      const reading = definitions({
        country: {
          table: 'country',
          columns: { best: '(select b.zzzz from by_country b where b.country_id = country.id)' },
          dependsOn: { by_country: 'all' },
        },
        venue,
      })
      expect(await mistakesOf(planFor(database.url, [without, ...reading]))).toBe(
        'country.ts:20: column best: column b.zzzz does not exist\n' +
          '  In: (select b.zzzz from by_country b where b.country_id = country.id)\n' +
          '  If it is a new column of by_country: that is yet to be built anew. Take this definition out, apply, and put it back once that was done.',
      )
    })

    it('are planned in full where the schema is an older one, and applied', async () => {
      const database = await cinemaDatabase(major)
      const all = migrationScript(null)
      const views4 = readFileSync(new URL('../../../migrations/0004_views.sql', import.meta.url), 'utf8')
      const client = await database.connect()
      await client.query(`${all.slice(0, all.indexOf(views4))} commit;`)

      const older = ["~ bring pgfresh's own schema from version 3 to 4", ...chainSteps.slice(1)]
      expect(stepLines(await planFor(database.url, chain))).toEqual(older)
      await applyTo(database.url, chain)
      expect(stepLines(await planFor(database.url, chain))).toEqual([])
    })
  })

  describe('a view that is left out while nothing has changed', () => {
    const totals = (skipUnchanged: boolean) =>
      views({
        totals: {
          query:
            'select (select count(*) from part) + (select count(*) from parent) + (select max(sold) from showtime) as n',
          skipUnchanged,
        },
      })
    const prompts = (database: TestDatabase) => database.query('select reason from pgfresh.view_prompt')

    it('has triggers on all that it reads, parts and children too', async () => {
      const database = await cinemaDatabase(major)
      await database.query(`
        create table part (id integer primary key) partition by range (id); create table part_1 partition of part for values from (0) to (9);
        create table parent (id integer); create table child () inherits (parent)`)

      await applyTo(database.url, totals(false))
      expect(stepLines(await planFor(database.url, totals(true)))).toEqual([
        '+ capture changes of parent (id)  [SHARE ROW EXCLUSIVE on parent]',
        '+ capture changes of part (id)  [SHARE ROW EXCLUSIVE on part]',
        '+ capture changes of showtime (sold)  [SHARE ROW EXCLUSIVE on showtime]',
        '~ change materialized view totals: left out while nothing has changed',
      ])
      await applyTo(database.url, totals(true))

      expect(stepLines(await planFor(database.url, totals(true)))).toEqual([])
      expect(
        await database.query(
          `select tgrelid::regclass::text as on from pg_trigger where tgname = 'pgfresh_truncate' order by 1`,
        ),
      ).toEqual([{ on: 'child' }, { on: 'parent' }, { on: 'part' }, { on: 'part_1' }, { on: 'showtime' }])
      // What changed before goes unnoticed, so that the next refresh isn't left out.
      expect(await prompts(database)).toEqual([{ reason: 'change' }])
    })

    it('is not left out after its triggers were gone', async () => {
      const database = await cinemaDatabase(major)
      await database.query('create table part (id integer); create table parent (id integer)')
      await applyTo(database.url, totals(true))
      expect(await prompts(database)).toEqual([])
      await database.query('alter table showtime disable trigger pgfresh_insert')

      expect(stepLines(await planFor(database.url, totals(true)))).toEqual([
        '~ capture changes of showtime (sold): trigger pgfresh_insert is disabled; what went unnoticed is computed again (totals)  [SHARE ROW EXCLUSIVE on showtime]',
      ])
      await applyTo(database.url, totals(true))
      expect(await prompts(database)).toEqual([{ reason: 'change' }])
      expect(stepLines(await planFor(database.url, totals(false)))).toEqual([
        '~ change materialized view totals: not left out when nothing has changed',
        '- stop capturing changes of parent  [ACCESS EXCLUSIVE on parent]',
        '- stop capturing changes of part  [ACCESS EXCLUSIVE on part]',
        '- stop capturing changes of showtime  [ACCESS EXCLUSIVE on showtime]',
      ])
    })

    it('may read another view that pgfresh refreshes, by a row of the schedule too', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, views({ asked: { query: 'select 1 as one' } }))
      await database.query(`create materialized view theirs as select 1 as a;
        insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval) values ('theirs', '1 hour')`)
      const both = views({
        asked: { query: 'select 1 as one' },
        reader: { query: 'select one, a from asked, theirs', skipUnchanged: true },
      })

      expect(stepLines(await planFor(database.url, both))).toEqual([
        '+ create materialized view reader, refreshed on request',
        '+ capture refreshes of asked (one)',
        '+ capture refreshes of theirs (a)',
      ])
      await applyTo(database.url, both)
      expect(stepLines(await planFor(database.url, both))).toEqual([])
    })
  })
})
