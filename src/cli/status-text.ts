/**
 * The report as people read it: what is fresh and how late in aligned columns, then views, backfills, and what failed. Pure.
 */
import type { Count, MaterializationReport, Report } from '../status/report.ts'
import { backfillText, bar } from './bar.ts'
import { count, counted, duration, inColour, table } from './print.ts'
import { viewErrors, viewsTable } from './view-text.ts'

/** How the terminal is. */
export interface TextOptions {
  readonly colour: boolean
  /** True: backfills get a bar. */
  readonly bars: boolean
}

const barWidth = 24

/** The whole text of `pgfresh status`, with a newline at its end. */
export function statusText(report: Report, options: TextOptions): string {
  const sections = [
    materializations(report, options),
    viewsTable(report.views, options),
    backfills(report, options),
    `${errors(report)}${viewErrors(report.views)}`,
    undeclared(report),
    footer(report),
  ]
  return sections.filter((section) => section !== '').join('\n')
}

function materializations({ materializations: rows, views }: Report, { colour }: TextOptions): string {
  if (rows.length === 0)
    return views.length > 0
      ? ''
      : 'Nothing is materialized here yet: declare it in a definition file and run "pgfresh apply".\n'
  const projects = new Set(rows.map((one) => one.project))
  const many = projects.size > 1 || !projects.has('default')
  return table<MaterializationReport>(
    [
      ...(many ? [{ title: 'PROJECT', cell: (one: MaterializationReport) => one.project }] : []),
      { title: 'TARGET', cell: (one) => one.target },
      { title: 'COLUMNS', cell: (one) => columnsText(one) },
      { title: 'STATE', cell: (one) => stateText(one, colour) },
      { title: 'LAG', align: 'right', cell: (one) => (one.lagMs === 0 ? '0' : duration(one.lagMs)) },
      { title: 'PENDING', align: 'right', cell: (one) => countText(one.pending) },
      { title: 'TASKS', align: 'right', cell: (one) => count(one.tasks) },
      { title: 'KEYS', align: 'right', cell: (one) => count(one.keys) },
      { title: 'QUARANTINED', align: 'right', cell: (one) => countText(one.quarantined) },
      {
        title: 'LAST SUCCESS',
        align: 'right',
        cell: (one) => (one.lastSuccessAgeMs === null ? '-' : `${duration(one.lastSuccessAgeMs)} ago`),
      },
    ],
    rows,
  )
}

const shownColumns = 3

function columnsText({ columns }: MaterializationReport): string {
  const more = columns.length - shownColumns
  return more > 0 ? `${columns.slice(0, shownColumns).join(', ')}, +${more}` : columns.join(', ')
}

const colours = {
  fresh: 'green',
  'catching up': 'cyan',
  backfilling: 'cyan',
  failing: 'red',
  paused: 'yellow',
} as const

function stateText({ state, late }: MaterializationReport, colour: boolean): string {
  const text = late ? `${state}, late` : state
  return colour ? inColour(text, late ? 'red' : colours[state]) : text
}

function backfills(report: Report, { bars }: TextOptions): string {
  const rows = report.materializations.flatMap((one) => one.backfills.map((backfill) => ({ one, backfill })))
  if (rows.length === 0) return ''
  const width = Math.max(...rows.map(({ one }) => one.target.length))
  return rows
    .map(({ one, backfill }) => {
      const drawn = bars ? `${bar(backfill.share, barWidth)} ` : ''
      const columns = backfill.columns === null ? '' : ` (${backfill.columns.join(', ')})`
      return `${one.target.padEnd(width)}  ${drawn}${backfillText(backfill)}  ${backfill.why}${columns}\n`
    })
    .join('')
}

function errors(report: Report): string {
  return report.materializations
    .flatMap(({ target, lastError }) => {
      if (lastError === null) return []
      const key = lastError.key === null ? '' : ` ${lastError.key}`
      return [`${target}${key}: ${lastError.error} (${duration(lastError.ageMs)} ago)\n`]
    })
    .join('')
}

function undeclared({ undeclared: names }: Report): string {
  return names.length === 0 ? '' : `With a column materialized_at and no definition: ${names.join(', ')}\n`
}

function footer({ watermarkAgeMs, pending, daemons }: Report): string {
  const running =
    daemons.length === 0
      ? 'no daemon runs: start "pgfresh run"'
      : `${counted(daemons.length, 'daemon')} running`
  return `watermark ${duration(watermarkAgeMs)} old, ${countText(pending)} changes pending, ${running}\n`
}

function countText({ value, estimate }: Count): string {
  return estimate ? `~${count(value)}+` : count(value)
}
