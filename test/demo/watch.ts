/**
 * The live part of the terminal: how every materialization stands, by the report that `pgfresh status` prints, and what the
 * writers and probes have seen. It never reads a table of the cinema's after the first count. run.ts redraws it.
 */
import { bar } from '../../src/cli/bar.ts'
import { count, duration, table } from '../../src/cli/print.ts'
import { Session } from '../../src/db/session.ts'
import { report } from '../../src/status/read-report.ts'
import type { MaterializationReport } from '../../src/status/report.ts'
import type { ViewReport } from '../../src/status/view-report.ts'
import type { Latencies } from './probes.ts'
import { latencyText } from './report.ts'
import { barWidth } from './stages.ts'
import type { LivePart } from './terminal.ts'
import type { WriterCounts } from './writers.ts'

/** What writers and probes have done so far. */
export interface Written extends WriterCounts {
  readonly latencies: Latencies
  /** Since the writers started, in milliseconds. */
  readonly elapsedMs: number
}

/** A backfill as it goes, and in the end. */
export interface BackfillView extends LivePart {
  readonly done: boolean
  /** Of all targets together. */
  readonly rows: number
}

/** Looks at pgfresh's bookkeeping. */
export class Watch {
  readonly #session: Session
  /** Rows of each target as they were at first. */
  readonly #rows: ReadonlyMap<string, number>
  #past: { readonly changes: number; readonly elapsedMs: number } = { changes: 0, elapsedMs: 0 }

  private constructor(session: Session, rows: ReadonlyMap<string, number>) {
    this.#session = session
    this.#rows = rows
  }

  static async open(url: string): Promise<Watch> {
    const session = await Session.open({ url }, 'demo')
    const rows = new Map<string, number>()
    for (const { target } of (await report(session, null)).materializations) {
      const [counted] = await session.rows(`select count(*) from ${target}`)
      rows.set(target, Number(counted?.count))
    }
    return new Watch(session, rows)
  }

  close(): Promise<void> {
    return this.#session.close()
  }

  /** The first computation of all rows. Done when nothing at all is on its way any more, and the views are filled. */
  async backfill(): Promise<BackfillView> {
    const { materializations, views, pending } = await report(this.#session, null)
    const rows = sum([...this.#rows.values()])
    const total = sum(materializations.map((one) => this.#rows.get(one.target) ?? 0))
    const share = total === 0 ? 1 : sum(materializations.map((one) => this.#computed(one))) / total
    const percent = `${String(Math.floor(share * 100)).padStart(3)} %`
    return {
      done:
        pending.value === 0 &&
        views.every((view) => view.lastRefreshedAt !== null) &&
        materializations.every((one) => one.state !== 'backfilling' && one.state !== 'catching up'),
      rows,
      lines: [`Backfilling  ${bar(share, barWidth)} ${percent}`, '', ...this.#table(materializations)],
      plain: `Backfilling: ${percent} of ${count(rows)} rows`,
    }
  }

  /** How everything stands under writes. */
  async live(written: Written): Promise<LivePart> {
    const { materializations, views } = await report(this.#session, null)
    const rate = this.#rate(written)
    const waiting = sum(materializations.map(waits))
    const late = Math.max(0, ...materializations.map((one) => one.lagMs))
    const changes = `${count(written.changes)} changes written, ${count(rate)} a second`
    return {
      lines: [
        ...this.#table(materializations),
        '',
        ...viewTable(views),
        '',
        `${duration(written.elapsedMs)}: ${changes}, in ${count(written.transactions)} transactions`,
        `from commit to fresh: ${latencyText(written.latencies)}`,
      ],
      plain: `${duration(written.elapsedMs)}: ${changes}; ${count(waiting)} keys waiting, late by ${duration(late)}; from commit to fresh ${latencyText(written.latencies)}`,
    }
  }

  #table(materializations: readonly MaterializationReport[]): string[] {
    return table<MaterializationReport>(
      [
        { title: 'table', cell: (one) => one.target },
        { title: 'definition', cell: (one) => one.name },
        { title: 'rows', align: 'right', cell: (one) => count(this.#rows.get(one.target) ?? 0) },
        { title: 'fresh', align: 'right', cell: (one) => this.#fresh(one).padStart(cellWidth) },
        { title: 'waiting', align: 'right', cell: (one) => dashed(waits(one), count).padStart(cellWidth) },
        { title: 'late by', align: 'right', cell: (one) => dashed(one.lagMs, duration).padStart(cellWidth) },
        { title: 'state', cell: (one) => one.state },
      ],
      materializations,
    )
      .trimEnd()
      .split('\n')
  }

  #fresh(one: MaterializationReport): string {
    const rows = this.#rows.get(one.target) ?? 0
    const share = rows === 0 ? 1 : Math.max(0, this.#computed(one) - waits(one)) / rows
    return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`
  }

  /** Rows that are not in an unfinished backfill, or are done there. */
  #computed(one: MaterializationReport): number {
    const rows = this.#rows.get(one.target) ?? 0
    const share = Math.min(1, ...one.backfills.map((backfill) => backfill.share ?? 0))
    return rows * share
  }

  /** Changes a second since the last look. */
  #rate({ changes, elapsedMs }: Written): number {
    const { changes: before, elapsedMs: then } = this.#past
    this.#past = { changes, elapsedMs }
    return elapsedMs > then ? ((changes - before) * 1000) / (elapsedMs - then) : 0
  }
}

function viewTable(views: readonly ViewReport[]): string[] {
  return table<ViewReport>(
    [
      { title: 'view', cell: (one) => one.view },
      { title: 'rows', align: 'right', cell: (one) => counted(one.rowsEstimated, count) },
      {
        title: 'refreshed',
        cell: (one) => `${counted(one.lastRefreshedAgeMs, duration)} ago`.padStart(cellWidth + 4),
      },
      {
        title: 'took',
        align: 'right',
        cell: (one) => counted(one.lastRefreshMs, duration).padStart(cellWidth),
      },
      {
        title: 'next in',
        align: 'right',
        cell: (one) => counted(one.nextRefreshInMs, duration).padStart(cellWidth),
      },
      { title: 'state', cell: (one) => one.state.padEnd(longestState) },
    ],
    views,
  )
    .trimEnd()
    .split('\n')
}

const longestState = 'refreshing'.length

function counted(value: number | null, text: (value: number) => string): string {
  return value === null ? '-' : text(Math.max(0, value))
}

/** Columns keep their width while their numbers change. */
const cellWidth = 7

function dashed(value: number, text: (value: number) => string): string {
  return value === 0 ? '-' : text(value)
}

/** Keys and changes that wait for a worker. */
function waits(one: MaterializationReport): number {
  return one.keys + one.pending.value
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
