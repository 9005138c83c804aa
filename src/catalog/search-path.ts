/**
 * The search_path that a plan reads people's names with, and that is stored for every daemon. Pure. Called by read.ts.
 */
import { displayIdentifier } from '../db/identifier.ts'

/**
 * A search_path without `"$user"` and without pgfresh's own schema.
 *
 * `"$user"` is another schema for each role, and the role that applies need not be the one that runs: it is written out where such a
 * schema exists, and left out where none does. pgfresh's schema would come first for a role of that name, before people's tables.
 */
export function settledSearchPath(
  setting: string,
  role: string,
  exists: (schema: string) => boolean,
): string {
  const entries = setting.match(/\s*(?:"(?:[^"]|"")*"|[^,"]+)\s*(?:,|$)/g) ?? []
  const names = entries.map((entry) => entry.replace(/,$/, '').trim()).filter((entry) => entry !== '')
  const settled = names.flatMap((written) => {
    const own = written === '"$user"' || written === '$user'
    if (own && !exists(role)) return []
    const text = own ? displayIdentifier(role) : written
    return /^"?pgfresh"?$/i.test(text) ? [] : [text]
  })
  // Empty means the server's own schemas alone, and is written as one empty name.
  return settled.length === 0 ? '""' : settled.join(', ')
}
