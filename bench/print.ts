/**
 * What the bench prints: a table for people, or one line of JSON per case. Pure.
 *
 * `met` is a matter of run.ts; here it only gets a word: yes, NO, noisy, or - where nothing is judged.
 */
import type { BenchCase, Measured } from './case.ts'

/** A case that ran, with its verdict. */
export interface CaseResult {
  readonly case: BenchCase
  readonly measured: Measured
  /** Null: not judged (a quick run, or another scale). */
  readonly met: boolean | null
  /** The spread was too wide, also the second time. */
  readonly noisy: boolean
  /** `pgbench` or `driver`; null where there are no writers. */
  readonly writers: string | null
}

/** The line of a case under `--json`. */
export function jsonLine(result: CaseResult): string {
  const { measured, met, noisy, writers } = result
  return JSON.stringify({
    case: result.case.name,
    ours: figure(measured.ours),
    peer: figure(measured.peer),
    peer_name: result.case.peerName,
    unit: result.case.unit,
    ratio: rounded(measured.ratio, 3),
    bar: result.case.bar,
    spread: rounded(measured.spread, 3),
    met,
    ...(noisy ? { noisy } : {}),
    ...(writers === null ? {} : { writers }),
    rounds: measured.rounds,
    ...(measured.beside.length === 0
      ? {}
      : {
          beside: measured.beside.map(({ name, value, ratio }) => ({
            name,
            value: figure(value),
            ratio: rounded(ratio, 3),
          })),
        }),
  })
}

/** The line of a case that failed, under `--json`. */
export function jsonFailure(name: string, message: string): string {
  return JSON.stringify({ case: name, error: message, met: false })
}

const head = ['case', 'pgfresh', 'against', 'unit', 'ratio', 'bar', 'A/A spread', 'met', 'against what']
const textColumns = new Set([0, 3, 7, 8])

/** The table, with what is shown beside in rows of its own. Ends with a line break. */
export function table(results: readonly CaseResult[]): string {
  const rows = [head, ...results.flatMap(caseRows)]
  const widths = head.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) =>
        textColumns.has(at) ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return `${rows.map(line).join('\n')}\n`
}

function caseRows({ case: { name, unit, bar, peerName }, measured, met, noisy }: CaseResult): string[][] {
  const { ours, peer, ratio, spread, beside } = measured
  return [
    [
      name,
      counted(ours),
      counted(peer),
      unit,
      ratio.toFixed(2),
      bar.toFixed(2),
      `${(spread * 100).toFixed(1)} %`,
      verdict(met, noisy),
      peerName,
    ],
    ...beside.map((one) => [
      '',
      counted(one.value),
      '',
      unit,
      one.ratio.toFixed(2),
      '',
      '',
      '',
      `(beside: ${one.name})`,
    ]),
  ]
}

function verdict(met: boolean | null, noisy: boolean): string {
  if (noisy) return 'noisy'
  return met === null ? '-' : met ? 'yes' : 'NO'
}

/** Four digits that matter, with commas between thousands. */
function counted(value: number): string {
  return figure(value).toLocaleString('en-US', { maximumFractionDigits: 4 })
}

function figure(value: number): number {
  return value >= 1000 ? Math.round(value) : Number(value.toPrecision(4))
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
