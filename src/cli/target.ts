/**
 * From a TARGET as people write it to the materializations on it. Read-only. Used by verify and refresh.
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
  /** At least one. */
  readonly materializations: readonly Compiled[]
}

/** Finds a target by an SQL identifier, resolved through the session's search_path. An OperatorError if nothing is materialized on it. */
export async function findTarget(session: Session, written: string): Promise<Target> {
  const { schema, name } = parseIdentifier(written)
  const [row] = await session.rows(
    `select r.oid::pg_catalog.oid::text as oid, r.oid::pg_catalog.regclass::text as name,
       (select coalesce(pg_catalog.jsonb_agg(m.compiled order by m.id), '[]') from pgfresh.materialization m where m.target = r.oid) as compiled,
       (select coalesce(pg_catalog.jsonb_agg(distinct m.target::pg_catalog.regclass::text), '[]') from pgfresh.materialization m) as targets
     from (select pg_catalog.to_regclass($1)::pg_catalog.oid as oid) r`,
    [quoteQualified(schema, name)],
  )
  if (row === undefined) throw new RangeError('a select without FROM gave no row')
  const targets = JSON.parse(text(row, 'targets')) as string[]
  if (row.oid == null) throw unknown(`there is no table ${written}`, written, targets)
  const materializations = JSON.parse(text(row, 'compiled')) as Compiled[]
  if (materializations.length === 0)
    throw unknown(`nothing is materialized on ${text(row, 'name')}`, written, targets)
  return { oid: text(row, 'oid'), name: text(row, 'name'), materializations }
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
