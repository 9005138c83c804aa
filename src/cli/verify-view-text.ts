/**
 * What verify found of views, as people and as programs read it. Pure. Used by verify-text.ts.
 */
import type { Drift, ViewVerification } from '../status/verify/verification.ts'
import { exactJson } from './exact-json.ts'
import { count, counted, duration, table } from './print.ts'
import { nextText, refreshedText } from './view-text.ts'

/** A line per view, and below what is to be said of it. Empty without any. */
export function verifyViewsText(found: readonly ViewVerification[]): string {
  const summary = table<ViewVerification>(
    [
      { title: 'VIEW', cell: ({ view }) => view.view },
      { title: 'ROWS', align: 'right', cell: ({ rows }) => (rows === null ? '-' : count(rows)) },
      { title: 'MISSING', align: 'right', cell: (one) => (one.rows === null ? '-' : count(one.missing)) },
      { title: 'EXTRA', align: 'right', cell: (one) => (one.rows === null ? '-' : count(one.extra)) },
      { title: 'REFRESHED', align: 'right', cell: ({ view }) => refreshedText(view) },
      { title: 'NEXT', align: 'right', cell: ({ view }) => nextText(view) },
      { title: 'RESULT', cell: ({ result }) => result },
    ],
    found,
  )
  const details = found.flatMap(detailLines).map((line) => `${line}\n`)
  return [summary, details.join('')].filter((part) => part !== '').join('\n')
}

/** `no drift in 3 views (1 behind)`; null without any. */
export function verifyViewsClosing(found: readonly ViewVerification[]): string | null {
  if (found.length === 0) return null
  const of = (result: ViewVerification['result']) => found.filter((one) => one.result === result).length
  const behind = of('behind') === 0 ? '' : ` (${count(of('behind'))} behind)`
  const failing = of('failed') === 0 ? '' : `; ${counted(of('failed'), 'view')} can't be compared`
  const drift =
    of('drift') === 0
      ? `no drift in ${counted(found.length - of('failed'), 'view')}`
      : `drift in ${count(of('drift'))} of ${counted(found.length, 'view')}`
  return `${drift}${behind}${failing}`
}

function detailLines(one: ViewVerification): string[] {
  const { view, result, error } = one
  switch (result) {
    case 'equal':
      return []
    case 'failed':
      return [`${view.view}: can't be compared: ${error}`]
    case 'behind':
      return [
        `${view.view}: ${stateOf(one, 'behind by')}, refreshed ${refreshedText(view)}, ${comingText(one)}`,
      ]
    case 'drift':
      return [
        `${view.view}: ${stateOf(one, 'differs by')}, ${one.why === null ? '' : becauseText(one, one.why)}`,
        ...one.missingRows.map((row) => `${view.view} lacks ${cut(row)}`),
        ...one.extraRows.map((row) => `${view.view} has ${cut(row)}, which its query doesn't return`),
      ]
    default:
      return result satisfies never
  }
}

function stateOf({ view, rows, missing, extra }: ViewVerification, verb: string): string {
  if (rows !== null) {
    return `${verb} ${counted(missing + extra, 'row')} (${count(missing)} missing, ${count(extra)} extra)`
  }
  return view.rebuild ? 'its query has changed, and it is yet to be built anew' : 'it holds nothing yet'
}

function comingText({ view }: ViewVerification): string {
  if (view.running !== null) return 'being refreshed now'
  if (view.paused) return 'paused'
  return view.nextRefreshInMs === null ? 'next on request' : `next ${nextText(view)}`
}

function becauseText({ view }: ViewVerification, why: Drift): string {
  switch (why) {
    case 'unchanged':
      return 'and nothing that it reads has changed since its last refresh'
    case 'failing':
      return `and its refresh fails (${counted(view.failures, 'time')})${view.lastError === null ? '' : `: ${view.lastError.error}`}`
    case 'never refreshed':
      return 'and pgfresh has never refreshed it'
    case 'overdue':
      return (view.nextRefreshInMs ?? 0) < 0
        ? `and it has been due for ${duration(-(view.nextRefreshInMs ?? 0))}`
        : 'and it is overdue'
    default:
      return why satisfies never
  }
}

const longestRow = 200

function cut(row: string): string {
  return row.length > longestRow ? `${row.slice(0, longestRow)}…` : row
}

/** Views in the object that `pgfresh verify --json` prints. */
export function verifyViewJson({ view, ...one }: ViewVerification) {
  return {
    project: view.project,
    name: view.name,
    view: view.view,
    result: one.result,
    because: one.why,
    state: view.state,
    rows: one.rows,
    missing: one.missing,
    extra: one.extra,
    missing_rows: one.missingRows.map(exactJson),
    extra_rows: one.extraRows.map(exactJson),
    last_refreshed_at: view.lastRefreshedAt,
    next_refresh_at: view.nextRefreshAt,
    error: one.error,
  }
}
