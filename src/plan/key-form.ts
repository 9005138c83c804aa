/**
 * How a batch hands its keys to a `query`: all at once, or one lateral subquery per key. Neither is right for every query (design
 * section 7.6: 23 ms against 10 on one, 25 to 800 times worse the other way on another), so the planner's estimates decide.
 */
import type { Relation } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { OutputColumn, Scratch } from '../lineage/scratch.ts'
import type { PeoplesSql } from '../lineage/sql-error.ts'
import type { KeyColumn } from '../materialization/compiled.ts'
import { type PlanNode, planOfQuery } from './batch-plans.ts'
import { displayTable } from './target.ts'

/**
 * While a batch is cheap (in the planner's units: some tens of milliseconds) estimates decide nothing: tables that are still empty or
 * were never counted would choose for the years to come.
 */
const cheapBatch = 10_000

/** How much cheaper the other form must be. What is stored stays for longer: estimates move with every ANALYZE, and plans must settle. */
const worthChoosing = 2
const worthChanging = 10

/** What the choice depends on. */
export interface KeyFormArguments {
  readonly target: Relation
  readonly key: readonly KeyColumn[]
  readonly query: PeoplesSql
  /** The form that is stored for the very same query. */
  readonly known: 'any' | 'lateral' | null
  /** What the query returns. */
  readonly outputs: readonly OutputColumn[]
}

/** The form to use. Mistakes that only show here (a key column of a type that can't be compared) are OperatorErrors. */
export async function chooseKeyForm(
  scratch: Scratch,
  { target, key, query, known, outputs }: KeyFormArguments,
): Promise<{ readonly keys: 'any' | 'lateral'; readonly plan: PlanNode }> {
  const planOf = (keys: 'any' | 'lateral') => planOfQuery(scratch, { target, key, sql: query.sql, keys })
  // The keys of one column reach into a grouped subquery as they are; those of several come as a join, which stops before it.
  const first = known ?? (key.length === 1 ? 'any' : 'lateral')
  const other = first === 'any' ? 'lateral' : 'any'
  try {
    const plan = await planOf(first)
    if (plan['Total Cost'] <= cheapBatch) return { keys: first, plan }
    const alternative = await planOf(other)
    const margin = known === null ? worthChoosing : worthChanging
    return alternative['Total Cost'] * margin < plan['Total Cost']
      ? { keys: other, plan: alternative }
      : { keys: first, plan }
  } catch (error) {
    throw sqlstateOf(error) === sqlstate.undefinedFunction
      ? incomparable(error, { target, key, query, outputs })
      : error
  }
}

function incomparable(
  cause: unknown,
  { target, key, query, outputs }: Omit<KeyFormArguments, 'known'>,
): OperatorError {
  const typeOf = (name: string) => outputs.find((output) => output.name === name)?.type ?? ''
  const other = key.filter((column) => typeOf(column.name) !== column.type)
  return new OperatorError({
    message: `the query returns ${other.map(({ name }) => `${displayIdentifier(name)} as ${typeOf(name)}`).join(', ')}, and the primary key of ${displayTable(target)} is ${other.map((column) => column.type).join(', ')}`,
    hint: `Cast it: (…)::${other.map((column) => column.type).join(', (…)::')}.`,
    place: query.place,
    cause,
  })
}
