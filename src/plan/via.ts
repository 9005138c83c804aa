/**
 * Routes written by hand: what a `via` names of `changed`, what it returns, and which tables it walks over.
 */
import { columnOf, type Relation } from '../catalog/catalog.ts'
import { displayIdentifier, quoteIdentifier } from '../db/identifier.ts'
import { OperatorError, type Place } from '../kernel/errors.ts'
import { type Reads, readsOf } from '../lineage/reads.ts'
import type { Scratch } from '../lineage/scratch.ts'
import { displayTable } from './target.ts'

/** A `via`, understood. */
export interface UnderstoodVia {
  /** Columns of the source that its triggers must log. */
  readonly logs: readonly string[]
  /** Oids of the tables that the route walks over on its way to the target. */
  readonly walks: readonly string[]
}

/** What the server says of a via. `at` makes the scratch names differ. */
export async function understandVia(
  scratch: Scratch,
  args: {
    readonly source: Relation
    readonly target: Relation
    readonly sql: string
    readonly place: Place
    /** The source as the definition writes it. */
    readonly written: string
    readonly at: number
  },
): Promise<UnderstoodVia> {
  const { source, target, place } = args
  const view = `pgfresh_via_${args.at}`
  const changed = `pgfresh_changed_${args.at}`
  const refuse = (message: string, hint: string) => new OperatorError({ message, hint, place })
  await scratch.createTable('changed', source.columns)
  const piece = { sql: args.sql, place, what: `dependsOn ${args.written}` }
  await scratch.view(view, piece, { before: '(', after: '\n)' })
  await scratch.session.run(`alter table pg_temp.changed rename to ${quoteIdentifier(changed)}`)

  const outputs = (await scratch.outputs(view)).map((output) => output.name)
  const missing = target.key.filter((name) => !outputs.includes(name))
  if (missing.length > 0) {
    throw refuse(
      `dependsOn ${args.written}: its via returns ${outputs.map(displayIdentifier).join(', ')}, and not ${missing.map(displayIdentifier).join(', ')}, the primary key of ${displayTable(target)}`,
      `A via returns the keys that a change makes stale, under the key's own names: select … as ${target.key.map(displayIdentifier).join(', … as ')} from changed.`,
    )
  }
  const reads = (await readsOf(scratch, [view])).get(view)
  const [row] = await scratch.session.rows('select pg_catalog.to_regclass($1)::oid as oid', [
    `pg_temp.${changed}`,
  ])
  const logs = reads === undefined ? [] : namedColumns(reads, row?.oid ?? '', source)
  const virtual = logs.find((name) => columnOf(source, name)?.generated === 'virtual')
  if (virtual !== undefined) {
    throw refuse(
      `dependsOn ${args.written}: its via reads ${displayIdentifier(virtual)}, a virtual generated column that triggers can't see`,
      'Use the columns that it is generated from.',
    )
  }
  return { logs, walks: [...(reads?.tables.keys() ?? [])].filter((oid) => oid !== row?.oid) }
}

/** Names of the columns that are read of `changed`, which has the source's columns in the same order, but no dropped ones. */
function namedColumns(reads: Reads, oid: string, source: Relation): string[] {
  const read = reads.tables.get(oid)?.columns ?? new Set<number>()
  return source.columns.filter((_, at) => read === 'all' || read.has(at + 1)).map((column) => column.name)
}
