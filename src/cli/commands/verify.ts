/**
 * `pgfresh verify [TARGET]`: recomputes rows and compares them with what is stored, and views with their queries.
 * Exit code 2 if there is drift, 1 if some keys or views could not be computed and so not be verified, 0 else.
 */
import type { Session } from '../../db/session.ts'
import { OperatorError } from '../../kernel/errors.ts'
import { loadCatalogue, type Stored, type StoredView } from '../../materialization/store.ts'
import type { ViewVerification } from '../../status/verify/verification.ts'
import { verify } from '../../status/verify/verify.ts'
import { verifyView } from '../../status/verify/view.ts'
import type { ViewReport } from '../../status/view-report.ts'
import { bar } from '../bar.ts'
import type { CommandContext, Execute } from '../context.ts'
import { openDatabase } from '../open-database.ts'
import { count, duration, json } from '../print.ts'
import { screen } from '../screen.ts'
import { findTarget } from '../target.ts'
import { type Found, verifyJson, verifyText } from '../verify-text.ts'

const barWidth = 24

/** Verifies and prints what was found. */
export const execute: Execute = async (context) => {
  const { options, stdout } = context
  if (options.all && context.given('sample')) {
    throw new OperatorError({ message: '--all and --sample exclude each other' })
  }
  const session = await openDatabase(context.address, { duty: 'verify', schema: 'required' })
  try {
    const { materializations, schedules } = await chosen(session, context)
    const drawing = progress(context)
    const found = await verify(session, {
      materializations,
      rows: options.all ? 'all' : options.sample,
      onProgress: drawing.show,
    })
    const views: ViewVerification[] = []
    for (const schedule of schedules) views.push(await verifyView(session, schedule, drawing.showView))
    drawing.clear()
    const all = { ...found, views }
    stdout.write(options.json ? json(verifyJson(all)) : verifyText(all))
    return exitCode(all)
  } finally {
    await session.close()
  }
}

function exitCode({ verifications, views }: Found): number {
  if (verifications.some((one) => one.drift.length > 0)) return 2
  if (views.some((one) => one.result === 'drift')) return 2
  if (verifications.some((one) => one.failed.length > 0 || one.error !== null)) return 1
  return views.some((one) => one.result === 'failed') ? 1 : 0
}

interface Chosen {
  readonly materializations: readonly Stored[]
  /** Views, by the ids of their rows in the refresh schedule. */
  readonly schedules: readonly string[]
}

/** What TARGET and --project leave. Views of people's own schedule only by name. */
async function chosen(session: Session, { operands, project, given }: CommandContext): Promise<Chosen> {
  const [written] = operands
  const target = written === undefined ? null : await findTarget(session, written)
  const { materializations, views } = await loadCatalogue(session)
  const isOfProject = ({ compiled }: Stored | StoredView) => !given('project') || compiled.project === project
  const left = materializations.filter(
    (stored) => (target === null || stored.targetOid === target.oid) && isOfProject(stored),
  )
  const declared = views.filter(isOfProject).map((view) => view.schedule)
  const named = target?.schedule == null ? [] : [target.schedule]
  const schedules =
    target === null ? declared : named.filter((one) => !given('project') || declared.includes(one))
  if (left.length > 0 || schedules.length > 0) return { materializations: left, schedules }
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
    showView: ({ view, lastRefreshMs }: ViewReport) => {
      const last = lastRefreshMs === null ? '' : `, and the last took ${duration(lastRefreshMs)}`
      drawing?.show(`${view}: computing its query takes as long as a refresh${last}\n`)
    },
    clear: () => drawing?.clear(),
  }
}
