/**
 * The schedule's row of a declared view: what it should say, and where people have changed it. `enabled` is theirs alone.
 */
import type { Catalog } from '../catalog/catalog.ts'
import { quoteLiteral } from '../db/identifier.ts'
import type { WantedView } from './compile-view.ts'
import { describeTiming, isAbout, rowName, type ScheduleRow } from './schedule-rows.ts'

/** A view beside its row. */
export interface ViewAndRow {
  readonly wanted: WantedView
  readonly stored: { readonly schedule: string } | undefined
  readonly row: ScheduleRow | undefined
}

/** In words, where the row says something else than the definition. */
export function rowDifferences(catalog: Catalog, { wanted, row }: ViewAndRow): string[] {
  if (row === undefined) return []
  const { compiled, timing } = wanted
  const { every, cron, timeZone, maximumExecutionDuration } = timing
  const timed = row.every !== every || row.cron !== cron || row.timeZone !== timeZone
  return [
    ...(isAbout(catalog, row, compiled.view) ? [] : [`named so, and not ${row.name}`]),
    ...(timed ? [`refreshed ${describeTiming(compiled.schedule)}, and not ${differently(row, wanted)}`] : []),
    ...(row.maximumExecutionDuration === maximumExecutionDuration
      ? []
      : [
          `cancelled after ${compiled.schedule.maximumExecutionDuration}, and not ${row.maximumExecutionDuration}`,
        ]),
    ...(row.declaredBy === declaredBy(wanted)
      ? []
      : [`declared by ${declaredBy(wanted)}, and not ${row.declaredBy ?? 'by nobody'}`]),
  ]
}

/** A zone without a cron text changes nothing, but it is none that the definition says. */
function differently(row: ScheduleRow, { timing }: WantedView): string {
  const onlyZone = row.every === timing.every && row.cron === timing.cron
  return onlyZone ? `in time zone ${row.timeZone}` : describeTiming(row)
}

/** What a definition is called in the schedule. */
export function declaredBy({ compiled }: Pick<WantedView, 'compiled'>): string {
  return `${compiled.project}/${compiled.name}`
}

/** Writes the row, with the id that it had, and returns its id: a statement for a WITH. */
export function rowSql(catalog: Catalog, { wanted, stored, row }: ViewAndRow): string {
  const { compiled } = wanted
  const { every, cron, timeZone, maximumExecutionDuration } = compiled.schedule
  const values = [
    every === null ? 'null::interval' : `${quoteLiteral(every)}::interval`,
    cron === null ? 'null' : quoteLiteral(cron),
    quoteLiteral(timeZone),
    `${quoteLiteral(maximumExecutionDuration)}::interval`,
    quoteLiteral(declaredBy(wanted)),
  ].join(', ')
  const columns = 'refresh_interval, cron, time_zone, maximum_execution_duration, declared_by'
  const table = 'pgfresh.materialized_view_refresh_schedule'
  if (row !== undefined && !isAbout(catalog, row, compiled.view)) {
    return `update ${table} set (materialized_view_name, ${columns}) = row(${quoteLiteral(rowName(catalog, compiled.view))}, ${values}) where id = ${Number(row.id)} returning id`
  }
  // As people spelled it. A row that is gone by the time this runs is written again.
  const name = quoteLiteral(row?.name ?? rowName(catalog, compiled.view))
  const id = row?.id ?? stored?.schedule
  return `insert into ${table} as s (${id === undefined ? '' : 'id, '}materialized_view_name, ${columns}) values (${id === undefined ? '' : `${Number(id)}, `}${name}, ${values})
  on conflict (materialized_view_name) do update set (${columns}) = row(${values}) returning s.id`
}
