/**
 * What every command gets: its options, where to write, where the database is, when to stop.
 *
 * Commands take nothing from the process (no process.argv, env, stdout): a test hands in its own, and only main.ts ends the process.
 * Answers go to stdout, logs and errors to stderr.
 */
import type { OptionName, Options } from '../config.ts'
import type { DatabaseAddress } from '../db/session.ts'
import type { Log } from '../kernel/log.ts'

/** Where text goes. process.stdout and process.stderr are such. */
export interface Writer {
  write(text: string): unknown
  /** True on a terminal: only there are colours, progress bars and questions. */
  readonly isTTY?: boolean
  /** The terminal's width in characters, and its height in lines. */
  readonly columns?: number
  readonly rows?: number
}

/** Where answers to questions come from. process.stdin is such. */
export type Reader = NodeJS.ReadableStream & { readonly isTTY?: boolean }

/** The environment variables, by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What a command works with. */
export interface CommandContext {
  readonly options: Options
  /** True if the flag or its variable was given: the option is not just its default. */
  readonly given: (option: OptionName) => boolean
  /** What stands behind the command without dashes: `verify TARGET`. */
  readonly operands: readonly string[]
  readonly env: Environment
  readonly stdin: Reader
  readonly stdout: Writer
  readonly stderr: Writer
  readonly log: Log
  readonly address: DatabaseAddress
  readonly project: string
  readonly definitionsDir: string
  /** Aborted by the first SIGINT or SIGTERM for the commands that end that way (run, status --watch); a second one ends the process. */
  readonly signal: AbortSignal
}

/** What each file of commands/ exports as `execute`: does the work and returns the exit code. */
export type Execute = (context: CommandContext) => Promise<number>
