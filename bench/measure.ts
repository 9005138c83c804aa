/**
 * Fair comparison: rounds in which every variant runs once, medians over the rounds, and the spread of an A/A pair.
 *
 * A ratio is taken within a round and only then the median over the rounds, so that a machine which gets slower meanwhile changes
 * nothing. The order turns from round to round, so that no variant always follows the same one. Pure but for calling the variants.
 */
import type { Beside, Measured } from './case.ts'

/** Something to measure once per round; more is better. */
export type Variant = () => Promise<number>

/** What a case compares. */
export interface Comparison {
  readonly ours: Variant
  /** Runs twice per round, under two names: the second one is the A/A pair's. */
  readonly peer: (twin: 'a' | 'b') => Promise<number>
  /** Shown beside, by name. */
  readonly beside?: Readonly<Record<string, Variant>>
}

/** Runs the rounds. Throws the first error of a variant, and the signal's reason once it is aborted. */
export async function compare(
  { ours, peer, beside = {} }: Comparison,
  { rounds, signal }: { readonly rounds: number; readonly signal: AbortSignal },
): Promise<Measured> {
  const others = Object.entries(beside)
  const variants: readonly Variant[] = [
    () => peer('a'),
    ours,
    () => peer('b'),
    ...others.map(([, variant]) => variant),
  ]
  const seen = await interleave(variants, { rounds, signal })
  const [a = [], our = [], b = []] = seen
  const peers = a.map((value, round) => (value + (b[round] ?? value)) / 2)
  return {
    ours: median(our),
    peer: median(peers),
    ratio: median(ratios(our, peers)),
    spread: spreadOf(a, b),
    rounds,
    beside: others.map(([name], at): Beside => {
      const values = seen[at + 3] ?? []
      return { name, value: median(values), ratio: median(ratios(values, peers)) }
    }),
  }
}

/** The values of each variant, by round. Every second round runs backwards, and each pair of rounds starts one further. */
async function interleave(
  variants: readonly Variant[],
  { rounds, signal }: { readonly rounds: number; readonly signal: AbortSignal },
): Promise<number[][]> {
  const values = variants.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const at of turnOrder(variants.length, round)) {
      signal.throwIfAborted()
      const value = await variants[at]?.()
      if (value !== undefined) values[at]?.push(value)
    }
  }
  return values
}

/** The order of a round's variants. */
export function turnOrder(count: number, round: number): number[] {
  const turned = Array.from({ length: count }, (_, at) => (at + Math.floor(round / 2)) % count)
  return round % 2 === 0 ? turned : turned.reverse()
}

/** The middle value, or the mean of the two in the middle. Throws on an empty list. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y)
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[Math.floor(sorted.length / 2)]]
  if (low === undefined || high === undefined) throw new RangeError('there is no median of nothing')
  return (low + high) / 2
}

/** How far two series of the same thing lie apart, round by round, as a share of their mean: the median. */
export function spreadOf(a: readonly number[], b: readonly number[]): number {
  return median(
    a.map((value, round) => {
      const twin = b[round] ?? value
      return Math.abs(value - twin) / ((value + twin) / 2)
    }),
  )
}

function ratios(values: readonly number[], peers: readonly number[]): number[] {
  return values.map((value, round) => value / (peers[round] ?? Number.NaN))
}
