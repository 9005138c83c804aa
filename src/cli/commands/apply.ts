/**
 * `pgfresh apply`: brings the database to what the definitions say. Shows the plan and asks first, unless --yes.
 *
 * What was done is printed step by step, so that an apply that was interrupted shows how far it came. `run --apply` calls it too.
 */
import { createInterface } from 'node:readline/promises'
import { OperatorError } from '../../kernel/errors.ts'
import { apply } from '../../plan/apply.ts'
import type { Plan } from '../../plan/plan.ts'
import { planText } from '../../plan/render.ts'
import type { CommandContext, Execute } from '../context.ts'
import { openDatabase } from '../open-database.ts'
import { counted, duration } from '../print.ts'
import { planOptions } from './plan.ts'

/** Plans, asks, applies. Exit code 1 if the answer is no. */
export const execute: Execute = async (context) => {
  const { options, stdout, address } = context
  if (!options.yes && !isInteractive(context)) {
    throw new OperatorError({
      message: 'apply asks before it changes anything, and there is no terminal to ask on',
      hint: 'Run "pgfresh plan" to see what it would do, and "pgfresh apply --yes" to do it.',
    })
  }
  const asked = await planOptions(context)
  // What is wrong with the database as a whole is said before anything else.
  const session = await openDatabase(address, { duty: 'apply', schema: 'optional' })
  await session.close()
  const started = performance.now()
  const { plan, approved, stepsDone } = await apply({
    ...asked,
    address,
    approve: (shown) => approve(context, shown),
    progress: (line) => stdout.write(`${line}\n`),
  })
  if (!approved) {
    stdout.write('Nothing was applied.\n')
    return 1
  }
  if (plan.steps.length === 0) stdout.write(planText(plan))
  else stdout.write(`Applied ${counted(stepsDone, 'step')} in ${duration(performance.now() - started)}.\n`)
  return 0
}

async function approve(context: CommandContext, plan: Plan): Promise<boolean> {
  const { options, stdout, stdin } = context
  if (options.yes) {
    // The steps are printed as they are done; what isn't a step would not be seen at all.
    const rest = planText({ ...plan, steps: [] })
      .split('\n')
      .slice(0, -2)
    for (const line of rest) stdout.write(`${line}\n`)
    return true
  }
  stdout.write(planText(plan))
  stdout.write('Apply this? [y/N] ')
  const lines = createInterface({ input: stdin })
  try {
    for await (const line of lines) return /^y(es)?$/i.test(line.trim())
    return false
  } finally {
    lines.close()
  }
}

function isInteractive({ stdin, stdout }: CommandContext): boolean {
  return stdin.isTTY === true && stdout.isTTY === true
}
