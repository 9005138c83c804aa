/**
 * Every kind of step: when it is planned, what it says and locks, and that its effect is there.
 */
import { describe, expect, it } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { cinemaDefinitions, venue, venueFacts } from './cinema.ts'
import { applied, cinemaDatabase, columnsOf, walks } from './cinema-database.ts'
import { applyTo, definitions, mistakesOf, planFor, stepLines } from './planning.ts'

forEachMajor((major) => {
  it('a first plan has a line for each step, in the order they are done in', async () => {
    const database = await cinemaDatabase(major)

    expect(stepLines(await planFor(database.url, cinemaDefinitions))).toEqual([
      "+ create pgfresh's own schema",
      '+ add to country: venues bigint, materialized_at timestamp with time zone  [ACCESS EXCLUSIVE on country]',
      '+ add to venue: country_id integer, sold_total bigint, materialized_at timestamp with time zone, showtimes bigint, last_showtime_at timestamp with time zone, facts_materialized_at timestamp with time zone  [ACCESS EXCLUSIVE on venue]',
      '+ capture changes of country (id)  [SHARE ROW EXCLUSIVE on country]',
      '+ capture changes of venue (cinema_id, country_id, id)  [SHARE ROW EXCLUSIVE on venue]',
      '+ capture changes of cinema (country_id, id)  [SHARE ROW EXCLUSIVE on cinema]',
      '+ capture changes of showtime (sold, starts_at, venue_id)  [SHARE ROW EXCLUSIVE on showtime]',
      '+ materialize country (country.materialized_at): compute venues for ~82 rows (new)',
      '+ materialize venue (venue.materialized_at): compute country_id, sold_total for ~82 rows (new)',
      '+ materialize venueFacts (venue.facts_materialized_at): compute showtimes, last_showtime_at for ~82 rows (new)',
    ])
  })

  it('a plan changes nothing', async () => {
    const database = await cinemaDatabase(major)
    const contents = () =>
      database.query(
        `select (select count(*) from pg_class) as relations, (select count(*) from pg_attribute) as columns,
           (select count(*) from pg_namespace where nspname !~ '^pg_') as schemas, (select count(*) from pg_trigger) as triggers`,
      )
    const found = await contents()

    await planFor(database.url, cinemaDefinitions)

    expect(await contents()).toEqual(found)
  })

  it('apply brings about what was planned, and then there is nothing to do', async () => {
    const database = await cinemaDatabase(major)
    const lines: string[] = []

    const { stepsDone } = await applyTo(database.url, cinemaDefinitions, {
      progress: (line) => lines.push(line),
    })

    expect(stepsDone).toBe(10)
    expect(lines).toHaveLength(10)
    expect(lines[1]).toMatch(/^\+ add to country: .* {2}\(\d+ ms\)$/)
    expect(stepLines(await planFor(database.url, cinemaDefinitions))).toEqual([])
    expect(await columnsOf(database, 'venue')).toEqual([
      'id',
      'cinema_id',
      'capacity',
      'country_id',
      'sold_total',
      'materialized_at',
      'showtimes',
      'last_showtime_at',
      'facts_materialized_at',
    ])
    expect(await walks(database)).toEqual([
      { name: 'country', columns: null, stamp_due: true, why: 'new' },
      { name: 'venue', columns: null, stamp_due: true, why: 'new' },
      { name: 'venueFacts', columns: null, stamp_due: true, why: 'new' },
    ])
  })

  it('what is stored is what the daemon needs: routes, types, settings', async () => {
    const database = await applied(major, { venue })
    const [row] = await database.query<{ compiled: Record<string, unknown> }>(
      'select compiled from pgfresh.materialization',
    )
    const [oids] = await database.query<{ venue: string; cinema: string; showtime: string }>(
      `select 'venue'::regclass::oid::text as venue, 'cinema'::regclass::oid::text as cinema, 'showtime'::regclass::oid::text as showtime`,
    )
    const [zone] = await database.query<{ zone: string }>(`select current_setting('TimeZone') as zone`)
    const source = (name: 'venue' | 'cinema' | 'showtime') => ({
      source: { schema: 'public', name },
      sourceOid: oids?.[name],
    })

    expect(row?.compiled).toMatchObject({
      kind: 'columns',
      project: 'default',
      name: 'venue',
      target: { schema: 'public', name: 'venue' },
      key: [{ name: 'id', type: 'integer', json: true }],
      stamp: 'materialized_at',
      columns: [
        { name: 'country_id', type: 'integer', default: null },
        { name: 'sold_total', type: 'bigint', default: null },
      ],
      settings: { search_path: 'public', TimeZone: zone?.zone },
      made: ['country_id', 'materialized_at', 'sold_total'],
      routes: [
        {
          ...source('venue'),
          kind: 'key',
          logs: ['id'],
          reads: ['cinema_id', 'id'],
          unlessOurs: false,
          columns: null,
        },
        {
          ...source('venue'),
          kind: 'key',
          logs: ['id'],
          reads: ['country_id', 'materialized_at', 'sold_total'],
          unlessOurs: true,
          columns: null,
        },
        {
          ...source('cinema'),
          kind: 'via',
          logs: ['id'],
          reads: ['country_id', 'id'],
          unlessOurs: false,
          columns: ['country_id'],
        },
        {
          ...source('showtime'),
          kind: 'via',
          logs: ['venue_id'],
          reads: ['sold', 'venue_id'],
          unlessOurs: false,
          columns: ['sold_total'],
        },
      ],
    })
  })

  describe('after a change of a definition', () => {
    it('comments and layout make no step', async () => {
      const database = await applied(major, { venue, venueFacts })
      const columns = {
        ...venue.columns,
        country_id: `( SELECT c.country_id  /* the cinema's */
          FROM cinema c WHERE c.id = venue.cinema_id ) -- that's all`,
      }
      const query = `-- facts\n${venueFacts.query?.replace('select', 'SELECT /* all */')}`

      const plan = await planFor(
        database.url,
        definitions({ venue: { ...venue, columns }, venueFacts: { ...venueFacts, query } }),
      )

      expect(stepLines(plan)).toEqual([])
    })

    it('only the changed column is computed again', async () => {
      const database = await applied(major, { venue, venueFacts })
      const columns = { ...venue.columns, country_id: '(select 7)' }
      const changed = definitions({
        venue: { ...venue, columns, dependsOn: { showtime: 'select venue_id as id from changed' } },
        venueFacts,
      })

      expect(stepLines(await planFor(database.url, changed))).toEqual([
        '~ capture changes of venue (id): other columns are read  [SHARE ROW EXCLUSIVE on venue]',
        '~ change venue (venue.materialized_at): compute country_id for ~82 rows (changed: country_id)',
        '- stop capturing changes of cinema  [ACCESS EXCLUSIVE on cinema]',
      ])
      await applyTo(database.url, changed)
      expect(await walks(database)).toEqual([
        { name: 'venue', columns: ['country_id'], stamp_due: false, why: 'changed: country_id' },
      ])
      expect(stepLines(await planFor(database.url, changed))).toEqual([])
    })

    it('only an added column is computed, in a query too', async () => {
      const database = await applied(major, { venue, venueFacts })
      const more = definitions({
        venue: {
          ...venue,
          columns: {
            ...venue.columns,
            best: '(select max(s.sold) from showtime s where s.venue_id = venue.id)',
          },
        },
        venueFacts: {
          ...venueFacts,
          query: `select s.venue_id as id, min(s.starts_at) as first_showtime_at, count(*) as showtimes,
            max(s.starts_at) as last_showtime_at from showtime s group by s.venue_id`,
        },
      })

      await applyTo(database.url, more)

      expect(await walks(database)).toEqual([
        { name: 'venue', columns: ['best'], stamp_due: false, why: 'new: best' },
        {
          name: 'venueFacts',
          columns: ['first_showtime_at'],
          stamp_due: false,
          why: 'new: first_showtime_at',
        },
      ])
      expect(stepLines(await planFor(database.url, more))).toEqual([])
    })

    it('options that change no value make no work', async () => {
      const database = await applied(major, { venue })
      const slower = definitions({
        venue: { ...venue, expires: '1 hour', priority: 7, batch: 50, settings: { work_mem: '16MB' } },
      })

      expect(stepLines(await planFor(database.url, slower))).toEqual([
        '~ change venue (venue.materialized_at): options only, nothing is computed again',
      ])
      await applyTo(database.url, slower)
      expect(await walks(database)).toEqual([])
    })

    it('settings that may change values make all of them due', async () => {
      const database = await applied(major, { venue })
      const elsewhere = definitions({ venue: { ...venue, settings: { TimeZone: 'Asia/Tokyo' } } })

      await applyTo(database.url, elsewhere)

      expect(await walks(database)).toEqual([
        {
          name: 'venue',
          columns: null,
          stamp_due: true,
          why: 'changed: country_id, sold_total',
        },
      ])
    })

    it('another route makes its columns due: what changed there before went unnoticed', async () => {
      const ignoring = { ...venue, dependsOn: { ...venue.dependsOn, cinema: 'ignore' } }
      const database = await applied(major, { venue: ignoring })

      await applyTo(database.url, definitions({ venue }))

      expect(await walks(database)).toEqual([
        {
          name: 'venue',
          columns: ['country_id'],
          stamp_due: false,
          why: 'changes are captured another way: country_id',
        },
      ])
    })

    it('another body of a function that it calls makes its columns due', async () => {
      const database = await cinemaDatabase(major)
      const body = (factor: number) =>
        database.query(
          `create or replace function taxed(price integer) returns integer language sql immutable as 'select price * ${factor}'`,
        )
      await body(2)
      const taxed = definitions({
        venue: { table: 'venue', columns: { taxed: 'taxed(venue.capacity)', plain: 'venue.capacity' } },
      })
      await applyTo(database.url, taxed)
      await database.query('delete from pgfresh.walk')
      await body(3)

      await applyTo(database.url, taxed)

      expect(await walks(database)).toEqual([
        { name: 'venue', columns: ['taxed'], stamp_due: false, why: 'changed: taxed' },
      ])
    })
  })

  describe('two projects on one database', () => {
    const other = { project: 'other' }

    it('leave each other alone', async () => {
      const database = await applied(major, { venue })
      const facts = definitions({ venueFacts })

      await applyTo(database.url, facts, other)

      expect(stepLines(await planFor(database.url, facts, { ...other, prune: true, drop: true }))).toEqual([])
      expect(
        stepLines(await planFor(database.url, definitions({ venue }), { prune: true, drop: true })),
      ).toEqual([])
    })

    it('share one capture of a source that both read', async () => {
      const database = await applied(major, { venue })

      await applyTo(database.url, definitions({ venueFacts }), other)

      const [row] = await database.query<{ logs: unknown; interests: unknown }>(
        `select shape -> 'interests' as interests from pgfresh.capture where source = 'showtime'::regclass and retired_at is null`,
      )
      expect(row?.interests).toEqual([
        { reads: ['sold', 'venue_id'], unlessOurs: false },
        { reads: ['starts_at', 'venue_id'], unlessOurs: false },
      ])
    })

    it('may not write one column', async () => {
      const database = await applied(major, { venue })

      expect(await mistakesOf(planFor(database.url, definitions({ venue }), other))).toBe(
        [
          ...['country_id', 'sold_total', 'materialized_at'].flatMap((column) => [
            `venue.ts:10: venue writes column ${column} of venue, and so does venue of project default`,
            '  Both write to venue: give one of them another column.',
          ]),
        ].join('\n'),
      )
    })
  })
})
