/**
 * JSON from the server whose numbers must stay what they are. Pure.
 */

type ReviverWithSource = (name: string, value: unknown, context: { readonly source?: string }) => unknown

/**
 * Parses JSON; a number that JavaScript would change (a large bigint, 1.10) becomes a string, which PostgreSQL casts back exactly.
 */
export function exactJson(text: string): unknown {
  const exact: ReviverWithSource = (_, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source ? source : value
  return JSON.parse(text, exact as (name: string, value: unknown) => unknown)
}
