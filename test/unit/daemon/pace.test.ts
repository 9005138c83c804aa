/**
 * Batch sizes are learnt from how long batches take.
 */
import { describe, expect, it } from 'vitest'
import { Pace } from '../../../src/daemon/pace.ts'

/** Runs batches of whatever size is wanted, each taking what `cost` says, and returns the last size. */
function settleOn(pace: Pace, cost: (rows: number) => number, batches = 60): number {
  for (let i = 0; i < batches; i += 1) {
    const rows = pace.rows('1')
    pace.learn('1', rows, cost(rows))
  }
  return pace.rows('1')
}

describe('the pace of batches', () => {
  it('grows to the largest batch where rows are cheap', () => {
    const size = settleOn(new Pace(), (rows) => rows * 0.01)

    expect(size).toBe(2_000)
  })

  it('keeps a batch within its budget of time where rows are dear', () => {
    const size = settleOn(new Pace(), (rows) => 2 + rows * 0.5)

    expect(2 + size * 0.5).toBeLessThanOrEqual(50)
    expect(size).toBeGreaterThanOrEqual(20)
  })

  it('does not shrink batches for ever where the cost is in the batch and not in its rows', () => {
    const size = settleOn(new Pace(), () => 90)

    expect(size).toBeGreaterThanOrEqual(50)
  })

  it('learns nothing from a small batch that was quick', () => {
    const pace = new Pace()

    pace.learn('1', 3, 1)

    expect(pace.rows('1')).toBe(200)
  })

  it('keeps what it learnt of one materialization from another', () => {
    const pace = new Pace()

    settleOn(pace, (rows) => rows)

    expect(pace.rows('2')).toBe(200)
  })
})
