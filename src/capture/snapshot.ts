/**
 * Watermarks as values: a pg_snapshot parsed, and how far one round moves it.
 *
 * Invariant 1: what a watermark covers was processed by a snapshot that saw it. A snapshot never lists its own
 * transaction as in progress, so the round's own xid is added, else what the round itself writes would be lost [A1].
 * A window can be cut at an xid: what is left out stays beyond xmax, or among the in-progress xids [B3].
 */

/** A pg_snapshot: every xid below xmax that is not in `open` is covered. */
export interface Snapshot {
  readonly xmax: bigint
  /** In-progress xids, ascending, all below xmax. */
  readonly open: readonly bigint[]
}

/** Reads `xmin:xmax:xip,xip`. */
export function parseSnapshot(text: string): Snapshot {
  const [, xmax, open] = text.split(':')
  if (xmax === undefined || open === undefined) throw new RangeError(`not a snapshot: ${text}`)
  return { xmax: BigInt(xmax), open: open === '' ? [] : open.split(',').map(BigInt) }
}

/** Prints a snapshot as PostgreSQL reads it. */
export function formatSnapshot({ xmax, open }: Snapshot): string {
  return `${open[0] ?? xmax}:${xmax}:${open.join(',')}`
}

/** Where a window ends before the end: `late` xids are older than the last watermark's xmax and were in progress then. */
export interface Cut {
  readonly late: boolean
  /** The first xid that is left out. */
  readonly before: bigint
}

/** What a round read. */
export interface Window {
  /** The stored watermark. */
  readonly seen: Snapshot
  /** The snapshot of the very statement that read the log. */
  readonly now: Snapshot
  /** The round's own xid. */
  readonly own: bigint
  /** Null: everything that `now` covers was read. */
  readonly cut: Cut | null
}

/** The watermark that covers just what was read. */
export function advance({ seen, now, own, cut }: Window): Snapshot {
  if (cut?.late) {
    const stillOpen = new Set(now.open)
    return { xmax: seen.xmax, open: seen.open.filter((xid) => stillOpen.has(xid) || xid >= cut.before) }
  }
  const xmax = cut === null || cut.before > now.xmax ? now.xmax : cut.before
  const open = new Set([...now.open, own].filter((xid) => xid < xmax))
  return { xmax, open: [...open].sort((a, b) => (a < b ? -1 : 1)) }
}
