/**
 * The end of a timed run: what was compared, what was captured, how fresh it was. Pure but for the terminal. run.ts calls it.
 */
import { count, table } from '../../src/cli/print.ts'
import { type Latencies, percentile } from './probes.ts'
import type { TableComparison } from './reference.ts'
import type { Terminal } from './terminal.ts'

/** The last line of `--json`. */
export interface DemoResult {
  /** Materialized rows compared: all there are. */
  readonly verified: number
  /** Rows of which a value or a stamp is wrong. */
  readonly drift: number
  /** Source row changes that were committed, and captured, while the writers ran. */
  readonly changes: number
  /** From the commit of a source change to the commit of the fresh value, in milliseconds; null if nothing was measured. */
  readonly p50_ms: number | null
  readonly p99_ms: number | null
}

/** What a timed run came to. */
export interface Measured {
  readonly tables: readonly TableComparison[]
  readonly changes: number
  readonly latencies: Latencies
}

/** Shows the tables and the figures, and returns the figures. */
export function report(terminal: Terminal, { tables, changes, latencies }: Measured): DemoResult {
  const verified = sum(tables.map((found) => found.verified))
  const drift = sum(tables.map((found) => found.drift))
  const rows = [...tables, { table: 'total', verified, drift, samples: [] }]
  terminal.say(
    table(
      [
        { title: 'table', cell: (row) => row.table },
        { title: 'rows compared', align: 'right', cell: (row) => count(row.verified) },
        { title: 'that differ', align: 'right', cell: (row) => count(row.drift) },
      ],
      rows,
    ),
  )
  for (const sample of tables.flatMap((found) => found.samples)) terminal.say(`differs: ${sample}`)
  terminal.say(`Changes captured: ${count(changes)}.`)
  terminal.say(`From commit to fresh: ${latencyText(latencies)}.`)
  const { direct } = latencies
  return { verified, drift, changes, p50_ms: percentile(direct, 0.5), p99_ms: percentile(direct, 0.99) }
}

/** `p50 12 ms, p99 48 ms (500 measured); through a chain p50 25 ms, p99 70 ms`. */
export function latencyText({ direct, chained }: Latencies): string {
  const both = (samples: readonly number[]): string => {
    const [p50, p99] = [percentile(samples, 0.5), percentile(samples, 0.99)]
    return p50 === null || p99 === null
      ? 'not measured yet'
      : `p50 ${Math.round(p50)} ms, p99 ${Math.round(p99)} ms`
  }
  if (direct.length === 0) return 'not measured yet'
  return `${both(direct)} (${count(direct.length)} measured); through a chain ${both(chained)}`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
