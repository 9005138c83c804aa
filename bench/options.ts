/**
 * The bench's command line. Pure: main.ts hands in the arguments and shows what is wrong with them.
 */
import { parseArgs } from 'node:util'
import { caseNames } from './case-list.ts'

/** Who plays the application: PostgreSQL's pgbench, or a driver of ours. */
export const writerKinds = ['pgbench', 'driver'] as const
export type WriterKind = (typeof writerKinds)[number]

/** What the bench was asked to do. */
export interface BenchOptions {
  /** Names of the cases to run, in the order of the list. */
  readonly cases: readonly string[]
  /** Factor on every size; 1 is what the bars are for. */
  readonly scale: number
  /** Shorter rounds and fewer of them; nothing is judged. */
  readonly quick: boolean
  /** One line of JSON per case on stdout instead of the table. */
  readonly json: boolean
  /** Null: pgbench where the machine has it. */
  readonly writers: WriterKind | null
  readonly help: boolean
}

const quickScale = 0.05

/** What `--help` prints. */
export function usage(): string {
  return `Usage: npm run bench -- [--case NAME]... [--scale N] [--quick] [--json] [--writers pgbench|driver]

Measures pgfresh against the same without it, or against what one would write by hand, on a PostgreSQL of its own with
durable settings. Rounds are interleaved; the spread is that of two runs of the same thing.

  --case NAME  only this one, may be repeated: ${caseNames.join(', ')}
  --scale N    factor on all sizes (default 1, which is what the bars are for)
  --quick      a twentieth of the size, short rounds, nothing is judged
  --json       one line of JSON per case
  --writers    who plays the application; default: pgbench where the machine has it
`
}

/** Reads the arguments (without node and the script). Throws an Error whose message says what to write instead. */
export function parseBenchOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      case: { type: 'string', multiple: true, default: [] },
      scale: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      writers: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const wrong = values.case.find((name) => !caseNames.includes(name))
  if (wrong !== undefined) throw new Error(`there is no case "${wrong}"; there are ${caseNames.join(', ')}`)
  const scale =
    values.scale === undefined ? (values.quick ? quickScale : 1) : positive('--scale', values.scale)
  return {
    cases: values.case.length === 0 ? caseNames : caseNames.filter((name) => values.case.includes(name)),
    scale,
    quick: values.quick,
    json: values.json,
    writers: writerKind(values.writers),
    help: values.help,
  }
}

function positive(flag: string, text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 100))
    throw new Error(`${flag} takes a number above 0, up to 100, not "${text}"`)
  return value
}

function writerKind(text: string | undefined): WriterKind | null {
  if (text === undefined) return null
  const kind = writerKinds.find((name) => name === text)
  if (kind === undefined) throw new Error(`--writers is ${writerKinds.join(' or ')}, not "${text}"`)
  return kind
}
