/**
 * Whether every value of one type is a value of another without being cut or rounded. An explicit cast to varchar(n) cuts
 * silently where an assignment would fail, so what is wider is refused at plan. Pure.
 */

/** `other`: not the same type at all. */
export type Fit = 'fits' | 'wider' | 'other'

/** Types as format_type prints them. */
export function typeFits(computed: string, column: string): Fit {
  if (computed === column) return 'fits'
  const from = parse(computed)
  const into = parse(column)
  if (from.base !== into.base) return 'other'
  if (into.limits.length === 0) return 'fits'
  if (from.limits.length !== into.limits.length) return 'wider'
  const [fromFirst = 0, fromScale = 0] = from.limits
  const [intoFirst = 0, intoScale = 0] = into.limits
  if (from.base !== 'numeric') return fromFirst <= intoFirst ? 'fits' : 'wider'
  return fromScale <= intoScale && fromFirst - fromScale <= intoFirst - intoScale ? 'fits' : 'wider'
}

/** `timestamp(3) with time zone` is `timestamp with time zone` with the limit 3. */
function parse(type: string): { readonly base: string; readonly limits: readonly number[] } {
  const found = /\((-?\d+)(?:,(-?\d+))?\)/.exec(type)
  if (found === null) return { base: type, limits: [] }
  const limits = found.slice(1).flatMap((text) => (text === undefined ? [] : Number(text)))
  return { base: type.replace(found[0], ''), limits }
}
