/**
 * What verify found, as people and as programs read it. Pure.
 */
import { displayIdentifier, displayQualified } from '../db/identifier.ts'
import type { Difference } from '../status/verify/compare.ts'
import type { Unsettled, Verification, ViewVerification } from '../status/verify/verification.ts'
import { exactJson } from './exact-json.ts'
import { count, counted, table } from './print.ts'
import { verifyViewJson, verifyViewsClosing, verifyViewsText } from './verify-view-text.ts'

/** All that one run found. */
export interface Found {
  readonly verifications: readonly Verification[]
  readonly unsettled: Unsettled
  readonly views: readonly ViewVerification[]
}

/** Differences and failures shown one by one for each materialization; `--json` has up to 1,000. */
const shown = 20

/** A line per materialization, the differences below; the same of views; the sum at the end. */
export function verifyText({ verifications, unsettled, views }: Found): string {
  const summary = table<Verification>(
    [
      { title: 'TARGET', cell: targetName },
      {
        title: 'COLUMNS',
        cell: ({ stored }) => stored.compiled.columns.map((column) => column.name).join(', '),
      },
      { title: 'CHECKED', align: 'right', cell: (one) => `${count(one.checked)} of ~${count(one.rows)}` },
      {
        title: 'DRIFT',
        align: 'right',
        cell: (one) => `${count(one.drift.length)}${one.stoppedEarly ? '+' : ''}`,
      },
      { title: 'UNSETTLED', align: 'right', cell: (one) => count(one.unsettled.length) },
      { title: 'QUARANTINED', align: 'right', cell: (one) => count(one.quarantined) },
      {
        title: 'FAILED',
        align: 'right',
        cell: (one) => (one.error === null ? count(one.failed.length) : 'all'),
      },
    ],
    verifications,
  )
  const details = verifications.flatMap((one) => detailLines(one)).map((line) => `${line}\n`)
  const closings = [
    verifications.length === 0 ? null : closing(verifications, unsettled),
    verifyViewsClosing(views),
  ]
  const last = `${closings.filter((part) => part !== null).join('; ')}\n`
  return [summary, details.join(''), verifyViewsText(views), last].filter((part) => part !== '').join('\n')
}

function detailLines(one: Verification): string[] {
  const name = targetName(one)
  const { expires } = one.stored.compiled
  const differing = one.drift.map((difference) => `${name} ${difference.key}: ${differenceText(difference)}`)
  const aging =
    one.drift.length > 0 && expires !== null
      ? [
          `${name}: expires after ${expires}; until then a value may differ if it reads the clock or a source that is ignored`,
        ]
      : []
  const early = one.stoppedEarly ? [`${name}: so much differs that the rest was not read`] : []
  const failing = one.failed.map(({ key, error }) => `${name} ${key}: can't be computed: ${error}`)
  const whole = one.error === null ? [] : [`${name}: can't be computed: ${one.error}`]
  return [...limited(differing), ...aging, ...early, ...limited(failing), ...whole]
}

function differenceText({ uncomputed, columns }: Difference): string {
  const stamp = uncomputed ? ['its stamp is NULL, and nothing is on its way'] : []
  const values = columns.map(
    ({ name, stored, fresh }) => `${displayIdentifier(name)} is ${value(stored)}, fresh ${value(fresh)}`,
  )
  return [...stamp, ...values].join('; ')
}

const longestValue = 60

function value(text: string | null): string {
  if (text === null) return 'NULL'
  return text.length > longestValue ? `${text.slice(0, longestValue)}…` : text
}

function limited(lines: readonly string[]): string[] {
  const more = lines.length - shown
  return more > 0 ? [...lines.slice(0, shown), `… and ${count(more)} more`] : [...lines]
}

const unsettledTexts: Readonly<Record<NonNullable<Unsettled>, string>> = {
  'no daemon': 'changes are pending and no daemon runs ("pgfresh run --until-idle" works them off)',
  paused: 'changes wait for "pgfresh resume"',
  deadline: 'still changing at the deadline',
}

function closing(verifications: readonly Verification[], unsettled: Unsettled): string {
  const total = (pick: (one: Verification) => number) =>
    verifications.reduce((sum, one) => sum + pick(one), 0)
  const drift = total((one) => one.drift.length)
  const checked = total((one) => one.checked)
  const open = total((one) => one.unsettled.length)
  const failed = total((one) => one.failed.length)
  const failing = verifications.filter((one) => one.error !== null)
  const why = unsettledTexts[unsettled ?? 'deadline']
  return [
    drift === 0
      ? `no drift in ${counted(checked, 'row')}`
      : `drift in ${count(drift)} of ${counted(checked, 'row')}`,
    ...(open === 0 ? [] : [`${counted(open, 'row')} unsettled: ${why}`]),
    ...(failed === 0 ? [] : [`${counted(failed, 'row')} can't be computed`]),
    ...failing.map((one) => `${targetName(one)} can't be computed`),
  ].join('; ')
}

function targetName({ stored }: Verification): string {
  const { schema, name } = stored.compiled.target
  return displayQualified(schema === 'public' ? null : schema, name)
}

/** The object that `pgfresh verify --json` prints. Values are texts as PostgreSQL prints them, or null. */
export function verifyJson({ verifications, unsettled, views }: Found) {
  const total = (pick: (one: Verification) => number) =>
    verifications.reduce((sum, one) => sum + pick(one), 0)
  return {
    checked: total((one) => one.checked),
    drift: total((one) => one.drift.length),
    unsettled: total((one) => one.unsettled.length),
    unsettled_because: unsettled,
    failed: total((one) => one.failed.length),
    views_drift: views.filter((one) => one.result === 'drift').length,
    materializations: verifications.map((one) => ({
      project: one.stored.compiled.project,
      name: one.stored.compiled.name,
      target: targetName(one),
      stamp: one.stored.compiled.stamp,
      checked: one.checked,
      rows_estimated: one.rows,
      stopped_early: one.stoppedEarly,
      quarantined: one.quarantined,
      error: one.error,
      drift: one.drift.map(differenceJson),
      unsettled: one.unsettled.map(differenceJson),
      failed: one.failed.map(({ key, error }) => ({ key: exactJson(key), error })),
    })),
    views: views.map(verifyViewJson),
  }
}

function differenceJson({ key, uncomputed, columns }: Difference) {
  return { key: exactJson(key), stamp_is_null: uncomputed, columns }
}
