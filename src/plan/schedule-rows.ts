/**
 * The refresh schedule as a plan sees it: rows of declared views, which people may have changed by hand, and people's own.
 */
import { type Catalog, type Relation, relationNamed } from '../catalog/catalog.ts'
import { displayIdentifier, displayQualified, parseIdentifier } from '../db/identifier.ts'
import type { Row, Session } from '../db/session.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { TableName } from '../materialization/compiled.ts'

/** When a view is refreshed. Intervals are text as the server prints them, so that what is equal reads equal. */
export interface Timing {
  readonly every: string | null
  readonly cron: string | null
  readonly timeZone: string
  readonly maximumExecutionDuration: string
}

/** One row. */
export interface ScheduleRow extends Timing {
  readonly id: string
  /** As it was written. */
  readonly name: string
  readonly declaredBy: string | null
}

/** The rows, in the order of their ids; none where our schema (of version `found`) is older than they are. */
export async function readScheduleRows(session: Session, found: number): Promise<ScheduleRow[]> {
  if (found < firstVersion) return []
  const [, rows] = await session.run(`
    set local IntervalStyle = postgres;
    select s.id, s.materialized_view_name as name, s.refresh_interval as every, s.cron, s.time_zone, s.maximum_execution_duration as longest, s.declared_by
    from pgfresh.materialized_view_refresh_schedule s order by s.id`)
  return (rows ?? []).map((row) => ({
    id: text(row, 'id'),
    name: text(row, 'name'),
    every: row.every ?? null,
    cron: row.cron ?? null,
    timeZone: text(row, 'time_zone'),
    maximumExecutionDuration: text(row, 'longest'),
    declaredBy: row.declared_by ?? null,
  }))
}

const firstVersion = 4

/** The relation that a row is about; undefined where there is none, or its name is no name. */
export function relationOfRow(catalog: Catalog, row: ScheduleRow): Relation | undefined {
  const name = nameOfRow(row)
  return name === null ? undefined : relationNamed(catalog, name)
}

/** True if a row is about this view, which needn't exist yet. */
export function isAbout(catalog: Catalog, row: ScheduleRow, view: TableName): boolean {
  const found = relationOfRow(catalog, row)
  if (found !== undefined) return found.schema === view.schema && found.name === view.name
  const name = nameOfRow(row)
  return name !== null && name.name === view.name && (name.schema ?? catalog.path[0]) === view.schema
}

/** How a row names a view: without its schema where that is public, and daemons find it there. */
export function rowName(catalog: Catalog, view: TableName): string {
  const found = relationNamed(catalog, { schema: null, name: view.name })
  const bare = view.schema === 'public' && (found?.schema ?? catalog.path[0]) === 'public'
  return bare ? displayIdentifier(view.name) : displayQualified(view.schema, view.name)
}

function nameOfRow(row: ScheduleRow) {
  try {
    return parseIdentifier(row.name)
  } catch (error) {
    // People's own text. What is wrong with it is shown in the row's last_error.
    if (error instanceof OperatorError) return null
    throw error
  }
}

/** `every 10 minutes`, `at 0 3 * * * (Europe/London)`, `on request`. */
export function describeTiming({ every, cron, timeZone }: Omit<Timing, 'maximumExecutionDuration'>): string {
  if (every !== null) return `every ${every}`
  return cron === null ? 'on request' : `at ${cron} (${timeZone})`
}

function text(row: Row, column: string): string {
  const value = row[column]
  if (value === null || value === undefined) throw new RangeError(`a row of the schedule has no ${column}`)
  return value
}
