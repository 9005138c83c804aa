/**
 * Invariant 1 as arithmetic: whatever transactions do, each entry of the log is processed exactly once, by a snapshot that sees it.
 *
 * A small model of the server (xids, snapshots, late committers, rollbacks) plays random histories against `advance`. Broken
 * variants that were tried, each found within a few histories: the own xid not added [A1]; late committers dropped from a cut
 * watermark; a cut that keeps xmax; `open` beyond the cut kept.
 */
import { describe, expect, test } from 'vitest'
import {
  advance,
  type Cut,
  formatSnapshot,
  parseSnapshot,
  type Snapshot,
} from '../../../src/capture/snapshot.ts'
import { type Random, seededRandom } from '../../demo/random.ts'

const histories = 200

describe('a watermark', () => {
  test.each(['10:10:', '10:20:10,14,19', '18446744073709551000:18446744073709551610:18446744073709551000'])(
    'is printed as it was read: %s',
    (text) => {
      expect(formatSnapshot(parseSnapshot(text))).toBe(text)
    },
  )

  test('has the least xid in progress for its xmin, whatever it was read with', () => {
    expect(formatSnapshot(parseSnapshot('3:20:14'))).toBe('14:20:14')
    expect(formatSnapshot(parseSnapshot('3:20:'))).toBe('20:20:')
  })

  test.each(['', '10', '10:20', 'x:y:z'])('is refused where it is none: "%s"', (text) => {
    expect(() => parseSnapshot(text)).toThrow()
  })

  test("calls the round's own transaction in progress, which no snapshot does by itself [A1]", () => {
    const now = { xmax: 770n, open: [] }

    const stored = advance({ seen: { xmax: 760n, open: [] }, now, own: 768n, cut: null })

    expect(formatSnapshot(stored)).toBe('768:770:768')
  })
})

describe('every committed entry is processed once, and never before its commit', () => {
  test.each([
    { name: 'with windows that take all there is', limit: () => 1_000_000 },
    { name: 'with windows cut anywhere', limit: (random: Random) => random.between(1, 6) },
    { name: 'with windows of one entry', limit: () => 1 },
  ])('$name', ({ limit }) => {
    for (let seed = 1; seed <= histories; seed += 1) play(seed, limit)
  })
})

interface Entry {
  readonly id: number
  readonly xid: bigint
}

/** The server: which transactions are open, what each has logged, what is committed. */
class Server {
  #next = 100n
  readonly #open = new Map<bigint, Entry[]>()
  #lastCompleted = 99n
  readonly committed: Entry[] = []
  #entries = 0

  begin(): bigint {
    const xid = this.#next
    this.#next += 1n
    this.#open.set(xid, [])
    return xid
  }

  log(xid: bigint, count: number): void {
    for (let n = 0; n < count; n += 1) {
      this.#entries += 1
      this.#open.get(xid)?.push({ id: this.#entries, xid })
    }
  }

  end(xid: bigint, how: 'commit' | 'rollback'): void {
    const entries = this.#open.get(xid) ?? []
    this.#open.delete(xid)
    if (how === 'commit') this.committed.push(...entries)
    if (xid > this.#lastCompleted) this.#lastCompleted = xid
  }

  /** As pg_current_snapshot() in transaction `own`, which it never lists. */
  snapshot(own: bigint): Snapshot {
    const xmax = this.#lastCompleted + 1n
    const open = [...this.#open.keys()].filter((xid) => xid < xmax && xid !== own)
    return { xmax, open: open.sort((a, b) => (a < b ? -1 : 1)) }
  }

  get openXids(): bigint[] {
    return [...this.#open.keys()]
  }
}

function play(seed: number, limitOf: (random: Random) => number): void {
  const random = seededRandom(seed)
  const server = new Server()
  const processed = new Map<number, number>()
  let watermark: Snapshot = { xmax: 100n, open: [] }

  const round = (): void => {
    const own = server.begin()
    // Others may begin and end between the round's first statement and its reading.
    if (random.chance(0.5)) writeSomething(server, random)
    const now = server.snapshot(own)
    const late = (entry: Entry) => entry.xid < watermark.xmax
    const read = server.committed
      .filter((entry) => isCovered(now, entry.xid) && !isCovered(watermark, entry.xid))
      .sort((a, b) => Number(late(b)) - Number(late(a)) || Number(a.xid - b.xid))
    const limit = limitOf(random)
    const [first, past] = [read[0], read[limit]]
    const huge = past !== undefined && first?.xid === past.xid
    const cut: Cut | null =
      past === undefined ? null : { late: late(past), before: past.xid + (huge ? 1n : 0n) }
    const next = advance({ seen: watermark, now, own, cut })
    for (const entry of server.committed) {
      if (!isCovered(next, entry.xid) || isCovered(watermark, entry.xid)) continue
      expect(isCovered(now, entry.xid), `seed ${seed}: entry ${entry.id} was processed unseen`).toBe(true)
      if (huge) expect(entry.xid, `seed ${seed}: only the huge transaction is taken`).toBe(first?.xid)
      processed.set(entry.id, (processed.get(entry.id) ?? 0) + 1)
    }
    if (past !== undefined) {
      expect(isCovered(next, past.xid), `seed ${seed}: past the cut`).toBe(huge)
      expect(next, `seed ${seed}: each round gets on`).not.toEqual(watermark)
    }
    expect(isValid(next), `seed ${seed}: ${formatSnapshot(next)}`).toBe(true)
    // What the round itself writes.
    if (random.chance(0.5)) server.log(own, random.between(1, 3))
    if (random.chance(0.9)) {
      server.end(own, 'commit')
      watermark = next
    } else {
      // A round that fails leaves nothing behind; what it would have processed is processed again.
      for (const entry of server.committed) {
        if (isCovered(next, entry.xid) && !isCovered(watermark, entry.xid))
          processed.set(entry.id, (processed.get(entry.id) ?? 0) - 1)
      }
      server.end(own, 'rollback')
    }
  }

  for (let step = 0; step < 60; step += 1) {
    if (random.chance(0.3)) round()
    else writeSomething(server, random)
  }
  for (const xid of server.openXids) server.end(xid, random.chance(0.7) ? 'commit' : 'rollback')
  for (let rounds = 0; rounds < 200 && server.committed.some((e) => !processed.get(e.id)); rounds += 1)
    round()
  for (const entry of server.committed) {
    const known = processed.get(entry.id) ?? 0
    // What the last round itself has written waits for the next one.
    if (!isCovered(watermark, entry.xid)) continue
    expect(known, `seed ${seed}: entry ${entry.id} of ${entry.xid}`).toBe(1)
  }
  const lost = server.committed.filter((entry) => isCovered(watermark, entry.xid) && !processed.get(entry.id))
  expect(lost, `seed ${seed}`).toEqual([])
  expect(server.committed.length, `seed ${seed}`).toBeGreaterThan(0)
}

function writeSomething(server: Server, random: Random): void {
  const open = server.openXids
  const one = open.length === 0 ? undefined : random.oneOf(open)
  if (one === undefined || random.chance(0.4)) server.log(server.begin(), random.between(0, 4))
  else if (random.chance(0.3)) server.log(one, random.between(1, 4))
  else server.end(one, random.chance(0.8) ? 'commit' : 'rollback')
}

function isCovered({ xmax, open }: Snapshot, xid: bigint): boolean {
  return xid < xmax && !open.includes(xid)
}

/** As the server's own input function wants it: ascending, and below xmax. */
function isValid({ xmax, open }: Snapshot): boolean {
  return open.every((xid, at) => xid < xmax && (at === 0 || (open[at - 1] ?? xid) < xid))
}
