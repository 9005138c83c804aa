/**
 * A plan as people read it, as JSON, and as SQL. Pure.
 */
import { migrationScript } from '../db/migrate.ts'
import type { Plan } from './plan.ts'
import type { Step } from './steps.ts'
import { stepScript } from './transaction.ts'

/** One line per step with its sign and lock, what stays undeclared, advice; the count is the last line. */
export function planText(plan: Plan): string {
  const lines = [
    ...plan.steps.map(stepLine),
    ...plan.undeclared.map((sentence) => `  ${sentence}`),
    ...plan.advice.map((advice) => `! ${advice}`),
    countLine(plan),
  ]
  return `${lines.join('\n')}\n`
}

/** `+ what it does  [its lock]` */
export function stepLine(step: Step): string {
  return `${step.sign} ${step.description}${step.lock === null ? '' : `  [${step.lock.mode} on ${step.lock.on}]`}`
}

function countLine({ steps }: Plan): string {
  if (steps.length === 0) return 'Nothing to do.'
  return steps.length === 1 ? '1 step.' : `${steps.length} steps.`
}

/** What `plan --json` prints. */
export function planJson(plan: Plan): unknown {
  return {
    steps: plan.steps.map(({ kind, sign, object, description, lock, statements }) => ({
      kind,
      sign,
      object,
      description,
      lock: lock === null ? null : { mode: lock.mode, on: lock.on },
      statements,
    })),
    undeclared: plan.undeclared,
    advice: plan.advice,
  }
}

/** What `plan --sql` prints: each step a transaction of its own, in order. */
export function planSql(plan: Plan): string {
  const scripts = plan.steps.map((step, at) => {
    const title = `-- ${at + 1} of ${plan.steps.length}: ${stepLine(step)}`
    return `${title.replaceAll('\n', ' ')}\n${step.kind === 'migrate' ? migrationScript(plan.schemaFound) : stepScript(step)}\n`
  })
  return scripts.length === 0 ? '-- Nothing to do.\n' : scripts.join('\n')
}
