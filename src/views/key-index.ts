/**
 * The name of the unique index that a view's `key` asks for: the same for plan/, which makes it, and for a swap, which makes it anew.
 */
import { createHash } from 'node:crypto'

/** Bytes of a name in PostgreSQL. */
const longest = 63

const ending = '_pgfresh_key'

/** `<view>_pgfresh_key`; of a long name the beginning and a digest. */
export function keyIndexName(view: string): string {
  if (Buffer.byteLength(view + ending) <= longest) return view + ending
  const digest = createHash('sha256').update(view).digest('hex').slice(0, 8)
  let start = view
  while (Buffer.byteLength(`${start}_${digest}${ending}`) > longest) start = start.slice(0, -1)
  return `${start}_${digest}${ending}`
}
