/**
 * What each command is, in words: for the help and for the checks of the command line. Its work is in commands/<name>.ts.
 */
import type { CommandName } from '../config.ts'

/** One command as the help shows it. */
export interface CommandInfo {
  readonly summary: string
  /** A TARGET behind the command: a table or a materialized view, named as SQL names it. */
  readonly operand: 'none' | 'optional' | 'required'
  /** More lines for the command's own help. */
  readonly details: readonly string[]
}

/** Every command, in the order of a first use. */
export const commandList: Readonly<Record<CommandName, CommandInfo>> = {
  plan: {
    summary: 'show what apply would do, a line per step with its lock',
    operand: 'none',
    details: ['Changes nothing. Exit code 2 if there is something to apply.'],
  },
  apply: {
    summary: 'bring the database to what the definitions say',
    operand: 'none',
    details: [
      'Shows the plan and asks first; without a terminal it needs --yes. Can be run again after any failure.',
      'What the files no longer declare is removed by --prune only, and columns with their data by --drop too.',
    ],
  },
  run: {
    summary: 'keep it fresh: the daemon, until SIGTERM or Ctrl-C',
    operand: 'none',
    details: [
      'Executes what was applied, whatever the files say now. Any number of them may run on one database.',
      'The first SIGTERM or Ctrl-C finishes the batches under way and ends, a second one ends at once.',
    ],
  },
  status: {
    summary: 'how fresh everything is, what is pending, what failed',
    operand: 'none',
    details: ['Reads only bookkeeping, never a table or a view of yours. Estimates carry a ~.'],
  },
  verify: {
    summary: 'recompute rows, compare them with what is stored',
    operand: 'optional',
    details: [
      'Changes nothing and blocks nobody. A row whose change is still on its way is no drift: it is looked at again.',
      'Without a TARGET: all materialized columns, and the views that definitions declare.',
      'A view is compared whole, with what its query returns now: that takes as long as a refresh, or a few times as long where they differ.',
      'What changed since its last refresh is no drift, unless it is overdue, failing or never refreshed, or nothing that it reads changed.',
      'Exit code 2 if there is drift, with the keys or rows.',
    ],
  },
  refresh: {
    summary: 'ask for rows to be computed again, or for a view to be refreshed',
    operand: 'required',
    details: ['Returns once the request is stored; the daemon does the work.'],
  },
  pause: {
    summary: 'leave a target alone until resume',
    operand: 'required',
    details: [
      'Columns: what changes meanwhile is kept, and worked off after resume. A view: it is not refreshed. A batch under way ends first; a refresh goes on to its end.',
    ],
  },
  resume: {
    summary: 'go on with a paused target',
    operand: 'required',
    details: ['What was left meanwhile is due at once.'],
  },
  health: {
    summary: 'does the daemon on this machine live? For HEALTHCHECK and liveness probes',
    operand: 'none',
    details: [
      'Exit code 0 if the last beat of a "pgfresh run" of this account on this machine is at most 30 s old, else 1.',
      "Asks no database: a daemon that can't reach its database is healthy, and tries again.",
    ],
  },
}

/** Whether a command takes a TARGET. */
export function commandOperands(command: CommandName): CommandInfo['operand'] {
  return commandList[command].operand
}
