/**
 * kysely's `sql`, remembering where each template stands.
 *
 * A mistake in one of a definition's twenty expressions is shown at that expression's line. The note is kept beside
 * kysely's own immutable node, so what people hold is exactly what kysely made. Re-exported by src/index.ts; the places are
 * asked for by literal-compiler.ts.
 */
import { sql as kyselySql, type OperationNode, type RawBuilder, type Sql } from 'kysely'
import { OperatorError, type Place } from '../kernel/errors.ts'
import { literal } from './literal.ts'
import { callSite } from './place.ts'

/** From a template's node to its place. Weak, so that it lives as long as the template. */
const places = new WeakMap<OperationNode, Place>()

/**
 * kysely's template tag for raw SQL, with all its helpers (`sql.ref`, `sql.table`, `sql.join`, …).
 *
 * In a definition every interpolated value becomes a literal: strings, finite numbers, bigints, booleans, null, Dates (as
 * timestamptz, in UTC), Uint8Array and Buffer (as bytea) and arrays of these. What has no literal form (undefined, NaN, a
 * plain object, …) is an error with file and line. Other `sql` fragments and kysely builders may be interpolated too.
 *
 * @example
 * sql`(select count(*) from showtime s where s.venue_id = venue.id and s.kind = ${'matinee'})`
 */
export const sql: Sql = Object.assign(
  <T>(fragments: TemplateStringsArray, ...parameters: unknown[]): RawBuilder<T> => {
    const { place } = callSite(sql)
    try {
      const builder = kyselySql<T>(fragments, ...parameters)
      places.set(builder.toOperationNode(), place)
      return builder
    } catch (cause) {
      throw uselessFunction(parameters, place, cause)
    }
  },
  kyselySql,
)

/** The place of the innermost template among these nodes (outermost first), or null where none came from our `sql`. */
export function placeOfTemplate(nodes: readonly OperationNode[]): Place | null {
  const known = nodes.findLast((node) => places.has(node))
  return known === undefined ? null : (places.get(known) ?? null)
}

/** kysely calls an interpolated function with an expression builder, and fails if no expression comes back. */
function uselessFunction(parameters: readonly unknown[], place: Place, cause: unknown): unknown {
  const found = parameters.find((parameter) => typeof parameter === 'function')
  if (found === undefined || cause instanceof OperatorError) return cause
  const { problem, hint } = literal(found)
  return new OperatorError({ message: `in a sql template: ${problem}`, hint, place, cause })
}
