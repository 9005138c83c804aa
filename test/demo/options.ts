/**
 * The demo's command line. Pure: main.ts hands in the arguments and shows what is wrong with them.
 */
import { parseArgs } from 'node:util'

/** What the demo was asked to do. */
export interface DemoOptions {
  /** How long to write, in seconds; null: until Ctrl-C, with nothing compared at the end. */
  readonly seconds: number | null
  /** Ends with one line of JSON on stdout; everything else goes to stderr. */
  readonly json: boolean
  /** Row changes a second that the writers aim at. */
  readonly rate: number
  readonly help: boolean
}

/** What `--help` prints. */
export const usage = `Usage: npm run demo -- [--seconds N] [--rate N] [--json]

Starts a PostgreSQL of its own, fills it with a cinema's data, applies definitions/ and keeps it fresh under live writes.

  --seconds N  write for N seconds, let pgfresh catch up, then compare every materialized row with hand-written SQL;
               without it the demo runs until Ctrl-C
  --rate N     row changes a second to aim at (default 500)
  --json       end with one line of JSON, {"verified","drift","changes","p50_ms","p99_ms"}; needs --seconds
`

const defaultRate = 500

/** Reads the arguments (without node and the script). Throws an Error whose message says what to write instead. */
export function parseDemoOptions(argv: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seconds: { type: 'string' },
      rate: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const seconds = values.seconds === undefined ? null : wholeNumber('--seconds', values.seconds, 86_400)
  const rate = values.rate === undefined ? defaultRate : wholeNumber('--rate', values.rate, 100_000)
  if (values.json && seconds === null && !values.help)
    throw new Error('--json needs --seconds N: the result is printed at the end')
  return { seconds, json: values.json, rate, help: values.help }
}

function wholeNumber(flag: string, text: string, most: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > most) {
    throw new Error(`${flag} takes a whole number from 1 to ${most}, not "${text}"`)
  }
  return value
}
