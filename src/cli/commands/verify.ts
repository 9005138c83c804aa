/**
 * `pgfresh verify [TARGET]`: recomputes rows and compares them with what is stored.
 * Exit code 2 if there is drift, 1 if some keys could not be computed and so not be verified, 0 else.
 */
import type { Session } from '../../db/session.ts'
import { OperatorError } from '../../kernel/errors.ts'
import { loadCatalogue, type Stored } from '../../materialization/store.ts'
import { verify } from '../../status/verify/verify.ts'
import { bar } from '../bar.ts'
import type { CommandContext, Execute } from '../context.ts'
import { openDatabase } from '../open-database.ts'
import { count, json } from '../print.ts'
import { screen } from '../screen.ts'
import { findTarget } from '../target.ts'
import { verifyJson, verifyText } from '../verify-text.ts'

const barWidth = 24

/** Verifies and prints what was found. */
export const execute: Execute = async (context) => {
  const { options, stdout } = context
  if (options.all && context.given('sample')) {
    throw new OperatorError({ message: '--all and --sample exclude each other' })
  }
  const session = await openDatabase(context.address, { duty: 'verify', schema: 'required' })
  try {
    const materializations = await chosen(session, context)
    const drawing = progress(context)
    const found = await verify(session, {
      materializations,
      rows: options.all ? 'all' : options.sample,
      onProgress: drawing.show,
    })
    drawing.clear()
    stdout.write(options.json ? json(verifyJson(found)) : verifyText(found))
    const { verifications } = found
    if (verifications.some((one) => one.drift.length > 0)) return 2
    return verifications.some((one) => one.failed.length > 0 || one.error !== null) ? 1 : 0
  } finally {
    await session.close()
  }
}

/** What TARGET and --project leave. */
async function chosen(
  session: Session,
  { operands, project, given }: CommandContext,
): Promise<readonly Stored[]> {
  const [written] = operands
  const target = written === undefined ? null : await findTarget(session, written)
  const { materializations } = await loadCatalogue(session)
  const left = materializations.filter(
    (stored) =>
      (target === null || stored.targetOid === target.oid) &&
      (!given('project') || stored.compiled.project === project),
  )
  if (left.length > 0) return left
  throw new OperatorError({
    message: given('project')
      ? `project ${project} materializes nothing${target === null ? '' : ` on ${target.name}`}`
      : 'there is nothing to verify',
    hint: 'Declare it in a definition file and run "pgfresh apply".',
  })
}

/** A bar on stderr while it runs, where stderr is a terminal. */
function progress({ stderr }: CommandContext) {
  const drawing = stderr.isTTY === true ? screen(stderr) : null
  return {
    show: (stored: Stored, checked: number, rows: number) => {
      const share = rows === 0 ? 0 : checked / rows
      drawing?.show(
        `${bar(share, barWidth)} ${stored.compiled.target.name}  ${count(checked)} rows checked\n`,
      )
    },
    clear: () => drawing?.clear(),
  }
}
