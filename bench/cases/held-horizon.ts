/**
 * held-horizon: how long one more change takes to become fresh, before and after two million changes were consumed while a session
 * holds a REPEATABLE READ snapshot, so that nothing dead can be cleaned away. Beside it the same for a queue that deletes what it takes.
 *
 * Times are the server's, from commit of the change to commit of the fresh value. The changes that are timed are of rows which the two
 * million leave alone: what grows slow is then the pipeline, not the row.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { Bench, BenchCase, Beside, Measured } from '../case.ts'
import { connect } from '../databases.ts'
import { median } from '../measure.ts'
import { applyDefinition, runUntilIdle, startDaemon } from '../product.ts'
import { createCinema, scaled, venueFacts } from './cinema.ts'
import { drainQueue, fillQueue, takeOne } from './skip-locked-queue.ts'

const database = 'horizon'
/** Consumed in so many statements, while the daemon runs. */
const waves = 20
const freshTimeoutMs = 60_000

export const heldHorizon: BenchCase = {
  name: 'held-horizon',
  title:
    'one more change after 2,000,000 consumed ones while a session holds the horizon, after against before',
  peerName: 'before',
  unit: 'ms',
  bar: 0.8,
  usesWriters: false,
  run: async (bench) => {
    const changes = scaled(bench, 2_000_000)
    const size = Math.ceil(changes / waves) + 1_000
    await createCinema(bench, database, { venues: size, showtimes: size })
    await applyDefinition(bench, database, venueFacts)
    await runUntilIdle(bench, database)
    const holder = await connect(bench.server, database)
    const session = await connect(bench.server, database)
    try {
      return await measure(bench, { changes, holder, session })
    } finally {
      await Promise.all([holder.end(), session.end()])
    }
  },
}

interface Sessions {
  readonly changes: number
  /** Holds the horizon. */
  readonly holder: pg.Client
  /** Writes. */
  readonly session: pg.Client
}

async function measure(bench: Bench, { changes, holder, session }: Sessions): Promise<Measured> {
  const probes = bench.quick ? 9 : 41
  await session.query(
    'create table queue (id bigint generated always as identity primary key, venue_id bigint not null)',
  )
  const daemon = startDaemon(bench, database)
  try {
    const before = await timeProbes(bench, session, { first: 1, count: probes })
    const queueBefore = await takeSome(session)
    await holder.query('begin isolation level repeatable read')
    await holder.query('select count(*) from venue')
    await consume(bench, session, changes)
    const after = await timeProbes(bench, session, { first: 1 + probes, count: probes })
    await daemon.stop()
    const half = (odd: number): number => median(before.filter((_, at) => at % 2 === odd))
    bench.progress('held-horizon: the same with a queue that deletes what it takes')
    await fillQueue(session, changes)
    await drainQueue(session, Math.ceil(changes / waves))
    const queue = peerFigure(queueBefore, await takeSome(session))
    return {
      ours: median(after),
      peer: median(before),
      ratio: median(before) / median(after),
      spread: Math.abs(half(0) - half(1)) / median(before),
      rounds: 1,
      beside: [queue],
    }
  } finally {
    await daemon.stop()
  }
}

/** Makes the changes, all rows but the first thousand in each wave, and waits until all were consumed. */
async function consume(bench: Bench, session: pg.Client, changes: number): Promise<void> {
  const perWave = Math.ceil(changes / waves)
  for (let wave = 1; wave <= waves; wave++) {
    bench.signal.throwIfAborted()
    await session.query('update showtime set sold = sold + 1 where id > 1000')
    bench.progress(`held-horizon: ${Math.min(wave * perWave, changes)} changes`)
  }
  const isDone = `select not exists (
    select from venue v join showtime s on s.venue_id = v.id where s.id > 1000 and v.sold_total is distinct from s.sold) as done`
  for (const until = Date.now() + 30 * 60_000; ; await sleep(500, undefined, { signal: bench.signal })) {
    const { rows } = await session.query<{ done: string }>(isDone)
    if (rows[0]?.done === 't') return
    if (Date.now() > until) throw new Error('the changes were not consumed within 30 minutes')
  }
}

/** From commit of a change to commit of the fresh value, in milliseconds, one by one. */
async function timeProbes(
  bench: Bench,
  session: pg.Client,
  { first, count }: { readonly first: number; readonly count: number },
): Promise<number[]> {
  const times: number[] = []
  for (let id = first; id < first + count; id++) {
    // Not in step with whatever the daemon does at intervals.
    await sleep(100 + 200 * Math.random(), undefined, { signal: bench.signal })
    await session.query('update showtime set sold = sold + 1 where id = $1', [id])
    times.push(await untilFresh(bench, session, id))
  }
  return times
}

async function untilFresh({ signal }: Bench, session: pg.Client, id: number): Promise<number> {
  const text = `select extract(epoch from pg_xact_commit_timestamp(v.xmin) - pg_xact_commit_timestamp(s.xmin)) * 1000 as ms
    from showtime s join venue v on v.id = s.venue_id where s.id = $1 and v.sold_total = s.sold`
  for (const until = Date.now() + freshTimeoutMs; ; await sleep(2, undefined, { signal })) {
    const { rows } = await session.query<{ ms: string }>(text, [id])
    if (rows[0] !== undefined) return Number(rows[0].ms)
    if (Date.now() > until) throw new Error(`a change was not fresh after ${freshTimeoutMs} ms`)
  }
}

async function takeSome(session: pg.Client): Promise<number[]> {
  const times: number[] = []
  for (let n = 0; n < 3; n++) times.push(await takeOne(session))
  return times
}

function peerFigure(before: readonly number[], after: readonly number[]): Beside {
  const name = `a queue that deletes what it takes (before: ${median(before).toFixed(1)} ms)`
  return { name, value: median(after), ratio: median(before) / median(after) }
}
