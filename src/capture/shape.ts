/**
 * From the routes of all materializations to what the triggers of one source log.
 * Pure: the same routes always give the same shape, so that a second apply finds nothing to do.
 */
import type { CaptureShape, Interest, LoggedColumn, Route } from '../materialization/compiled.ts'

/** Interests past the last bit share it: never too few changes, at worst too many. */
const maskBits = 15

/** How a source's columns can be logged: what format_type prints, whether as jsonb, whether as a bigint. */
export type SourceColumns = ReadonlyMap<
  string,
  { readonly type: string; readonly json: boolean; readonly integer: boolean }
>

/** The shape that serves all these routes, which must be of one source. */
export function captureShape(routes: readonly Route[], columns: SourceColumns): CaptureShape {
  const [first] = routes
  if (first === undefined) throw new RangeError('a capture needs a route')
  const names = [...new Set(routes.flatMap((route) => route.logs))].sort()
  const logs = names.map((name): LoggedColumn => {
    const column = columns.get(name)
    if (column === undefined) throw new RangeError(`column ${name} of ${first.source.name} has no type`)
    return { name, type: column.type, integer: names.length === 1 && column.integer, json: column.json }
  })
  const interests = new Map(routes.map((route) => [interestKey(route), interestOf(route)]))
  return {
    source: first.source,
    logs,
    interests: [...interests.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, interest]) => interest),
  }
}

/** The mask bits of a shape that concern a route; all of them where the shape was made without it (better too many). */
export function routeMask(shape: CaptureShape, route: Route): number {
  const wanted = interestKey(route)
  const at = shape.interests.findIndex((interest) => interestKey(interest) === wanted)
  return at < 0 ? allBits : interestBit(at)
}

/** Every bit of a mask: inserts and deletes concern everybody. */
export const allBits = 2 ** maskBits - 1

/** The bit of the interest at this place of a shape. */
export function interestBit(at: number): number {
  return 2 ** Math.min(at, maskBits - 1)
}

function interestOf(route: Pick<Interest, 'reads' | 'unlessOurs'>): Interest {
  return { reads: [...new Set(route.reads)].sort(), unlessOurs: route.unlessOurs }
}

function interestKey(route: Pick<Interest, 'reads' | 'unlessOurs'>): string {
  const { reads, unlessOurs } = interestOf(route)
  return JSON.stringify([unlessOurs, reads])
}
