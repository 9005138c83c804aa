/**
 * `pgfresh plan`: what apply would do. Changes nothing. Exit code 2 if there is something to apply.
 */
import type { Definition } from '../../definition/definition.ts'
import { loadDefinitions } from '../../definition/load.ts'
import { describeOperatorError, OperatorError } from '../../kernel/errors.ts'
import { makePlan, type PlanOptions } from '../../plan/plan.ts'
import { planJson, planSql, planText } from '../../plan/render.ts'
import type { CommandContext, Execute } from '../context.ts'
import { openDatabase } from '../open-database.ts'
import { json } from '../print.ts'

/** Plans and prints. */
export const execute: Execute = async (context) => {
  const { options, stdout } = context
  if (options.json && options.sql) throw new OperatorError({ message: '--json and --sql exclude each other' })
  const asked = await planOptions(context)
  const session = await openDatabase(context.address, { duty: 'plan', schema: 'optional' })
  try {
    const plan = await makePlan(session, asked)
    stdout.write(options.json ? json(planJson(plan)) : options.sql ? planSql(plan) : planText(plan))
    return plan.steps.length === 0 ? 0 : 2
  } finally {
    await session.close()
  }
}

/** What is to be planned: the definitions of the folder, with what looks forgotten said on stderr, and the flags. */
export async function planOptions(context: CommandContext): Promise<PlanOptions> {
  const { prune, drop } = context.options
  if (drop && !prune) {
    throw new OperatorError({
      message: '--drop goes with --prune: it drops the columns of what is pruned',
      hint: 'Add --prune.',
    })
  }
  const definitions = await readDefinitions(context)
  return { definitions, project: context.project, prune, drop }
}

async function readDefinitions({ definitionsDir, stderr }: CommandContext): Promise<readonly Definition[]> {
  const { definitions, warnings } = await loadDefinitions(definitionsDir)
  for (const warning of warnings) {
    stderr.write(
      `${describeOperatorError(new OperatorError({ ...warning, message: `warning: ${warning.message}` }))}\n`,
    )
  }
  return definitions
}
