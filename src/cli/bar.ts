/**
 * Progress bars for a terminal. Pure.
 */
import type { BackfillReport } from '../status/report.ts'
import { count, duration } from './print.ts'

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/** A bar of `width` characters for a share from 0 to 1; null, an unknown share, leaves it empty. */
export function bar(share: number | null, width: number): string {
  const filled = Math.round(Math.min(Math.max(share ?? 0, 0), 1) * width * 8)
  const text = '█'.repeat(Math.floor(filled / 8)) + (eighths[filled % 8] ?? '')
  return text.padEnd(width, '░')
}

/** ` 37 %  1,200,000 of ~3,200,000 rows  45,000 rows/s  ~44 s left`, without the bar. */
export function backfillText({
  share,
  rowsDone,
  rowsEstimated,
  rowsPerSecond,
  etaMs,
}: BackfillReport): string {
  const percent = (share === null ? '?' : `${Math.floor(share * 100)} %`).padStart(5)
  const rows =
    rowsEstimated === null ? `${count(rowsDone)} rows` : `${count(rowsDone)} of ~${count(rowsEstimated)} rows`
  const rate = rowsPerSecond < 1 ? '' : `  ${count(rowsPerSecond)} rows/s`
  const left = etaMs === null ? '' : `  ~${duration(etaMs)} left`
  return `${percent}  ${rows}${rate}${left}`
}
