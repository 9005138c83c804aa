/**
 * `pgfresh status`: how fresh everything is, once or, with --watch, every second until Ctrl-C.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { OperatorError } from '../../kernel/errors.ts'
import { report } from '../../status/read-report.ts'
import type { CommandContext, Execute } from '../context.ts'
import { openDatabase } from '../open-database.ts'
import { json } from '../print.ts'
import { screen } from '../screen.ts'
import { statusJson } from '../status-json.ts'
import { statusText } from '../status-text.ts'

const redrawMs = 1000

/** Prints the report. */
export const execute: Execute = async (context) => {
  const { options, stdout } = context
  if (options.watch) checkWatch(context)
  const session = await openDatabase(context.address, { duty: 'status', schema: 'required' })
  try {
    const look = () => report(session, context.given('project') ? context.project : null)
    if (options.watch) await watch(context, async () => statusText(await look(), textOptions(context)))
    else
      stdout.write(
        options.json ? json(statusJson(await look())) : statusText(await look(), textOptions(context)),
      )
    return 0
  } finally {
    await session.close()
  }
}

function checkWatch({ options, stdout }: CommandContext): void {
  if (options.json) throw new OperatorError({ message: '--watch and --json exclude each other' })
  if (stdout.isTTY === true) return
  throw new OperatorError({
    message: '--watch redraws a terminal, and stdout is none',
    hint: 'Leave it out, or call "pgfresh status --json" as often as you like.',
  })
}

function textOptions({ stdout, env }: CommandContext) {
  const onTerminal = stdout.isTTY === true
  return { colour: onTerminal && !env.NO_COLOR, bars: onTerminal }
}

async function watch({ stdout, signal }: CommandContext, draw: () => Promise<string>): Promise<void> {
  const drawing = screen(stdout)
  while (!signal.aborted) {
    drawing.show(await draw())
    // The abort of the sleep is the way out, not an error.
    await sleep(redrawMs, undefined, { signal }).catch(() => {})
  }
}
