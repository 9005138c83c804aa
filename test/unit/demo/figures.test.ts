/** The demo's figures and choices: percentiles as they are printed, and random choices that a seed repeats. */
import { expect, test } from 'vitest'
import { percentile } from '../../demo/probes.ts'
import { seededRandom } from '../../demo/random.ts'

test('a percentile is a sample that so many lie at or below', () => {
  const samples = Array.from({ length: 100 }, (_, index) => 100 - index)

  expect(percentile(samples, 0.5)).toBe(50)
  expect(percentile(samples, 0.99)).toBe(99)
  expect(percentile([7.06], 0.99)).toBe(7.1)
})

test('no samples have no percentile', () => {
  expect(percentile([], 0.5)).toBeNull()
})

test('a seed repeats its choices, and its neighbour makes others', () => {
  const choices = (seed: number): number[] => {
    const random = seededRandom(seed)
    return Array.from({ length: 50 }, () => random.between(1, 1_000_000))
  }

  expect(choices(22)).toEqual(choices(22))
  expect(choices(22)).not.toEqual(choices(23))
})

test('choices reach both ends and never leave them', () => {
  const random = seededRandom(1)
  const seen = new Set(Array.from({ length: 1000 }, () => random.between(3, 6)))

  expect([...seen].sort()).toEqual([3, 4, 5, 6])
})
