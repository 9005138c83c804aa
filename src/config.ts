/**
 * Every option there is, in one table: its flag, its environment variable, its default, what it takes, who takes it.
 *
 * Help texts, the parser and the README's configuration table are made from this table, so they can't disagree.
 * A flag wins over its variable, a variable over the default. Used by cli/ only: everything below gets plain values.
 */
import type { LogLevel } from './kernel/log.ts'

/** The commands that exist. */
export const commandNames = [
  'plan',
  'apply',
  'run',
  'status',
  'verify',
  'refresh',
  'pause',
  'resume',
  'health',
] as const

/** The name of a command. */
export type CommandName = (typeof commandNames)[number]

/** Every option by name, as commands read it: checked, with defaults filled in. */
export interface Options {
  /** The directory of definition files. */
  readonly definitions: string
  /** The project that plan, apply and prune are about. */
  readonly project: string
  readonly json: boolean
  readonly yes: boolean
  readonly prune: boolean
  readonly drop: boolean
  readonly sql: boolean
  readonly apply: boolean
  readonly untilIdle: boolean
  /** How many batches one daemon computes at a time. */
  readonly workers: number
  /** The longest pause between two looks at the log, in milliseconds. */
  readonly pollMs: number
  /** False: never LISTEN, only poll. */
  readonly listen: boolean
  /** Rows per materialization that verify looks at. */
  readonly sample: number
  readonly all: boolean
  /** JSON as it was written; null if it wasn't. */
  readonly keys: string | null
  /** Column names, or null: all. */
  readonly columns: readonly string[] | null
  readonly watch: boolean
  /** Where the daemon's heartbeat is, or null: daemon/heartbeat.ts says where. */
  readonly healthFile: string | null
  readonly logLevel: LogLevel
}

/** The name of an option: a key of Options. */
export type OptionName = keyof Options

/** One option: a row of the table. */
export interface OptionSpec<T> {
  /** Without the dashes. */
  readonly flag: string
  readonly env: string | null
  /** What stands for its value in the help (`DIR`); null for a flag that takes none. */
  readonly placeholder: string | null
  readonly default: T
  readonly commands: readonly CommandName[]
  /** One line. */
  readonly help: string
  readonly takes: Takes
}

/** What a value must be. `what` names it in errors. */
export type Takes =
  | { readonly kind: 'flag' }
  | { readonly kind: 'text'; readonly what: string }
  | { readonly kind: 'names'; readonly what: string }
  | { readonly kind: 'integer'; readonly min: number; readonly max: number }
  | { readonly kind: 'choice'; readonly of: readonly string[] }

// A list of its own: kernel/log.ts brings the logging library, which --help need not wait for.
const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const satisfies readonly LogLevel[]

/** The options table. In the order of the help. */
export const optionTable: { readonly [Name in keyof Options]: OptionSpec<Options[Name]> } = {
  definitions: {
    flag: 'definitions',
    env: 'PGFRESH_DEFINITIONS',
    placeholder: 'DIR',
    default: 'definitions',
    commands: ['plan', 'apply', 'run'],
    help: 'directory of the definition files',
    takes: { kind: 'text', what: 'a directory' },
  },
  project: {
    flag: 'project',
    env: 'PGFRESH_PROJECT',
    placeholder: 'NAME',
    default: 'default',
    commands: ['plan', 'apply', 'run', 'status', 'verify'],
    help: 'whose definitions these are: scopes plan, apply and prune; status and verify take all without it',
    takes: { kind: 'text', what: 'a name' },
  },
  sql: flag('sql', ['plan'], 'print the SQL of the plan, for your own migrator'),
  prune: flag('prune', ['plan', 'apply'], 'also remove what the files no longer declare'),
  drop: flag('drop', ['plan', 'apply'], 'with --prune: drop the columns too, with their data'),
  yes: flag('yes', ['apply'], "don't ask"),
  apply: flag('apply', ['run'], 'apply the definitions first, as apply --yes does (never prunes)'),
  untilIdle: flag(
    'until-idle',
    ['run'],
    'make fresh all that was committed before, then end; exit 1 if keys stay quarantined',
  ),
  workers: {
    flag: 'workers',
    env: 'PGFRESH_WORKERS',
    placeholder: 'N',
    default: 2,
    commands: ['run'],
    help: 'batches computed at a time, each over a connection of its own',
    takes: { kind: 'integer', min: 1, max: 64 },
  },
  pollMs: {
    flag: 'poll',
    env: 'PGFRESH_POLL_MS',
    placeholder: 'MS',
    default: 500,
    commands: ['run'],
    help: 'longest pause between two looks at the change log while awake, in milliseconds',
    takes: { kind: 'integer', min: 10, max: 60_000 },
  },
  listen: {
    flag: 'no-listen',
    env: 'PGFRESH_LISTEN',
    placeholder: null,
    default: true,
    commands: ['run'],
    help: 'never LISTEN (behind pgbouncer, say): poll only',
    takes: { kind: 'flag' },
  },
  sample: {
    flag: 'sample',
    env: null,
    placeholder: 'N',
    default: 1000,
    commands: ['verify'],
    help: 'rows to check per materialization',
    takes: { kind: 'integer', min: 1, max: 1_000_000_000 },
  },
  all: flag('all', ['verify'], 'check every row'),
  keys: {
    flag: 'keys',
    env: null,
    placeholder: 'JSON',
    default: null,
    commands: ['refresh'],
    help: 'just these rows: [[42], [43]], [42, 43] or [{"id": 42}]',
    takes: { kind: 'text', what: 'JSON' },
  },
  columns: {
    flag: 'columns',
    env: null,
    placeholder: 'A,B',
    default: null,
    commands: ['refresh'],
    help: 'just these materialized columns',
    takes: { kind: 'names', what: 'column names with commas between them' },
  },
  watch: flag('watch', ['status'], 'redraw every second until Ctrl-C (on a terminal)'),
  healthFile: {
    flag: 'health-file',
    env: 'PGFRESH_HEALTH_FILE',
    placeholder: 'FILE',
    default: null,
    commands: ['run', 'health'],
    help: "the daemon's heartbeat: run touches it, health looks at it; pgfresh-UID.beat in the temporary directory unless given",
    takes: { kind: 'text', what: 'a file' },
  },
  json: flag('json', ['plan', 'status', 'verify', 'refresh'], 'print one JSON object'),
  logLevel: {
    flag: 'log-level',
    env: 'PGFRESH_LOG_LEVEL',
    placeholder: 'LEVEL',
    default: 'info',
    commands: commandNames,
    help: `what is logged on stderr: ${logLevels.join(', ')}`,
    takes: { kind: 'choice', of: logLevels },
  },
}

/** A row of the README's configuration table. */
export interface ConfigurationRow {
  /** `--workers N`; empty for what only the environment sets. */
  readonly flag: string
  /** Empty for what has no variable. */
  readonly env: string
  readonly default: string
  /** Which commands take it: `run`, `plan, apply`, `all`. */
  readonly commands: string
  readonly help: string
}

/** The configuration table as the README prints it: where the database is, then every option. */
export function configurationRows(): readonly ConfigurationRow[] {
  return [...connectionRows, ...Object.values<OptionSpec<unknown>>(optionTable).map(configurationRow)]
}

/** `--flag VALUE` as help and README write it. */
export function flagText(option: Pick<OptionSpec<unknown>, 'flag' | 'placeholder'>): string {
  return option.placeholder === null ? `--${option.flag}` : `--${option.flag} ${option.placeholder}`
}

/** The default as help and README write it; empty where there is none worth a word. */
export function defaultText(option: OptionSpec<unknown>): string {
  if (option.placeholder === null) return option.env === null ? '' : String(option.default)
  return option.default === null ? '' : String(option.default)
}

const connectionRows: readonly ConfigurationRow[] = [
  {
    flag: '',
    env: 'DATABASE_URL',
    default: '',
    commands: 'all',
    help: 'where the database is: postgres://user:password@host:5432/database',
  },
  {
    flag: '',
    env: 'PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, …',
    default: '',
    commands: 'all',
    help: 'the usual variables, used where DATABASE_URL is not set',
  },
]

function configurationRow(option: OptionSpec<unknown>): ConfigurationRow {
  return {
    flag: flagText(option),
    env: option.env ?? '',
    default: defaultText(option),
    commands: option.commands.length === commandNames.length ? 'all' : option.commands.join(', '),
    help: option.help,
  }
}

function flag(name: string, commands: readonly CommandName[], help: string): OptionSpec<boolean> {
  return { flag: name, env: null, placeholder: null, default: false, commands, help, takes: { kind: 'flag' } }
}
