/**
 * The report as programs read it: names in snake_case with their unit, numbers as numbers. Pure.
 */
import type { BackfillReport, Count, MaterializationReport, Report } from '../status/report.ts'
import type { ViewReport } from '../status/view-report.ts'
import { exactJson } from './exact-json.ts'

/** The object that `pgfresh status --json` prints. */
export function statusJson(report: Report) {
  return {
    at: report.at,
    watermark_age_ms: whole(report.watermarkAgeMs),
    ...counts('pending', report.pending),
    daemons: report.daemons.map(({ id, host, pid, version, upMs, beatAgeMs }) => ({
      id,
      host,
      pid,
      version,
      up_ms: whole(upMs),
      beat_age_ms: whole(beatAgeMs),
    })),
    materializations: report.materializations.map(materialization),
    views: report.views.map(view),
    undeclared: report.undeclared,
  }
}

function materialization(one: MaterializationReport) {
  return {
    project: one.project,
    name: one.name,
    target: one.target,
    stamp: one.stamp,
    columns: one.columns,
    state: one.state,
    paused_at: one.pausedAt,
    late: one.late,
    lag_ms: whole(one.lagMs),
    freshness_ms: one.freshnessMs,
    ...counts('pending', one.pending),
    tasks: one.tasks,
    keys: one.keys,
    ...counts('quarantined', one.quarantined),
    backfills: one.backfills.map(backfill),
    last_error:
      one.lastError === null
        ? null
        : {
            error: one.lastError.error,
            key: one.lastError.key === null ? null : exactJson(one.lastError.key),
            age_ms: whole(one.lastError.ageMs),
          },
    last_success_age_ms: one.lastSuccessAgeMs === null ? null : whole(one.lastSuccessAgeMs),
  }
}

function view(one: ViewReport) {
  const { running, lastExecution, lastError } = one
  return {
    project: one.project,
    name: one.name,
    view: one.view,
    state: one.state,
    paused: one.paused,
    rebuild_pending: one.rebuild,
    refreshing: running === null ? null : { pid: running.pid, since: running.since },
    failures: one.failures,
    every: one.every,
    cron: one.cron,
    time_zone: one.timeZone,
    last_attempted_at: one.lastAttemptedAt,
    last_refreshed_at: one.lastRefreshedAt,
    next_refresh_at: one.nextRefreshAt,
    last_refresh_ms: one.lastRefreshMs === null ? null : whole(one.lastRefreshMs),
    last_execution:
      lastExecution === null
        ? null
        : {
            outcome: lastExecution.outcome,
            triggered_by: lastExecution.triggeredBy,
            started_at: lastExecution.startedAt,
            ended_at: lastExecution.endedAt,
            ms: whole(lastExecution.ms),
            concurrent: lastExecution.concurrent,
            error: lastExecution.error,
          },
    rows_estimated: one.rowsEstimated,
    bytes: one.bytes,
    last_error:
      lastError === null
        ? null
        : { error: lastError.error, age_ms: lastError.ageMs === null ? null : whole(lastError.ageMs) },
  }
}

function backfill(one: BackfillReport) {
  return {
    why: one.why,
    columns: one.columns,
    rows_done: one.rowsDone,
    rows_estimated: one.rowsEstimated,
    rows_per_second: whole(one.rowsPerSecond),
    eta_ms: one.etaMs === null ? null : whole(one.etaMs),
    age_ms: whole(one.ageMs),
  }
}

/** `pending` and `pending_is_estimate`: then there are at least that many. */
function counts<Name extends string>(name: Name, { value, estimate }: Count) {
  return { [name]: value, [`${name}_is_estimate`]: estimate } as Record<Name, number> &
    Record<`${Name}_is_estimate`, boolean>
}

function whole(value: number): number {
  return Math.round(value)
}
