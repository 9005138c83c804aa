/**
 * The word that somebody probably meant. Called by option-reader.ts and read-refresh.ts.
 */

/** Two slips of the finger; more, and the guess is noise. */
const nearEnough = 2

/** The candidate that is most like the word, case aside, or null where none comes near. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  const [best] = candidates
    .map((candidate) => ({ candidate, slips: distance(candidate.toLowerCase(), word.toLowerCase()) }))
    .filter(({ slips }) => slips <= nearEnough)
    .sort((left, right) => left.slips - right.slips)
  return best?.candidate ?? null
}

/** Levenshtein's distance. */
function distance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (const [index, sign] of [...left].entries()) {
    const next = [index + 1]
    for (const [column, other] of [...right].entries()) {
      const replaced = (row[column] ?? 0) + (sign === other ? 0 : 1)
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row[right.length] ?? 0
}
