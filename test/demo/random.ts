/**
 * Random choices from a seed, so that a run's writers can be repeated. Not for secrets.
 */

/** A source of choices. Every writer has its own. */
export interface Random {
  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number
  /** True with the given probability, 0 to 1. */
  chance(probability: number): boolean
  /** One of the items; the list must not be empty. */
  oneOf<Item>(items: readonly Item[]): Item
}

/** The generator xorshift32, good enough to spread writes over rows. `seed` is any whole number. */
export function seededRandom(seed: number): Random {
  // Neighbouring seeds would begin alike, and a zero would stay zero for ever.
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1
  const next = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
  for (let warmUp = 0; warmUp < 8; warmUp++) next()
  const between = (least: number, most: number): number => least + Math.floor(next() * (most - least + 1))
  return {
    between,
    chance: (probability) => next() < probability,
    oneOf: (items) => {
      const item = items[between(0, items.length - 1)]
      if (item === undefined) throw new RangeError('oneOf: the list is empty')
      return item
    },
  }
}
