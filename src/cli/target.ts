/**
 * From a TARGET as people write it to what is materialized there: columns of a table, or a view of the refresh schedule. Read-only.
 * Used by verify, refresh, pause and resume.
 */
import { displayIdentifier, parseIdentifier, quoteQualified } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { Compiled } from '../materialization/compiled.ts'
import { text } from '../materialization/store.ts'
import { nearest } from './nearest.ts'

/** A target and what is materialized on it. */
export interface Target {
  readonly oid: string
  /** As this session would write it: qualified only where it must be. */
  readonly name: string
  /** Of a table, at least one; none of a view. */
  readonly materializations: readonly Compiled[]
  /** The id of a view's row in the refresh schedule; null for a table. */
  readonly schedule: string | null
  /** Somebody paused it. */
  readonly paused: boolean
}

/** Finds a target by an SQL identifier, resolved through the session's search_path. An OperatorError if nothing is materialized on it. */
export async function findTarget(session: Session, written: string): Promise<Target> {
  const { schema, name } = parseIdentifier(written)
  const [row] = await session.rows(
    `with view as materialized (
       select s.schedule, s.view, s.enabled from pgfresh.view_schedule() s where s.view is not null)
     select r.oid::pg_catalog.oid::text as oid, r.oid::pg_catalog.regclass::text as name,
       (select c.relkind = 'm' from pg_catalog.pg_class c where c.oid = r.oid)::text as is_view,
       (select coalesce(pg_catalog.jsonb_agg(m.compiled order by m.id), '[]') from pgfresh.materialization m where m.target = r.oid) as compiled,
       pgfresh.scheduled(r.oid) as schedule,
       (exists (select from pgfresh.materialization m where m.target = r.oid and m.paused_at is not null)
         or exists (select from view v where v.schedule = pgfresh.scheduled(r.oid) and not v.enabled))::text as paused,
       (select coalesce(pg_catalog.jsonb_agg(distinct t.oid::pg_catalog.regclass::text), '[]')
         from (select m.target as oid from pgfresh.materialization m union all select v.view from view v) t) as targets
     from (select pg_catalog.to_regclass($1)::pg_catalog.oid as oid) r`,
    [quoteQualified(schema, name)],
  )
  if (row === undefined) throw new RangeError('a select without FROM gave no row')
  const targets = JSON.parse(text(row, 'targets')) as string[]
  if (row.oid == null) throw unknown(`there is no table or materialized view ${written}`, written, targets)
  const materializations = JSON.parse(text(row, 'compiled')) as Compiled[]
  const schedule = row.schedule ?? null
  const found = text(row, 'name')
  if (materializations.length === 0 && schedule === null) {
    throw row.is_view === 'true'
      ? unscheduled(found)
      : unknown(`nothing is materialized on ${found}`, written, targets)
  }
  return { oid: text(row, 'oid'), name: found, materializations, schedule, paused: row.paused === 'true' }
}

/** The columns that are materialized on a target, over all its definitions. */
export function materializedColumns(target: Target): readonly string[] {
  return target.materializations.flatMap((compiled) => compiled.columns.map((column) => column.name))
}

/** Checks that each name is a materialized column of the target. An OperatorError for the first that isn't. */
export function checkColumns(target: Target, columns: readonly string[]): void {
  const known = materializedColumns(target)
  const wrong = columns.find((column) => !known.includes(column))
  if (wrong === undefined) return
  const meant = nearest(wrong, known)
  throw new OperatorError({
    message: `${target.name} has no materialized column ${displayIdentifier(wrong)}${meant === null ? '' : `: did you mean ${displayIdentifier(meant)}?`}`,
    hint: `Its materialized columns: ${known.map(displayIdentifier).join(', ')}.`,
  })
}

/** The name as a word of a shell: `venue`, `'sales."Order"'`. For commands that people are told to type. */
export function shellWord(name: string): string {
  return /^[\w.]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`
}

const shownTargets = 20

function unknown(message: string, written: string, targets: readonly string[]): OperatorError {
  const meant = nearest(written, targets)
  const more = targets.length > shownTargets ? ', …' : ''
  const list = targets.slice(0, shownTargets).join(', ')
  return new OperatorError({
    message: `${message}${meant === null || meant === written ? '' : `: did you mean ${meant}?`}`,
    hint:
      targets.length === 0
        ? 'Nothing is materialized in this database yet: declare it in a definition file and run "pgfresh apply".'
        : `Targets in this database: ${list}${more}.`,
  })
}

function unscheduled(view: string): OperatorError {
  return new OperatorError({
    message: `the materialized view ${view} is not in the refresh schedule`,
    hint: 'Insert a row for it into pgfresh.materialized_view_refresh_schedule, or declare it in a definition file and run "pgfresh apply".',
  })
}
