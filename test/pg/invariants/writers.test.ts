/**
 * Invariant 4: writers are safe. Whoever may write a table still can, whatever pgfresh captures there; an open batch lets
 * foreign-key inserts pass and holds a writer of its rows up for the batch at most; people's DDL breaks no writer.
 */
import { describe, expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { createProject, type Project } from '../../support/project.ts'
import { ByHand, waitForLock } from './by-hand.ts'
import { venueComparison, venueDefinition, venueSchema } from './venues.ts'

forEachMajor((major) => {
  describe('a writer without any right on pgfresh', () => {
    test('writes a source and a target as ever, and what it wrote is computed', async () => {
      const project = await freshVenues(major)
      const role = await project.database.createRole()
      await project.query(
        `grant select, insert, update, delete on all tables in schema public to ${role.name}`,
      )
      const writer = await project.database.connect({ connectionString: role.url })

      await writer.query('insert into ticket (showtime_id, price) values (1, 3), (2, 4), (3, 5)')
      await writer.query('update ticket set price = price + 1 where showtime_id = 2')
      await writer.query('delete from ticket where showtime_id = 3')
      await writer.query('update showtime set venue_id = 3 where id = 1')
      await writer.query(`insert into venue (id, cinema_id) values (4, 2)`)
      await writer.query('update venue set cinema_id = 2 where id = 1')
      await writer.query('delete from venue where id = 2')
      await expect(writer.query('select from pgfresh.change_log')).rejects.toMatchObject({ code: '42501' })
      await project.drain()

      await project.expectFresh(venueComparison)
      // Broken: the functions are not SECURITY DEFINER.
    })

    test('needs none where functions are revoked from public by default', async () => {
      const project = await createProject(major, venueSchema)
      await project.query('alter default privileges revoke execute on functions from public')
      await project.materialize(venueDefinition)
      await project.drain()
      const role = await project.database.createRole()
      await project.query(
        `grant select, insert, update, delete on all tables in schema public to ${role.name}`,
      )
      const writer = await project.database.connect({ connectionString: role.url })

      await writer.query('insert into ticket (showtime_id, price) values (1, 3), (2, 4)')
      await writer.query('update ticket set price = price + 1; delete from ticket where showtime_id = 2')
      await project.drain()

      await project.expectFresh(venueComparison)
      // Broken: something in a WHEN or a body runs with the writer's own rights.
    })

    test('catches no entry with tables, functions and operators of its own', async () => {
      const project = await freshVenues(major)
      const role = await project.database.createRole()
      await project.query(`grant select, insert, update, delete on all tables in schema public to ${role.name};
        grant create on schema public to ${role.name}`)
      const writer = await project.database.connect({ connectionString: role.url })

      await writer.query(`
        create temp table change_log_0 (like pg_class); create temp table change_log (like pg_class);
        create function public.pg_current_xact_id() returns xid8 language sql as $$ select '3'::xid8 $$;
        create function public.log_slot() returns int language sql as $$ select 9 $$;
        create function public.not_equal(text, text) returns boolean language sql as $$ select false $$;
        create operator public.<> (leftarg = text, rightarg = text, function = public.not_equal);
        set search_path = pg_temp, public, pg_catalog`)
      await writer.query('insert into public.ticket (showtime_id, price) values (1, 3), (2, 4)')
      await writer.query('update public.ticket set price = price + 1 where showtime_id = 2')
      await writer.query("update public.venue set country = 'XX'")
      await project.drain()

      await project.expectFresh(venueComparison)
      // Broken: the functions' search_path is the caller's.
    })

    test('writes a table whose row-level security is forced', async () => {
      const project = await freshVenues(major)
      const role = await project.database.createRole()
      await project.query(`grant select, insert, update, delete on ticket to ${role.name};
        alter table ticket enable row level security; alter table ticket force row level security;
        create policy own on ticket to ${role.name} using (note is not distinct from 'mine')`)
      const writer = await project.database.connect({ connectionString: role.url })

      await writer.query(`insert into ticket (showtime_id, price, note) values (1, 3, 'mine')`)
      await writer.query('update ticket set price = 8')
      await project.drain()

      await project.expectFresh(venueComparison)
    })
  })

  test('an update of columns that nobody reads is no change', async () => {
    const project = await freshVenues(major)
    await project.query('insert into ticket (showtime_id, price) values (1, 3)')
    await project.drain()

    await project.query(
      `update ticket set note = 'x'; update ticket set price = price; update venue set name = 'y'`,
    )

    expect(await project.pending()).toMatchObject({ news: false })
  })

  describe('while a batch is open', () => {
    test('inserts that reference its rows pass, and a writer of such a row waits for the batch alone', async () => {
      const project = await createProject(
        major,
        `create table rate (id int primary key, value int);
         create table venue (id int primary key, rate_id int, name text);
         create table visit (id int primary key, venue_id int references venue);
         create function gate() returns int language plpgsql volatile as $$ begin perform pg_advisory_xact_lock_shared(4711); return 0; end $$;
         insert into rate values (1, 1); insert into venue values (1, 1)`,
      )
      await project.materialize(`export const venue = defineColumns({
        table: 'venue',
        columns: { rate: sql\`(select r.value + gate() from rate r where r.id = venue.rate_id)\` },
        dependsOn: { rate: { via: sql\`select v.id from changed r join venue v on v.rate_id = r.id\` } },
      })`)
      await project.drain()
      const hands = await ByHand.open(project)
      const gate = await project.database.connect()
      await project.query('update rate set value = 2')
      await hands.round()

      await gate.query('select pg_advisory_lock(4711)')
      const running = (await hands.claim())?.run()
      await waitForLock(project, 'pgfresh worker')
      await project.query('insert into visit values (1, 1)')
      const writer = await project.database.connect({ application_name: 'writer' })
      const writing = writer.query(`update venue set name = 'x' where id = 1`)
      await waitForLock(project, 'writer')
      await project.query('insert into visit values (2, 1)')
      await gate.query('select pg_advisory_unlock(4711)')

      expect(await running).toMatchObject({ kind: 'done', summary: { written: 1 } })
      await writing
      expect(await project.query('select rate, name from venue')).toEqual([{ rate: 2, name: 'x' }])
      // Broken: rows are locked FOR UPDATE.
    })

    test('writers of its rows neither fail nor deadlock, whatever they touch in one transaction', async () => {
      const project = await freshVenues(major)
      await project.query(`insert into venue select n, 1 + n % 2 from generate_series(4, 200) n`)
      const daemons = [project.start({ workers: 3 }), project.start({ workers: 3 })]
      const write = async (seed: number) => {
        const client = await project.database.connect()
        for (let n = 0; n < 60; n += 1) {
          await client.query('begin')
          // In one order among themselves, which is not that of the batches.
          await client.query(
            `update venue set name = 'w${seed}' where id = any ('{${200 - (n % 50)},${3 + seed}}')`,
          )
          await client.query('update cinema set country = country || $1 where id = 1', [seed])
          await client.query('update venue set cinema_id = 3 - cinema_id where id = $1', [2])
          await client.query('commit')
        }
      }

      await Promise.all([0, 1, 2].map(write))
      await project.settle()

      await project.expectFresh(venueComparison)
      await Promise.all(daemons.map((daemon) => daemon.stop()))
    })
  })

  describe("people's DDL", () => {
    test('RENAME of captured columns breaks no writer, not even one with prepared statements, and nothing that they write is lost', async () => {
      const project = await freshVenues(major)
      const writer = await project.database.connect()
      const insert = {
        name: 'i',
        text: 'insert into ticket (showtime_id, price) select n % 3 + 1, n from generate_series(1, $1::int) n',
      }
      await writer.query(insert, [10])
      await writer.query('update ticket set price = price + 1; update showtime set venue_id = 3 where id = 1')
      await writer.query('delete from ticket where id = 1')
      await project.drain()

      await project.query(
        'alter table ticket rename column showtime_id to show; alter table ticket rename column price to paid',
      )
      await project.query('alter table showtime rename column venue_id to place')
      await expect(writer.query(insert, [10])).rejects.toMatchObject({ code: '42703' })
      await writer.query('insert into ticket (show, paid) select n % 3 + 1, n from generate_series(1, 10) n')
      await writer.query('insert into ticket (show, paid) values (2, 1000)')
      await writer.query('update ticket set paid = paid + 1; update showtime set place = 1 where id = 3')
      await writer.query('delete from ticket where id = 2')
      await writer.query('insert into showtime values (7, 2)')

      const renamed = venueDefinition
        .replaceAll('t.showtime_id', 't.show')
        .replaceAll('t.price', 't.paid')
        .replaceAll('s.venue_id', 's.place')
        .replace('select venue_id as id', 'select place as id')
      await project.materialize(renamed)
      await project.drain()
      await writer.query(
        'insert into ticket (show, paid) values (1, 2), (7, 3); update ticket set show = 1 where id = 5',
      )
      await project.drain()

      await project.expectFresh({
        ...venueComparison,
        expected: venueComparison.expected
          .replaceAll('s.venue_id', 's.place as venue_id')
          .replaceAll('t.price', 't.paid')
          .replaceAll('t.showtime_id', 't.show'),
      })
      // Broken: a body names NEW.venue_id without looking whether the column is still called so.
    })

    test('what is written between a RENAME and its undoing is computed, by a daemon that never stopped', async () => {
      const project = await freshVenues(major)
      const daemon = project.start()
      const writer = await project.database.connect()
      await writer.query('insert into ticket (showtime_id, price) values (1, 1), (2, 2)')

      await project.query('alter table ticket rename column showtime_id to show')
      await writer.query('insert into ticket (show, price) values (1, 10), (3, 20)')
      await writer.query('update ticket set price = 7 where id = 1')
      await project.query('alter table ticket rename column show to showtime_id')
      await writer.query('insert into ticket (showtime_id, price) values (2, 5)')

      await project.settle()
      await project.expectFresh(venueComparison)
      await daemon.stop()
    })

    test.each([
      ['DROP COLUMN', 'alter table ticket drop column price', '2BP01'],
      ['ALTER TYPE', 'alter table ticket alter column price type numeric', '0A000'],
      ['DROP COLUMN of a join column', 'alter table showtime drop column venue_id', '2BP01'],
      ['ALTER TYPE of a join column', 'alter table ticket alter column showtime_id type bigint', '0A000'],
    ])('%s of a captured column is refused, and writers go on', async (_, ddl, code) => {
      const project = await freshVenues(major)

      await expect(project.query(ddl)).rejects.toMatchObject({ code })

      await project.query(
        'insert into ticket (showtime_id, price) values (1, 1); update showtime set venue_id = 2 where id = 1',
      )
      await project.drain()
      await project.expectFresh(venueComparison)
    })

    test('DROP COLUMN … CASCADE breaks no writer', async () => {
      const project = await freshVenues(major)
      const writer = await project.database.connect()
      await writer.query(
        `insert into ticket (showtime_id, price) values (1, 1), (2, 2); update ticket set price = 3 where id = 2`,
      )

      await project.query('alter table ticket drop column price cascade')

      await writer.query(`insert into ticket (showtime_id, note) values (1, 'a'), (2, 'b')`)
      await writer.query(`update ticket set showtime_id = 3, note = 'c' where id = 1`)
      await writer.query('delete from ticket where id = 2')
      expect((await project.query('select from ticket')).length).toBe(3)
    })

    test('release() lets a migration through in its own transaction, and the next apply computes what was missed', async () => {
      const project = await freshVenues(major)
      const owner = await project.database.connect()
      await owner.query('insert into ticket (showtime_id, price) values (1, 1), (1, 10), (2, 20)')
      await project.drain()

      await owner.query(`begin; select pgfresh.release('ticket');
        alter table ticket alter column showtime_id type bigint using 4 - showtime_id;
        alter table ticket drop column note; commit`)
      await owner.query('insert into ticket (showtime_id, price) values (1, 2)')
      await owner.query('delete from ticket where price = 1')
      await project.apply()
      await project.drain()
      await project.expectFresh(venueComparison)

      await owner.query('insert into ticket (showtime_id, price) values (2, 3)')
      await project.drain()
      await project.expectFresh(venueComparison)
    })

    test('a trigger of the table itself that refuses our update costs that row alone, and says so', async () => {
      const project = await createProject(major, venueSchema)
      await project.query(`create function refuse() returns trigger language plpgsql as $$ begin return null; end $$;
        create trigger refuse before update on venue for each row when (new.id = 2) execute function refuse()`)
      await project.materialize(venueDefinition)

      const { quarantined } = await project.drain()

      expect(quarantined).toBe(1)
      expect(await project.query('select key, error from pgfresh.quarantine')).toEqual([
        { key: [2], error: expect.stringContaining('BEFORE UPDATE trigger') },
      ])
      expect(
        await project.query('select id from venue where materialized_at is not null order by id'),
      ).toEqual([{ id: 1 }, { id: 3 }])
    })
  })
})

async function freshVenues(major: Major): Promise<Project> {
  const project = await createProject(major, venueSchema)
  await project.materialize(venueDefinition)
  await project.drain()
  return project
}
