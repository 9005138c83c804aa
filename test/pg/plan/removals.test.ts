/**
 * What no file declares any more, and columns that people had before: nothing of theirs is ever lost.
 */
import { describe, expect, it } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { country, venue, venueFacts } from './cinema.ts'
import { applied, cinemaDatabase, columnsOf } from './cinema-database.ts'
import { applyTo, definitions, mistakesOf, planFor, stepLines, type Written } from './planning.ts'

forEachMajor((major) => {
  describe('what no file declares any more', () => {
    it('is reported, and stays', async () => {
      const database = await applied(major, { venue, venueFacts })

      const plan = await planFor(database.url, definitions({ venue }))

      expect(stepLines(plan)).toEqual([])
      expect(plan.undeclared).toEqual([
        'venueFacts (venue) is in no file any more, and stays: --prune removes it',
      ])
    })

    it('is taken out by --prune, and its columns stay', async () => {
      const database = await applied(major, { venue, venueFacts })
      const left = definitions({ venue })
      const plan = await planFor(database.url, left, { prune: true })

      expect(stepLines(plan)).toEqual([
        '- stop materializing venueFacts (venue.facts_materialized_at): showtimes, last_showtime_at',
        '~ capture changes of venue (cinema_id, id): other columns are read  [SHARE ROW EXCLUSIVE on venue]',
        '~ capture changes of showtime (sold, venue_id): other columns are read  [SHARE ROW EXCLUSIVE on showtime]',
      ])
      expect(plan.undeclared).toEqual([
        'columns facts_materialized_at, last_showtime_at, showtimes of venue are declared no more, and stay with their values: --drop drops them',
      ])
      await applyTo(database.url, left, { prune: true })
      expect(stepLines(await planFor(database.url, left))).toEqual([])
      expect(await columnsOf(database, 'venue')).toContain('showtimes')
      expect(await database.query('select name from pgfresh.materialization')).toEqual([{ name: 'venue' }])
    })

    it('goes with its columns by --prune --drop', async () => {
      const database = await applied(major, { venue, venueFacts })
      const left = definitions({ venue })

      await applyTo(database.url, left, { prune: true, drop: true })

      expect(await columnsOf(database, 'venue')).toEqual([
        'id',
        'cinema_id',
        'capacity',
        'country_id',
        'sold_total',
        'materialized_at',
      ])
      expect(stepLines(await planFor(database.url, left, { prune: true, drop: true }))).toEqual([])
    })

    it('is also one column of a definition that goes on', async () => {
      const database = await applied(major, { venue })
      const less = definitions({
        venue: {
          table: 'venue',
          columns: { sold_total: venue.columns?.sold_total ?? '' },
          dependsOn: { showtime: 'select venue_id as id from changed' },
        },
      })
      await applyTo(database.url, less)
      const kept = await planFor(database.url, less)

      expect(stepLines(kept)).toEqual([])
      expect(kept.undeclared).toEqual([
        'column country_id of venue is declared no more, and stays with its values: --prune --drop drops it',
      ])
      await applyTo(database.url, less, { prune: true, drop: true })
      expect(await columnsOf(database, 'venue')).toEqual([
        'id',
        'cinema_id',
        'capacity',
        'sold_total',
        'materialized_at',
      ])
    })

    it('may come back and find its columns its own', async () => {
      const database = await applied(major, { venue })
      const { country_id, sold_total } = { country_id: '', sold_total: '', ...venue.columns }
      const without = definitions({
        venue: { ...venue, columns: { country_id }, dependsOn: { cinema: venue.dependsOn?.cinema ?? '' } },
      })
      await applyTo(database.url, without)

      await applyTo(database.url, definitions({ venue }))

      expect(await columnsOf(database, 'venue')).toContain('sold_total')
      expect(sold_total).not.toBe('')
      expect(stepLines(await planFor(database.url, definitions({ venue })))).toEqual([])
    })

    it('a column that moves to another definition stays ours', async () => {
      const database = await applied(major, { venue })
      const moved = definitions({
        totals: {
          table: 'venue',
          stamp: 'totals_at',
          columns: { sold_total: venue.columns?.sold_total ?? '' },
          dependsOn: { showtime: 'select venue_id as id from changed' },
        },
      })

      expect(await mistakesOf(planFor(database.url, moved))).toBe(
        'totals.ts:10: totals writes column sold_total of venue, and so does venue of project default, which no file declares any more\n' +
          '  Take that one out first: pgfresh apply --prune.',
      )
      await applyTo(database.url, moved, { prune: true, drop: true })
      expect(await columnsOf(database, 'venue')).toEqual([
        'id',
        'cinema_id',
        'capacity',
        'sold_total',
        'totals_at',
      ])
      expect(stepLines(await planFor(database.url, moved, { prune: true, drop: true }))).toEqual([])
    })
  })

  describe('adoption', () => {
    const scored: Written = {
      table: 'venue',
      columns: { score: 'venue.capacity * 2', extra: 'venue.capacity + 1' },
    }
    const prepare = async () => {
      const database = await cinemaDatabase(major)
      await database.query('alter table venue add score integer default 3, add materialized_at timestamptz')
      return database
    }

    it('takes over what exists, the stamp too, and never drops it', async () => {
      const database = await prepare()
      const adopting = definitions({ venue: { ...scored, adopt: ['score', 'materialized_at'] } })
      await applyTo(database.url, adopting)

      expect(stepLines(await planFor(database.url, adopting))).toEqual([])
      await applyTo(
        database.url,
        definitions({ country: { ...country, columns: { one: '1' }, dependsOn: {} } }),
        {
          prune: true,
          drop: true,
        },
      )
      expect(await columnsOf(database, 'venue')).toEqual([
        'id',
        'cinema_id',
        'capacity',
        'score',
        'materialized_at',
      ])
    })

    it('is not asked for again once it was said', async () => {
      const database = await prepare()
      await applyTo(database.url, definitions({ venue: { ...scored, adopt: ['score', 'materialized_at'] } }))

      expect(stepLines(await planFor(database.url, definitions({ venue: scored })))).toEqual([])
    })

    it('has to be said for the stamp as well', async () => {
      const database = await prepare()

      expect(
        await mistakesOf(planFor(database.url, definitions({ venue: { ...scored, adopt: ['score'] } }))),
      ).toBe(
        'venue.ts:10: column materialized_at of venue exists, and pgfresh did not make it\n' +
          "  To let pgfresh overwrite its values: adopt: ['materialized_at']. Otherwise choose another name.",
      )
    })
  })
})
