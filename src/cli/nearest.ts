/**
 * The known name that was probably meant. Pure. Used for commands, flags, targets and columns.
 */

/** The name nearest to what was written, or null if none is near (a third of its letters, at least two, may differ). */
export function nearest(written: string, names: readonly string[]): string | null {
  const allowed = Math.max(2, Math.floor(written.length / 3))
  const ranked = names
    .map((name) => ({ name, distance: distance(written.toLowerCase(), name.toLowerCase()) }))
    .filter((one) => one.distance <= allowed && one.distance < one.name.length)
    .sort((a, b) => a.distance - b.distance)
  return ranked[0]?.name ?? null
}

/** Letters to insert, remove or replace to get from one text to the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1]
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (letter === to[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
