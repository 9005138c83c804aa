/**
 * Apply on a database that is in use: it makes nobody wait for long, gets through in the end, and can be run again after whatever
 * happened to it.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { forEachMajor, type TestDatabase, waitFor } from '../../support/database.ts'
import { cinemaDefinitions, country, venue, venueFacts } from './cinema.ts'
import { cinemaDatabase } from './cinema-database.ts'
import { applyTo, definitions, mistakesOf, planFor, stepLines } from './planning.ts'

/** What an apply of the cinema leaves, whatever happened on the way. */
async function expectApplied(database: TestDatabase): Promise<void> {
  expect(stepLines(await planFor(database.url, cinemaDefinitions))).toEqual([])
  expect(
    await database.query(
      `select m.name, count(w.id)::integer as walks, bool_or(w.columns is null and w.stamp_due) as whole
       from pgfresh.materialization m left join pgfresh.walk w on w.materialization = m.id
       where m.fingerprint ~ '^[0-9a-f]{32}$' group by m.name order by m.name`,
    ),
  ).toEqual([
    { name: 'country', walks: 1, whole: true },
    { name: 'venue', walks: 1, whole: true },
    { name: 'venueFacts', walks: 1, whole: true },
  ])
  const [row] = await database.query<{ active: number; functions: number }>(
    `select (select count(*)::integer from pgfresh.capture where retired_at is null) as active,
       (select count(distinct substring(proname from '\\d+'))::integer from pg_proc where proname ~ '^capture_\\d') as functions`,
  )
  expect(row).toEqual({ active: 4, functions: 4 })
}

forEachMajor((major) => {
  describe('on a busy table', () => {
    it('nobody waits longer than for the lock_timeout, and apply gets through when the table is free', async () => {
      const database = await cinemaDatabase(major)
      const writer = await database.connect()
      await writer.query('begin; update venue set capacity = capacity + 1 where id = 1')
      const reader = await database.connect()
      const lines: string[] = []
      const running = applyTo(database.url, cinemaDefinitions, { progress: (line) => lines.push(line) })
      let longestMs = 0
      const read = async () => {
        const started = performance.now()
        await reader.query('select count(*) from venue')
        longestMs = Math.max(longestMs, performance.now() - started)
      }

      await waitFor('apply to wait', () => lines.includes('  waiting for a lock on venue …'))
      // The writer stays for a few more attempts, each of which readers queue up behind.
      const until = Date.now() + 2_500
      while (Date.now() < until) await read()
      await writer.query('commit')
      await running

      expect(longestMs).toBeGreaterThan(100)
      expect(longestMs).toBeLessThan(1_500)
      await expectApplied(database)
    })

    it('a lock that is never free ends in a message that names who holds it', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, definitions({ country: { table: 'country', columns: { one: '1' } } }))
      const writer = await database.connect({ application_name: 'nightly report' })
      await writer.query("begin; select 'a long report' from venue")

      const told = await mistakesOf(applyTo(database.url, definitions({ venue }), { patienceMs: 1_500 }))

      expect(told.split('\n')).toEqual([
        '+ add to venue: country_id integer, sold_total bigint, materialized_at timestamp with time zone: waited 2 s for ACCESS EXCLUSIVE on venue in vain',
        '  Held by:',
        expect.stringMatching(
          /^ {4}pid \d+, role postgres \(nightly report\), idle in transaction, transaction of \d+ s: begin; select 'a long report' from venue$/,
        ),
        '  Nothing of this step was done, and what came before it stays: run apply again when that is over.',
      ])
      await writer.query('commit')
      await applyTo(database.url, definitions({ venue }))
    })

    it('a definition changes between two batches, never within one', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, definitions({ venue }))
      const batch = await database.connect()
      await batch.query('begin; select pg_advisory_xact_lock_shared(7331002, 1)')
      const changed = definitions({ venue: { ...venue, expires: '1 hour' } })
      let done = false
      const running = applyTo(database.url, changed).then(() => {
        done = true
      })

      await sleep(700)
      expect(done).toBe(false)
      await batch.query('commit')
      await running

      expect(stepLines(await planFor(database.url, changed))).toEqual([])
    })
  })

  describe('several at once', () => {
    it('twenty applies of the same definitions on an empty database end with one of each', async () => {
      const database = await cinemaDatabase(major)

      const all = await Promise.all(
        Array.from({ length: 20 }, () => applyTo(database.url, cinemaDefinitions)),
      )

      expect(all.every((one) => one.approved)).toBe(true)
      await expectApplied(database)
    }, 120_000)

    it('a plan that was agreed to is not carried out over what somebody else applied meanwhile', async () => {
      const database = await cinemaDatabase(major)
      const mine = definitions({ venue: { ...venue, expires: '1 hour' } })
      const theirs = definitions({ venue: { ...venue, expires: '2 hours' } })
      const approve = async () => {
        await applyTo(database.url, theirs)
        return true
      }

      const told = await mistakesOf(applyTo(database.url, mine, { approve }))

      expect(told).toBe(
        'somebody else applied meanwhile, and now there is more to do than what was agreed to: ~ change venue (venue.materialized_at): options only, nothing is computed again\n' +
          '  Run plan again, then apply. What was done so far stays.',
      )
      expect(stepLines(await planFor(database.url, theirs))).toEqual([])
    })

    it('a "no" changes nothing', async () => {
      const database = await cinemaDatabase(major)

      const { approved } = await applyTo(database.url, cinemaDefinitions, { approve: async () => false })

      expect(approved).toBe(false)
      expect(await database.query(`select 1 from pg_namespace where nspname = 'pgfresh'`)).toEqual([])
    })
  })

  describe('after a failure', () => {
    /** Applies, and dies once `steps` steps are done; false when it came to its end before. */
    async function dyingAfter(
      steps: number,
      apply: (progress: (line: string) => void) => Promise<unknown>,
    ): Promise<boolean> {
      let done = 0
      try {
        await apply(() => {
          done += 1
          if (done === steps) throw new Error('died')
        })
        return false
      } catch (error) {
        if (error instanceof Error && error.message === 'died') return true
        throw error
      }
    }

    it('between any two steps of a first apply it can be run again', async () => {
      let died = true
      for (let steps = 1; died; steps++) {
        const database = await cinemaDatabase(major)
        died = await dyingAfter(steps, (progress) => applyTo(database.url, cinemaDefinitions, { progress }))

        await applyTo(database.url, cinemaDefinitions)

        await expectApplied(database)
      }
    })

    it('between any two steps of a removal it can be run again', async () => {
      let died = true
      for (let steps = 1; died; steps++) {
        const database = await cinemaDatabase(major)
        await applyTo(database.url, cinemaDefinitions)
        // venue goes, one of its columns moves to another definition, and the others are dropped.
        const { country_id } = { country_id: '', ...venue.columns }
        const left = definitions({
          country,
          place: {
            table: 'venue',
            stamp: 'place_at',
            columns: { country_id },
            dependsOn: { cinema: venue.dependsOn?.cinema ?? '' },
          },
        })
        const options = { prune: true, drop: true }
        died = await dyingAfter(steps, (progress) => applyTo(database.url, left, { ...options, progress }))

        await applyTo(database.url, left, options)

        expect(stepLines(await planFor(database.url, left, options))).toEqual([])
        expect(
          await database.query(
            `select string_agg(attname, ', ' order by attnum) as columns from pg_attribute
             where attrelid = 'venue'::regclass and attnum > 0 and not attisdropped`,
          ),
        ).toEqual([{ columns: 'id, cinema_id, capacity, country_id, place_at' }])
        expect(await database.query('select name from pgfresh.materialization order by name')).toEqual([
          { name: 'country' },
          { name: 'place' },
        ])
      }
    })

    it('a kill -9 at any moment leaves what the next apply brings to its end', async () => {
      const script = fileURLToPath(new URL('apply-process.ts', import.meta.url))
      for (const afterMs of [0, 40, 80, 120, 160, 200, 260]) {
        const database = await cinemaDatabase(major)
        const child = spawn(process.execPath, [script, database.url], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        await once(child.stdout, 'data')
        await sleep(afterMs)
        child.kill('SIGKILL')
        await once(child, 'close')

        await applyTo(database.url, cinemaDefinitions)

        await expectApplied(database)
      }
    })

    it('a connection that is cut is opened again, and apply goes on', async () => {
      const database = await cinemaDatabase(major)
      const admin = await database.connect()
      let cuts = 0
      const progress = (line: string) => {
        if (!line.startsWith('+ capture changes of c') || cuts > 1) return
        cuts += 1
        void admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgfresh apply' and datname = current_database()`,
        )
      }

      await applyTo(database.url, cinemaDefinitions, { progress })

      expect(cuts).toBeGreaterThan(0)
      await expectApplied(database)
    })

    it('a step that fails says what the server said, and what to do', async () => {
      const database = await cinemaDatabase(major)
      await applyTo(database.url, definitions({ venue, venueFacts }))
      await database.query('create view report as select showtimes from venue')

      const told = await mistakesOf(
        applyTo(database.url, definitions({ venue }), { prune: true, drop: true }),
      )

      expect(told).toBe(
        [
          '- drop from venue, with their values: facts_materialized_at, last_showtime_at, showtimes: cannot drop column showtimes of table public.venue because other objects depend on it',
          '  view public.report depends on column showtimes of table public.venue',
          '  Use DROP ... CASCADE to drop the dependent objects too.',
          '  Nothing of this step was done, and what came before it stays: mend this and run apply again.',
        ].join('\n'),
      )
      await database.query('drop view report')
      await applyTo(database.url, definitions({ venue }), { prune: true, drop: true })
      expect(
        stepLines(await planFor(database.url, definitions({ venue }), { prune: true, drop: true })),
      ).toEqual([])
    })
  })
})
