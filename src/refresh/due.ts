/** When a stamp asks for a compute: sweeps search by this, batches write by it. */
import { quoteLiteral } from '../db/identifier.ts'
import type { Compiled } from '../materialization/compiled.ts'

/**
 * True, as SQL, where the stamp is NULL, from the future [A11], or older than `expires`. Rows differ by up to ten per cent
 * either way, each by its own share, so that what was filled together doesn't expire together.
 * `stamp` and `parts` are SQL: the stamp, and the key's columns in the key's order.
 */
export function stampIsDue(compiled: Compiled, stamp: string, parts: readonly string[]): string {
  const always = `${stamp} is null or ${stamp} > pg_catalog.now()`
  if (compiled.expires === null) return always
  const share = `(0.9 + 0.2 * (pg_catalog.hashtextextended(pg_catalog.concat_ws(',', ${parts.join(', ')}), 0) & 1023) / 1023.0)`
  return `${always} or ${stamp} < pg_catalog.now() - ${quoteLiteral(compiled.expires)}::interval * ${share}`
}
