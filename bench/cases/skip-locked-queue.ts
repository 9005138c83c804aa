/**
 * The queue that most people write: a table, taken from with FOR UPDATE SKIP LOCKED, what was taken is deleted.
 * held-horizon shows what becomes of it while a session holds the horizon. The table `queue (id, venue_id)` is the caller's.
 */
import type pg from 'pg'

const take = `delete from queue where id in (select id from queue order by id limit $1 for update skip locked)`

/** Adds an entry and takes it; returns how long taking it took, in milliseconds. */
export async function takeOne(session: pg.Client): Promise<number> {
  await session.query('insert into queue (venue_id) values (1)')
  const startedAt = performance.now()
  const { rowCount } = await session.query(take, [1])
  if (rowCount !== 1) throw new Error('the queue gave nothing')
  return performance.now() - startedAt
}

/** Adds many entries. */
export async function fillQueue(session: pg.Client, entries: number): Promise<void> {
  await session.query('insert into queue (venue_id) select n from generate_series(1, $1::bigint) n', [
    entries,
  ])
}

/** Takes all there is, a batch at a time. */
export async function drainQueue(session: pg.Client, batch: number): Promise<void> {
  for (;;) {
    const { rowCount } = await session.query(take, [batch])
    if ((rowCount ?? 0) === 0) return
  }
}
