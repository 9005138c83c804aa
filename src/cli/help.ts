/**
 * The help texts, made from the options table and the list of commands. Pure.
 */
import {
  type CommandName,
  commandNames,
  defaultText,
  flagText,
  type OptionSpec,
  optionTable,
} from '../config.ts'
import { commandList } from './command-list.ts'

const columnGap = 2

/** What `pgfresh --help` prints. */
export function overallHelp(): string {
  return [
    'pgfresh keeps derived data in PostgreSQL fresh.',
    '',
    'Usage: pgfresh COMMAND [FLAGS]',
    '',
    'Commands:',
    ...aligned(commandNames.map((name) => [usage(name), commandList[name].summary])),
    '',
    'Flags of every command:',
    ...aligned(flagRows((option) => option.commands.length === commandNames.length)),
    '',
    '"pgfresh COMMAND --help" lists the flags of a command.',
    '',
    ...environment,
    '',
    'Exit codes: 0 done or nothing to do, 1 failed, 2 there are changes to apply (plan) or drift was found (verify).',
    '',
  ].join('\n')
}

/** What `pgfresh COMMAND --help` prints. */
export function commandHelp(command: CommandName): string {
  const { summary, details } = commandList[command]
  return [
    `pgfresh ${command}: ${summary}.`,
    '',
    ...details,
    '',
    `Usage: pgfresh ${usage(command)} [FLAGS]`,
    '',
    'Flags:',
    ...aligned(flagRows((option) => option.commands.includes(command))),
    '',
    ...environment,
    '',
  ].join('\n')
}

const environment = [
  'Connection: DATABASE_URL (postgres://user:password@host:5432/database) or the usual PG* variables.',
]

const operandText = { none: '', optional: ' [TARGET]', required: ' TARGET' } as const

function usage(command: CommandName): string {
  return `${command}${operandText[commandList[command].operand]}`
}

function flagRows(wanted: (option: OptionSpec<unknown>) => boolean): (readonly [string, string])[] {
  const options = Object.values<OptionSpec<unknown>>(optionTable).filter(wanted)
  return [
    ...options.map((option) => [flagText(option), `${option.help}${origin(option)}`] as const),
    ['-h, --help', 'this help'] as const,
  ]
}

function origin(option: OptionSpec<unknown>): string {
  const fallback = option.placeholder === null ? '' : defaultText(option)
  const parts = [option.env ?? '', fallback === '' ? '' : `default ${fallback}`].filter((part) => part !== '')
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}

function aligned(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length)) + columnGap
  return rows.map(([left, right]) => `  ${left.padEnd(width)}${right}`)
}
