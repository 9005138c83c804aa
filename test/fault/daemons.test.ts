/**
 * Any number of daemons on one database: they share the work, none does it twice, and each may come and go.
 */
import { expect, test } from 'vitest'
import { venueComparison, venueDefinition, venueSchema } from '../pg/invariants/venues.ts'
import { forEachMajor } from '../support/database.ts'
import { createProject } from '../support/project.ts'
import { waitFor } from '../support/wait-for.ts'

const rows = 20_000

const backfillSchema = `create table venue (id int primary key, seats int);
  insert into venue select n, n from generate_series(1, ${rows}) n`

const backfillDefinition = `export const venue = defineColumns({
  table: 'venue', batch: 50, columns: { double: sql\`venue.seats * 2\` } })`

const backfillComparison = {
  stored: 'select count(*), sum(double), count(materialized_at) from venue',
  expected: 'select count(*), 2 * sum(seats), count(*) from venue',
}

forEachMajor((major) => {
  test('five daemons share a backfill: every row is computed once', async () => {
    const project = await createProject(major, backfillSchema)
    await project.materialize(backfillDefinition)

    const daemons = Array.from({ length: 5 }, () => project.start())
    await project.settle()
    await Promise.all(daemons.map((daemon) => daemon.stop()))

    await project.expectFresh(backfillComparison)
    const [history] = await project.query<{ checked: number; written: number; daemons: number }>(
      `select sum(rows_checked)::int as checked, sum(rows_written)::int as written, count(distinct daemon)::int as daemons from pgfresh.execution`,
    )
    expect(history).toMatchObject({ checked: rows, written: rows })
    expect(history?.daemons).toBeGreaterThan(1)
    expect(await project.query('select from pgfresh.daemon')).toEqual([])
  })

  test('a backfill goes on where it was when its daemon was killed', async () => {
    const project = await createProject(major, backfillSchema)
    await project.materialize(backfillDefinition)
    const planned = async () =>
      (await project.query<{ n: number }>('select rows_planned::int as n from pgfresh.walk'))[0]?.n ?? 0

    for (const part of [0.2, 0.5]) {
      const daemon = project.startRun(['--no-listen', '--poll', '10', '--workers', '1'])
      await waitFor('a part of it', async () => (await planned()) > rows * part)
      daemon.child.kill('SIGKILL')
      await daemon.exit
    }
    const before = await planned()
    await project.drain()

    await project.expectFresh(backfillComparison)
    expect(before).toBeLessThan(rows)
    expect(await planned(), 'rows that were planned, none of them twice').toBe(rows)
  })

  test('two daemons under writers, one of which is always about to leave, keep everything fresh', async () => {
    const project = await createProject(major, venueSchema)
    await project.materialize(venueDefinition)
    const writer = await project.database.connect()
    let writes = true
    const writing = (async () => {
      for (let n = 0; writes; n += 1) {
        await writer.query('insert into ticket (showtime_id, price) values ($1, 1)', [(n % 3) + 1])
        if (n % 7 === 0) await writer.query('update showtime set venue_id = $1 where id = 1', [(n % 3) + 1])
      }
    })()

    let current = project.start()
    for (let turns = 0; turns < 6; turns += 1) {
      const next = project.start({ workers: (turns % 3) + 1 })
      await waitFor(
        'both to be there',
        async () => (await project.query('select from pgfresh.daemon')).length === 2,
      )
      await current.stop()
      current = next
    }
    writes = false
    await writing
    await project.settle()

    await project.expectFresh(venueComparison)
    await current.stop()
  })

  test('until-idle ends while writers go on, and has done all that was there before', async () => {
    const project = await createProject(major, venueSchema)
    await project.materialize(`${venueDefinition}
      export const cinema = defineColumns({
        table: 'cinema',
        columns: { taken: sql\`(select coalesce(sum(v.taken), 0) from venue v where v.cinema_id = cinema.id)\` },
        dependsOn: { venue: { via: sql\`select cinema_id as id from changed\` } },
      })`)
    const writer = await project.database.connect()
    let writes = true
    const writing = (async () => {
      while (writes) await writer.query('insert into ticket (showtime_id, price) values (3, 1)')
    })()
    await project.query('insert into ticket (showtime_id, price) values (1, 70), (2, 7)')

    await project.drain()

    expect(await project.query('select id, taken::int from cinema where id = 1')).toEqual([
      { id: 1, taken: 77 },
    ])
    writes = false
    await writing
  })
})
