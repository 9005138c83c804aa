/**
 * From facts to the report: which work concerns which materialization, and what that says of it. Pure.
 */
import { routeMask } from '../capture/shape.ts'
import { displayQualified } from '../db/identifier.ts'
import type { Route } from '../materialization/compiled.ts'
import { kindOfLane } from '../queue/task.ts'
import { aliveMs } from './daemons.ts'
import { countLimit, type Facts, type MaterializationFacts } from './facts.ts'
import type { BackfillReport, Count, MaterializationReport, Report, State } from './report.ts'
import { viewReport } from './view-report.ts'

/** A daemon says every 5 s up to when it saw an empty log: so much of the log's age may be just that. */
const beatMs = 5_000

/** Makes the report. */
export function assemble(facts: Facts): Report {
  const daemons = facts.daemons.filter((daemon) => daemon.beatAgeMs <= aliveMs)
  const seen = facts.daemons.flatMap((daemon) => daemon.caughtUpAgeMs ?? [])
  const watermarkAgeMs = Math.max(0, Math.min(facts.watermarkAgeMs, ...seen))
  const logLagMs = Math.max(0, watermarkAgeMs - (daemons.length > 0 ? beatMs : 0))
  return {
    at: facts.at,
    watermarkAgeMs,
    pending: limited(sum(facts.unread.map((one) => one.entries))),
    daemons: daemons.map(({ id, host, pid, version, upMs, beatAgeMs }) => ({
      id,
      host,
      pid,
      version,
      upMs,
      beatAgeMs,
    })),
    materializations: facts.materializations.map((one) => assembleOne(one, facts, logLagMs)),
    views: facts.views.map((one) => viewReport(one, facts.at)),
    undeclared: facts.undeclared,
  }
}

function assembleOne(one: MaterializationFacts, facts: Facts, logLagMs: number): MaterializationReport {
  const { compiled } = one
  const work = facts.work.filter((group) => group.materialization === one.id)
  const walks = facts.walks.filter((walk) => walk.materialization === one.id)
  const changes = work.filter(
    (group) => group.walk === null && ['change', 'bulk'].includes(kindOfLane(group.lane)),
  )
  const pending = pendingOf(one, facts)
  const quarantined = limited(one.quarantined)
  const lagMs = Math.max(
    0,
    ...changes.map((group) => group.oldestAgeMs),
    ...walks.filter(isChange).map((walk) => walk.ageMs),
    pending.value > 0 ? logLagMs : 0,
  )
  const lastError = lastErrorOf(one)
  return {
    project: one.project,
    name: compiled.name,
    target: one.target ?? displayQualified(compiled.target.schema, compiled.target.name),
    stamp: compiled.stamp,
    columns: compiled.columns.map((column) => column.name),
    state: stateOf({
      paused: one.pausedAt !== null,
      failing: one.error !== null || quarantined.value > 0,
      backfilling: walks.length > 0,
      busy: work.length > 0 || pending.value > 0,
    }),
    pending,
    tasks: sum(work.map((group) => group.tasks)),
    keys: sum(work.map((group) => group.keys)),
    quarantined,
    lagMs,
    freshnessMs: one.freshnessMs,
    pausedAt: one.pausedAt,
    late: one.freshnessMs !== null && lagMs > one.freshnessMs,
    backfills: walks.map((walk) => backfillOf(walk, facts.work)),
    lastError,
    lastSuccessAgeMs: one.successAgeMs,
  }
}

/** A walk that a TRUNCATE or a route to all keys asked for is late like any change; a backfill or a request is just long. */
function isChange({ why }: Facts['walks'][number]): boolean {
  return why.startsWith('change of ')
}

function stateOf({
  paused,
  failing,
  backfilling,
  busy,
}: Readonly<Record<'paused' | 'failing' | 'backfilling' | 'busy', boolean>>): State {
  if (paused) return 'paused'
  if (failing) return 'failing'
  if (backfilling) return 'backfilling'
  return busy ? 'catching up' : 'fresh'
}

/** Entries of the log that a route of this materialization reads. A huge transaction's count for all, as far as they were counted. */
function pendingOf(one: MaterializationFacts, facts: Facts): Count {
  const captures = new Map(facts.captures.map((capture) => [capture.id, capture]))
  const concerns = ({ capture, mask, op, target }: Facts['unread'][number]) => {
    if (target !== null) return target === one.targetOid
    const found = captures.get(capture)
    if (found === undefined) return false
    const reads = (route: Route) =>
      route.sourceOid === found.source && (mask & routeMask(found.shape, route)) !== 0
    return op === 'A' || op === 'T'
      ? one.compiled.routes.some((route) => route.sourceOid === found.source)
      : one.compiled.routes.some(reads)
  }
  const entries = sum(facts.unread.filter(concerns).map((group) => group.entries))
  const all = sum(facts.unread.map((group) => group.entries))
  // Where not all were counted, the share that concerns this one is a guess too.
  return { value: Math.min(entries, countLimit), estimate: entries > 0 && all > countLimit }
}

/** The history is written every 5 s, so its first row stands for the 5 s before it. */
const historyMs = 5_000

function backfillOf(walk: Facts['walks'][number], work: Facts['work']): BackfillReport {
  const open = work.filter((group) => group.walk === walk.id)
  const ranges = sum(open.map((group) => group.ranges))
  const { batches, rows, ms } = walk.recent
  // A stretch of a walk doesn't say how many rows it has: as many as its batches had lately.
  const rowsPerRange = batches > 0 ? rows / batches : walk.rowsPlanned / Math.max(ranges, 1)
  const rowsOpen = Math.round(ranges * rowsPerRange) + sum(open.map((group) => group.keys))
  const rowsDone = Math.max(0, walk.rowsPlanned - rowsOpen)
  const known = walk.planned ? walk.rowsPlanned : Math.max(walk.rowsEstimated, walk.rowsPlanned)
  const rowsEstimated = walk.planned || walk.rowsEstimated > 0 ? known : null
  const rowsPerSecond = rows > 0 ? (rows * 1000) / (ms + historyMs) : 0
  return {
    why: walk.why,
    columns: walk.columns,
    rowsDone,
    rowsEstimated,
    share: rowsEstimated === null ? null : Math.min(rowsDone / Math.max(rowsEstimated, 1), 1),
    rowsPerSecond,
    etaMs: rowsEstimated === null || rows === 0 ? null : ((rowsEstimated - rowsDone) * 1000) / rowsPerSecond,
    ageMs: walk.ageMs,
  }
}

function lastErrorOf({
  error,
  errorAgeMs,
  quarantineError,
}: MaterializationFacts): MaterializationReport['lastError'] {
  if (error !== null) return { error, key: null, ageMs: errorAgeMs ?? 0 }
  return quarantineError
}

function limited(value: number): Count {
  return { value: Math.min(value, countLimit), estimate: value > countLimit }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
