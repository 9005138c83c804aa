/**
 * Triggers that are not as they were left, and tables that people changed: what went unnoticed is computed again.
 */
import { describe, expect, it } from 'vitest'
import { forEachMajor, freshDatabase } from '../../support/database.ts'
import { country, venue, venueFacts } from './cinema.ts'
import { applied, walks } from './cinema-database.ts'
import { applyTo, definitions, mistakesOf, planFor, stepLines } from './planning.ts'

forEachMajor((major) => {
  describe('triggers', () => {
    const broken = async (sql: string): Promise<string[]> => {
      const database = await applied(major, { venue, venueFacts })
      await database.query(sql)
      const lines = stepLines(await planFor(database.url, definitions({ venue, venueFacts })))
      await applyTo(database.url, definitions({ venue, venueFacts }))
      expect(stepLines(await planFor(database.url, definitions({ venue, venueFacts })))).toEqual([])
      return [
        ...lines,
        ...(await walks(database)).map((walk) => `${walk.name}: ${walk.columns}, ${walk.why}`),
      ]
    }

    it('that are missing come back, and what they missed is computed', async () => {
      expect(await broken('drop trigger pgfresh_update on cinema')).toEqual([
        '~ capture changes of cinema (country_id, id): trigger pgfresh_update is missing; what went unnoticed is computed again (venue)  [SHARE ROW EXCLUSIVE on cinema]',
        'venue: country_id, changes of cinema went unnoticed',
      ])
    })

    it('that are disabled are enabled', async () => {
      expect(await broken('alter table showtime disable trigger pgfresh_delete')).toEqual([
        '~ capture changes of showtime (sold, starts_at, venue_id): trigger pgfresh_delete is disabled; what went unnoticed is computed again (venue, venueFacts)  [SHARE ROW EXCLUSIVE on showtime]',
        'venue: sold_total, changes of showtime went unnoticed',
        'venueFacts: null, changes of showtime went unnoticed',
      ])
    })

    it('that call something else are replaced', async () => {
      expect(
        await broken(
          `create function nothing() returns trigger language plpgsql as 'begin return null; end';
           create or replace trigger pgfresh_update after update on cinema for each row execute function nothing()`,
        ),
      ).toEqual([
        '~ capture changes of cinema (country_id, id): trigger pgfresh_update calls public.nothing; what went unnoticed is computed again (venue)  [SHARE ROW EXCLUSIVE on cinema]',
        'venue: country_id, changes of cinema went unnoticed',
      ])
    })

    it('that were released for a migration come back', async () => {
      const lines = await broken(`select pgfresh.release('cinema')`)

      expect(lines[0]).toMatch(/^~ capture changes of cinema .*trigger pgfresh_insert is missing/)
      expect(lines.slice(1)).toEqual(['venue: country_id, changes of cinema went unnoticed'])
    })

    it('fire for logical replication too where it writes the source', async () => {
      const database = await applied(major, { venue })
      const client = await database.connect()
      // What a subscription leaves in the catalog once its tables are synchronized.
      await client.query(`
        create subscription feed connection 'host=nowhere' publication feed with (connect = false, slot_name = none);
        set allow_system_table_mods = on;
        insert into pg_subscription_rel select oid, 'showtime'::regclass, 'r', null from pg_subscription where subname = 'feed'`)
      try {
        expect(stepLines(await planFor(database.url, definitions({ venue })))).toEqual([
          expect.stringMatching(
            /^~ capture changes of showtime .*trigger pgfresh_update does not fire for replication, .*went unnoticed is computed again \(venue\)/,
          ),
        ])
        await applyTo(database.url, definitions({ venue }))
        expect(stepLines(await planFor(database.url, definitions({ venue })))).toEqual([])
        expect(
          await database.query(
            `select string_agg(format('%s %s', tgname, tgenabled), ', ' order by tgname) as triggers from pg_trigger where tgrelid = 'showtime'::regclass`,
          ),
        ).toEqual([
          {
            triggers:
              'pgfresh_columns D, pgfresh_delete A, pgfresh_insert A, pgfresh_truncate A, pgfresh_update A',
          },
        ])
      } finally {
        await client.query('delete from pg_subscription_rel; drop subscription feed')
      }
    })

    it('where nothing is captured are taken off', async () => {
      const database = await applied(major, { venue })
      await database.query(
        'create table other (id integer); create trigger pgfresh_update after update on other for each row execute function pgfresh.captured()',
      )

      expect(stepLines(await planFor(database.url, definitions({ venue })))).toEqual([
        "- take pgfresh's triggers off other, which is not captured  [ACCESS EXCLUSIVE on other]",
      ])
      await applyTo(database.url, definitions({ venue }))
      expect(stepLines(await planFor(database.url, definitions({ venue })))).toEqual([])
    })
  })

  describe('when people change their tables', () => {
    it('a target that was dropped and made anew is filled anew', async () => {
      const database = await applied(major, { country, venue })
      const client = await database.connect()
      await client.query(
        'drop table venue; create table venue (id integer primary key, cinema_id integer not null, capacity integer not null)',
      )

      const again = definitions({ country, venue })
      expect(stepLines(await planFor(database.url, again))).toEqual([
        '+ add to venue: country_id integer, sold_total bigint, materialized_at timestamp with time zone  [ACCESS EXCLUSIVE on venue]',
        '+ capture changes of venue (cinema_id, country_id, id)  [SHARE ROW EXCLUSIVE on venue]',
        '~ change country (country.materialized_at): compute venues for ~82 rows (changes are captured another way: venues)',
        '~ change venue (venue.materialized_at): compute country_id, sold_total (another table of that name)',
        '- forget the capture of venue, which is gone',
      ])
      await applyTo(database.url, again)
      expect(stepLines(await planFor(database.url, again))).toEqual([])
    })

    it('a source that was swapped for another table is captured there', async () => {
      const database = await applied(major, { venue })
      const client = await database.connect()
      await client.query(`
        create table cinema_new (like cinema including all); insert into cinema_new select * from cinema;
        alter table cinema rename to cinema_old; alter table cinema_new rename to cinema`)

      expect(stepLines(await planFor(database.url, definitions({ venue })))).toEqual([
        '+ capture changes of cinema (country_id, id)  [SHARE ROW EXCLUSIVE on cinema]',
        '~ change venue (venue.materialized_at): compute country_id for ~82 rows (changes are captured another way: country_id)',
        '- stop capturing changes of cinema_old  [ACCESS EXCLUSIVE on cinema_old]',
      ])
      await applyTo(database.url, definitions({ venue }))
      expect(stepLines(await planFor(database.url, definitions({ venue })))).toEqual([])
    })

    it('a column that was renamed is a mistake until the definition follows', async () => {
      const database = await applied(major, { venueFacts })
      await database.query('alter table showtime rename starts_at to begins_at')

      expect(await mistakesOf(planFor(database.url, definitions({ venueFacts })))).toContain(
        'venueFacts.ts:30: the query: column s.starts_at does not exist',
      )
      const followed = definitions({
        venueFacts: { ...venueFacts, query: venueFacts.query?.replace('starts_at', 'begins_at') ?? '' },
      })
      expect(stepLines(await planFor(database.url, followed))).toEqual([
        '~ capture changes of showtime (begins_at, venue_id): other columns are read  [SHARE ROW EXCLUSIVE on showtime]',
        '~ change venueFacts (venue.facts_materialized_at): compute last_showtime_at for ~82 rows (changed: last_showtime_at)',
      ])
    })

    it('a target that was renamed keeps its values', async () => {
      const database = await applied(major, { venueFacts })
      await database.query('alter table venue rename to place')
      const followed = definitions({ venueFacts: { ...venueFacts, table: 'place' } })

      expect(stepLines(await planFor(database.url, followed))).toEqual([
        '~ capture changes of place (id): other columns are read  [SHARE ROW EXCLUSIVE on place]',
        '~ change venueFacts (place.facts_materialized_at): options only, nothing is computed again',
      ])
    })

    it('a new partition, and a new child, are captured too, and computed from', async () => {
      const database = await freshDatabase(major)
      const client = await database.connect()
      await client.query(`
        create table place (id integer primary key);
        create table sale (place_id integer, day date) partition by range (day);
        create table sale_24 partition of sale for values from ('2024-01-01') to ('2025-01-01');
        create table note (place_id integer);`)
      const place = definitions({
        place: {
          table: 'place',
          columns: {
            sales: '(select count(*) from sale s where s.place_id = place.id)',
            notes: '(select count(*) from note n where n.place_id = place.id)',
          },
          dependsOn: {
            sale: 'select place_id as id from changed',
            note: 'select place_id as id from changed',
          },
        },
      })
      await applyTo(database.url, place)
      await client.query(`
        create table sale_25 partition of sale for values from ('2025-01-01') to ('2026-01-01');
        create table note_old () inherits (note)`)

      const lines = stepLines(await planFor(database.url, place))

      expect(lines).toEqual([
        '~ capture changes of sale (place_id): trigger pgfresh_truncate on sale_25 is missing; what went unnoticed is computed again (place)  [SHARE ROW EXCLUSIVE on sale]',
        expect.stringMatching(
          /^~ capture changes of note \(place_id\): .*trigger pgfresh_insert on note_old is missing/,
        ),
      ])
      await applyTo(database.url, place)
      expect(stepLines(await planFor(database.url, place))).toEqual([])
      await client.query('alter table sale detach partition sale_24')
      expect(stepLines(await planFor(database.url, place))).toEqual([
        "- take pgfresh's triggers off sale_24, which is not captured  [ACCESS EXCLUSIVE on sale_24]",
      ])
    })
  })
})
