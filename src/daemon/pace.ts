/**
 * How many rows make a batch: learnt from how long batches take, so that nobody has to set a size. A writer of a row
 * in a batch waits for the whole batch at most, so a batch has a budget of time (invariant 4).
 *
 * A batch costs something before its first row, so time per row says little: sizes are doubled while batches are quick
 * and cut while they are slow, but not below the size at which cutting stopped to make them quicker.
 */

/** The time a batch may hold row locks: a little under the promised 50 ms. */
const budgetMs = 40

const rows = { first: 200, least: 20, most: 2_000 } as const

/** After this many batches a floor is tried anew: what made small batches slow may have gone. */
const floorLasts = 100

interface Learnt {
  size: number
  /** Sizes are not cut below this, for so many more batches. */
  floor: number
  floorLeft: number
  /** The last batch that was too slow. */
  slow: { readonly rows: number; readonly ms: number } | null
}

/** What was learnt of each materialization. */
export class Pace {
  readonly #learnt = new Map<string, Learnt>()

  /** One batch of this many rows took this long. */
  learn(materialization: string, rowsDone: number, ms: number): void {
    const learnt = this.#learnt.get(materialization) ?? {
      size: rows.first,
      floor: rows.least,
      floorLeft: 0,
      slow: null,
    }
    this.#learnt.set(materialization, learnt)
    if (learnt.floorLeft > 0) learnt.floorLeft -= 1
    else learnt.floor = rows.least
    // A batch that was far from full says nothing of a full one, unless it was slow all the same.
    if (ms <= budgetMs && rowsDone < learnt.size / 2) return
    if (ms < budgetMs / 2) learnt.size = Math.min(rows.most, learnt.size * 2)
    if (ms <= budgetMs) {
      learnt.slow = null
      return
    }
    const { slow } = learnt
    if (slow !== null && rowsDone * 1.5 < slow.rows && ms > slow.ms * 0.75) {
      learnt.floor = Math.min(slow.rows, rows.first)
      learnt.floorLeft = floorLasts
    }
    learnt.slow = { rows: rowsDone, ms }
    learnt.size = Math.max(
      learnt.floor,
      Math.floor(Math.min(learnt.size, rowsDone) * Math.max(0.5, budgetMs / ms)),
    )
  }

  /** Rows for the next batch. */
  rows(materialization: string): number {
    return this.#learnt.get(materialization)?.size ?? rows.first
  }
}
