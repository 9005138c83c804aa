/**
 * The message for tables that a definition reads and does not declare: which, what of them, and what to write.
 */

import type { Relation } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import type { ColumnsDefinition } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { SourceRead } from './source-reads.ts'
import { displayTable } from './target.ts'

/** One error for all of them. */
export function explainUndeclared(
  definition: ColumnsDefinition,
  target: Relation,
  reads: readonly SourceRead[],
): OperatorError {
  const capturable = reads.filter((read) => read.relation.kind === 'r' || read.relation.kind === 'p')
  const others = reads.filter((read) => !capturable.includes(read))
  const lines = [
    ...capturable.map(
      (read) =>
        `${key(read)}: { via: sql\`${suggestVia(target, read)}\` },  // or 'all' (every row is stale), or 'ignore'`,
    ),
    ...others.map((read) =>
      read.relation.kind === 'm'
        ? `${key(read)}: 'all',  // each refresh of it makes every row stale; or 'ignore'`
        : `${key(read)}: 'ignore',  // no trigger sees its changes: let the values expire`,
    ),
  ]
  return new OperatorError({
    message: `${definition.name} reads what its dependsOn does not name: ${reads.map((read) => describe(target, read)).join('; ')}`,
    hint: [
      `Say how a change there finds the rows of ${displayTable(target)} that it makes stale. For example:`,
      'dependsOn: {',
      ...lines.map((line) => `  ${line}`),
      '}',
    ].join('\n'),
    place: definition.place,
  })
}

function describe(target: Relation, read: SourceRead): string {
  const columns = read.columns.length === 0 ? 'its rows' : read.columns.map(displayIdentifier).join(', ')
  const through = read.through === null ? '' : `; through view ${read.through}`
  const other = read.relation.oid === target.oid ? ' as other rows than its own' : ''
  return `${displayTable(read.relation)}${other} (${columns}${through})`
}

function key(read: SourceRead): string {
  const name = displayTable(read.relation)
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `'${name}'`
}

/** A guess worth reading: by a column that is called after the target and its key, as foreign keys mostly are. */
function suggestVia(target: Relation, read: SourceRead): string {
  const [id] = target.key
  const named = read.relation.columns.find((column) => column.name === `${target.name}_${id}`)
  if (target.key.length === 1 && id !== undefined && named !== undefined) {
    return `select ${displayIdentifier(named.name)} as ${displayIdentifier(id)} from changed`
  }
  const keys = target.key.map((name) => `t.${displayIdentifier(name)}`).join(', ')
  return `select ${keys} from changed c join ${displayTable(target)} t on t.… = c.…`
}
