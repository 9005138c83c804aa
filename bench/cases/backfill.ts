/**
 * backfill: filling three aggregate columns of a table that exists, in resumable batches by two workers, against the one statement that
 * somebody would write by hand. Both start from identical copies, with the columns added and a checkpoint taken; the clock stops when
 * the last row was committed. Then both must hold the same values.
 */
import type { Bench, BenchCase } from '../case.ts'
import { copyDatabase, query } from '../databases.ts'
import { compare } from '../measure.ts'
import { applyDefinition, runUntilIdle } from '../product.ts'
import { createCinema, scaled, venueFacts } from './cinema.ts'

const byHand = `
update venue set showtime_count = s.showtime_count, sold_total = s.sold_total, last_showtime_at = s.last_showtime_at, materialized_at = now()
from (select venue_id, count(*) as showtime_count, sum(sold) as sold_total, max(starts_at) as last_showtime_at from showtime group by venue_id) s
where s.venue_id = venue.id`

const differing = `
select count(*) as n from venue v
left join (select venue_id, count(*) as showtime_count, sum(sold) as sold_total, max(starts_at) as last_showtime_at from showtime group by venue_id) s
  on s.venue_id = v.id
where (v.showtime_count, v.sold_total, v.last_showtime_at) is distinct from (s.showtime_count, s.sold_total, s.last_showtime_at) or v.materialized_at is null`

export const backfill: BenchCase = {
  name: 'backfill',
  title: 'three aggregate columns of 500,000 rows over 5,000,000, by batches against one UPDATE … FROM',
  peerName: 'one UPDATE … FROM',
  unit: 'rows/s',
  bar: 1.25,
  usesWriters: false,
  run: async (bench) => {
    const size = { venues: scaled(bench, 500_000), showtimes: 10 * scaled(bench, 500_000) }
    await createCinema(bench, 'plain', size)
    const rowsPerSecond = (ms: number): number => (size.venues / ms) * 1000
    return compare(
      {
        ours: async () => {
          await freshCopy(bench)
          await applyDefinition(bench, 'run', venueFacts)
          await query(bench.server, 'run', 'checkpoint')
          const startedAt = await clock(bench)
          await runUntilIdle(bench, 'run')
          const ms = (await lastCommit(bench)) - startedAt
          await expectRight(bench)
          return rowsPerSecond(ms)
        },
        peer: async () => {
          await freshCopy(bench)
          await query(
            bench.server,
            'run',
            `alter table venue add showtime_count bigint, add sold_total bigint, add last_showtime_at timestamptz, add materialized_at timestamptz`,
          )
          await query(bench.server, 'run', 'checkpoint')
          const startedAt = await clock(bench)
          await query(bench.server, 'run', byHand)
          const ms = (await lastCommit(bench)) - startedAt
          await expectRight(bench)
          return rowsPerSecond(ms)
        },
      },
      { rounds: bench.quick ? 1 : 3, signal: bench.signal },
    )
  },
}

function freshCopy({ server }: Bench): Promise<void> {
  return copyDatabase(server, 'run', { template: 'plain', strategy: 'files' })
}

/** The server's clock in milliseconds. */
async function clock({ server }: Bench): Promise<number> {
  const [row] = await query(server, 'run', 'select extract(epoch from clock_timestamp()) * 1000 as ms')
  return Number(row?.ms)
}

/** When the last row of the target was committed, by the server's clock in milliseconds. */
async function lastCommit({ server }: Bench): Promise<number> {
  const [row] = await query(
    server,
    'run',
    'select max(extract(epoch from pg_xact_commit_timestamp(xmin))) * 1000 as ms from venue',
  )
  return Number(row?.ms)
}

async function expectRight({ server }: Bench): Promise<void> {
  const [row] = await query(server, 'run', differing)
  if (row?.n !== '0') throw new Error(`${row?.n} of the backfilled rows are wrong`)
}
