/**
 * From argv and the environment to a command and its options. Pure.
 *
 * Flags may stand before or behind the command. What isn't understood is an error, never ignored: a mistyped `--prune` must not
 * turn into a run without it.
 */
import { parseArgs } from 'node:util'
import {
  type CommandName,
  commandNames,
  flagText,
  type OptionName,
  type OptionSpec,
  type Options,
  optionTable,
} from '../config.ts'
import { OperatorError } from '../kernel/errors.ts'
import { commandOperands } from './command-list.ts'
import type { Environment } from './context.ts'
import { nearest } from './nearest.ts'
import { readValue } from './values.ts'

/** What the command line asks for. */
export type Request =
  | { readonly kind: 'help'; readonly command: CommandName | null }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'command'
      readonly command: CommandName
      readonly options: Options
      readonly given: ReadonlySet<OptionName>
      readonly operands: readonly string[]
    }

const optionNames = Object.keys(optionTable) as readonly OptionName[]
const optionOfFlag = new Map(optionNames.map((name) => [optionTable[name].flag, name]))

/** Reads the command line (without node and script). An OperatorError for the first thing that isn't understood. */
export function parseRequest(argv: readonly string[], env: Environment): Request {
  const { tokens } = parseArgs({ args: [...argv], options: grammar(), strict: false, tokens: true })
  const flags = tokens.filter((token) => token.kind === 'option')
  const words = tokens.filter((token) => token.kind === 'positional').map((token) => token.value)
  const [first, ...operands] = words
  const command = first === undefined ? null : readCommand(first)
  const asks = (name: string, short: string) =>
    flags.some((token) => token.name === name || token.rawName === short)
  if (asks('help', '-h')) return { kind: 'help', command }
  if (asks('version', '-V')) return { kind: 'version' }
  const written = readFlags(flags, command)
  if (command === null) throw new OperatorError({ message: 'a command is missing', hint: commandsHint })
  checkOperands(command, operands)
  const { options, given } = readOptions(command, written, env)
  return { kind: 'command', command, options, given, operands }
}

/** A flag as parseArgs found it. */
interface FlagToken {
  readonly name: string
  readonly rawName: string
  readonly value: string | undefined
  readonly inlineValue: boolean | undefined
}

const commandsHint = `Commands: ${commandNames.join(', ')}. "pgfresh --help" says what they do.`

function grammar() {
  const options = optionNames.map((name) => {
    const { flag, placeholder } = optionTable[name]
    return [flag, { type: placeholder === null ? 'boolean' : 'string' } as const] as const
  })
  const asking = { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'V' } } as const
  return { ...Object.fromEntries(options), ...asking }
}

function readCommand(word: string): CommandName {
  const command = commandNames.find((name) => name === word)
  if (command !== undefined) return command
  const meant = nearest(word, commandNames)
  throw new OperatorError({
    message: `unknown command "${word}"${meant === null ? '' : `: did you mean "${meant}"?`}`,
    hint: commandsHint,
  })
}

/** The text of each flag that was written; null for one that takes no value. */
function readFlags(
  tokens: readonly FlagToken[],
  command: CommandName | null,
): Map<OptionName, string | null> {
  const written = new Map<OptionName, string | null>()
  for (const token of tokens) {
    const name = optionOfFlag.get(token.name)
    if (name === undefined) throw unknownFlag(token.rawName, command)
    const option: OptionSpec<unknown> = optionTable[name]
    if (command !== null && !option.commands.includes(command)) throw foreignFlag(option, command)
    if (written.has(name)) throw new OperatorError({ message: `--${option.flag} was given twice` })
    written.set(name, flagValue(option, token))
  }
  return written
}

function flagValue(option: OptionSpec<unknown>, token: FlagToken): string | null {
  if (option.placeholder === null) {
    if (token.value === undefined) return null
    throw new OperatorError({ message: `--${option.flag} takes no value, not "${token.value}"` })
  }
  // `--project --json`: the next flag is no name of a project. `--project=--json` is, if somebody insists.
  if (token.value === undefined || (token.inlineValue !== true && token.value.startsWith('--'))) {
    throw new OperatorError({ message: `--${option.flag} needs a value`, hint: `Write ${flagText(option)}.` })
  }
  return token.value
}

function unknownFlag(rawName: string, command: CommandName | null): OperatorError {
  const known = optionNames.map((name): OptionSpec<unknown> => optionTable[name])
  const taken = known.filter((option) => command === null || option.commands.includes(command))
  const meant = nearest(rawName, [...taken.map((option) => `--${option.flag}`), '--help', '--version'])
  const help = command === null ? 'pgfresh --help' : `pgfresh ${command} --help`
  return new OperatorError({
    message: `unknown flag ${rawName}${meant === null ? '' : `: did you mean ${meant}?`}`,
    hint: `"${help}" lists the flags.`,
  })
}

function foreignFlag(option: OptionSpec<unknown>, command: CommandName): OperatorError {
  return new OperatorError({
    message: `${command} takes no --${option.flag}`,
    hint: `--${option.flag} belongs to ${option.commands.join(', ')}. "pgfresh ${command} --help" lists the flags of ${command}.`,
  })
}

function checkOperands(command: CommandName, operands: readonly string[]): void {
  const takes = commandOperands(command)
  const surplus = operands[takes === 'none' ? 0 : 1]
  if (surplus !== undefined) {
    const only = takes === 'none' ? 'only flags' : 'one TARGET'
    throw new OperatorError({ message: `${command} takes ${only}: what is "${surplus}"?` })
  }
  if (takes === 'required' && operands.length === 0) {
    throw new OperatorError({
      message: `${command} needs a TARGET`,
      hint: `Write the table or view as SQL names it: pgfresh ${command} venue, pgfresh ${command} 'sales."Order"'.`,
    })
  }
}

function readOptions(
  command: CommandName,
  written: ReadonlyMap<OptionName, string | null>,
  env: Environment,
) {
  const given = new Set<OptionName>()
  const read = (name: OptionName): unknown => {
    const option: OptionSpec<unknown> = optionTable[name]
    if (!option.commands.includes(command)) return option.default
    const text = written.get(name)
    const variable = option.env === null ? undefined : env[option.env]
    if (text === undefined && (option.env === null || variable === undefined || variable === ''))
      return option.default
    given.add(name)
    // A flag without a value turns its default round: --no-listen makes true false.
    if (text === null) return option.default !== true
    if (text !== undefined) return readValue(option.takes, text, `--${option.flag}`)
    return readValue(option.takes, variable ?? '', option.env ?? '')
  }
  const options = Object.fromEntries(optionNames.map((name) => [name, read(name)])) as unknown as Options
  return { options, given }
}
