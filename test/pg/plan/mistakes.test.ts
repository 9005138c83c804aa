/**
 * Bad input: each mistake gets one clear message with file, line and what to do, and nothing is changed.
 */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { forEachMajor, freshDatabase, testDatabase } from '../../support/database.ts'
import { mistakeCases } from './mistake-cases.ts'
import { applyTo, definitions, mistakesOf, planFor, stepLines } from './planning.ts'

const tables = readFileSync(new URL('mistakes.sql', import.meta.url), 'utf8')

const venueOfShowtimes = definitions({
  venue: {
    table: 'venue',
    columns: { n: '(select count(*) from showtime s where s.venue_id = venue.id)' },
    dependsOn: { showtime: 'select venue_id as id from changed' },
  },
})

forEachMajor((major) => {
  describe('a plan with mistakes', () => {
    const database = testDatabase(major)
    beforeAll(async () => {
      const client = await database.connect()
      await client.query(tables)
    })

    it.each(Object.entries(mistakeCases))('explains %s', async (_, { written, expected }) => {
      const told = await mistakesOf(planFor(database.url, definitions(written)))

      expect(told.replaceAll(database.name, '$database').split('\n')).toEqual(expected)
    })

    it('leaves no trace in the database', async () => {
      const [row] = await database.query<{ found: string }>(
        `select count(*)::text as found from pg_namespace where nspname = 'pgfresh'`,
      )

      expect(row?.found).toBe('0')
    })

    it('shows the mistakes of all definitions at once, in their order', async () => {
      const told = await mistakesOf(
        planFor(
          database.url,
          definitions({
            first: { table: 'nokey', columns: { a: '1' } },
            good: { table: 'venue', columns: { a: '1' } },
            second: { table: 'venue', stamp: 's', columns: { b: 'venue.nope' } },
          }),
        ),
      )

      expect(told.split('\n').filter((line) => !line.startsWith(' '))).toEqual([
        'first.ts:10: table nokey has no primary key',
        'second.ts:20: column b: column venue.nope does not exist',
      ])
    })
  })

  describe('rights', () => {
    const database = testDatabase(major)
    beforeAll(async () => {
      const client = await database.connect()
      await client.query(tables)
      await client.query(`revoke create on database ${JSON.stringify(database.name)} from public`)
    })

    it('that are missing are named one after the other, each with its GRANT', async () => {
      const role = await database.createRole()
      const told = () => mistakesOf(planFor(role.url, venueOfShowtimes))
      const grant = (statement: string) => database.query(`${statement} "${role.name}"`)

      expect(await told()).toBe(
        `role ${role.name} may not create pgfresh's schema in database ${database.name}\n` +
          `  Run as somebody who may: grant create on database "${database.name}" to "${role.name}";`,
      )
      await grant(`grant create on database "${database.name}" to`)
      expect(await told()).toBe(
        [
          `venue.ts:10: role ${role.name} may not add columns to venue, which belongs to postgres`,
          `  Run as somebody who may: grant "postgres" to "${role.name}";`,
          `venue.ts:10: role ${role.name} may not read and update venue`,
          `  Run as somebody who may: grant select, update on "public"."venue" to "${role.name}";`,
          `venue.ts:10: role ${role.name} may not put triggers on showtime, which belongs to postgres`,
          `  Run as somebody who may: grant "postgres" to "${role.name}";`,
        ].join('\n'),
      )
      await database.query(`alter table venue owner to "${role.name}"`)
      const keeper = await database.createRole()
      await database.query(`alter table showtime owner to "${keeper.name}"`)
      await grant(`grant "${keeper.name}" to`)
      await database.query(`revoke select on showtime from "${keeper.name}"`)
      expect(await told()).toBe(
        [
          `venue.ts:10: role ${role.name} may not read all that venue reads: permission denied for table showtime`,
          `  Run as somebody who may: grant select on "public"."showtime" to "${role.name}";`,
        ].join('\n'),
      )
      await grant('grant select on showtime to')
      await applyTo(role.url, venueOfShowtimes)
      expect(stepLines(await planFor(role.url, venueOfShowtimes))).toEqual([])
      await database.query('alter table venue owner to postgres; alter table showtime owner to postgres')
    })

    it('refuses another role once the schema belongs to somebody', async () => {
      const role = await database.createRole()

      const told = await mistakesOf(planFor(role.url, venueOfShowtimes))

      expect(told).toMatch(
        /^role (\S+) may not use pgfresh's schema in database \S+, which belongs to (\S+)\n {2}Connect as \2, or make this role a member of it: grant "\2" to "\1";$/,
      )
    })
  })

  it('a cycle is found too where some of its columns exist', async () => {
    const database = await freshDatabase(major)
    const client = await database.connect()
    await client.query(tables)
    const venue = {
      table: 'venue',
      columns: { x: '(select c.country_id from cinema c where c.id = venue.cinema_id)' },
      dependsOn: { cinema: 'all' },
    }
    await applyTo(database.url, definitions({ venue }))
    const cinema = {
      table: 'cinema',
      columns: { y: '(select max(v.x) from venue v where v.cinema_id = cinema.id)' },
      dependsOn: { venue: 'select cinema_id as id from changed' },
    }
    await applyTo(database.url, definitions({ venue, cinema }))
    const leaning = { ...venue, columns: { x: '(select c.y from cinema c where c.id = venue.cinema_id)' } }

    const told = await mistakesOf(planFor(database.url, definitions({ venue: leaning, cinema })))

    expect(told).toBe(
      'venue.ts:10: these materialized columns are computed from each other: venue.x → cinema.y → venue.x\n' +
        '  Compute one of them from the tables that the others are computed from.',
    )
  })

  it('a schema that the role may not use is named with its place', async () => {
    const database = await freshDatabase(major)
    const client = await database.connect()
    await client.query(tables)
    const role = await database.createRole()
    await client.query(`grant create on database "${database.name}" to "${role.name}"`)

    const told = await mistakesOf(
      planFor(role.url, definitions({ order: { table: 'sales."Order"', columns: { a: '1' } } })),
    )

    expect(told).toBe(
      'order.ts:10: sales."Order": permission denied for schema sales\n' +
        '  Grant the right to the role that pgfresh connects as: grant usage on schema … to …;',
    )
  })

  it('row-level security that would hide rows is refused', async () => {
    const database = await freshDatabase(major)
    const client = await database.connect()
    await client.query(tables)
    const role = await database.createRole()
    await client.query(`
      grant create on database "${database.name}" to "${role.name}"; alter table venue owner to "${role.name}";
      alter table showtime owner to "${role.name}"; alter table showtime enable row level security, force row level security`)

    const told = await mistakesOf(planFor(role.url, venueOfShowtimes))

    expect(told).toBe(
      [
        `venue.ts:10: row-level security of showtime hides rows from role ${role.name}: query would be affected by row-level security policy for table "showtime"`,
        `  Its policies are forced on its owner too. Run as somebody who may: alter role "${role.name}" bypassrls;`,
      ].join('\n'),
    )
  })

  it('a table that somebody has locked does not make a plan wait for long', async () => {
    const database = await freshDatabase(major)
    await database.query('create table venue (id integer primary key)')
    const holder = await database.connect()
    await holder.query('begin; lock table venue in access exclusive mode')

    const told = await mistakesOf(
      planFor(database.url, definitions({ venue: { table: 'venue', columns: { a: '1' } } })),
    )

    expect(told.split('\n')[0]).toBe('a table that the definitions read is locked by somebody right now')
  })
})
