/**
 * Steps on the unique index of a view that exists: a new view gets it when it is made, and one that is built anew from the daemon.
 */
import type { Relation } from '../catalog/catalog.ts'
import { displayIdentifier, quoteIdentifier, quoteQualified } from '../db/identifier.ts'
import { setLocal } from '../db/transaction.ts'
import { keyIndexName } from '../views/key-index.ts'
import type { Step } from './steps.ts'
import { displayTable } from './target.ts'
import type { ViewRegistration } from './view-registration.ts'

/** Makes the index that the key asks for, then drops those that we made for other keys. */
export function indexSteps({ wanted }: ViewRegistration): Step[] {
  const { relation, compiled } = wanted
  if (relation.planned || wanted.unbuilt) return []
  const name = keyIndexName(relation.name)
  const fitting = relation.uniques.filter(({ whole, columns }) => whole && isKey(columns, compiled.key))
  const needed = compiled.key.length > 0 && fitting.length === 0
  const ours = relation.uniques.map((index) => index.name).filter((one) => isOurs(one, relation))
  const old = ours.filter((one) => !fitting.some((index) => index.name === one))
  const dropped = old.map((one) => (needed && one === name ? oldName(relation) : one))
  return [
    ...(needed ? [createStep(relation, compiled.key, old.includes(name) ? name : null)] : []),
    ...dropped.map((one) => dropStep(relation, one)),
  ]
}

function isKey(columns: readonly string[], key: readonly string[]): boolean {
  return key.length > 0 && columns.length === key.length && key.every((column) => columns.includes(column))
}

function isOurs(index: string, relation: Relation): boolean {
  return index.endsWith('_pgfresh_key') || index === oldName(relation)
}

/** What an index that is about to be dropped is called while the new one is built. */
function oldName({ oid }: Relation): string {
  return `pgfresh_old_key_${Number(oid)}`
}

function createStep(relation: Relation, key: readonly string[], inTheWay: string | null): Step {
  const view = displayTable(relation)
  const columns = key.map(quoteIdentifier).join(', ')
  return {
    kind: 'index-view',
    sign: '+',
    object: view,
    description: `create a unique index on ${view} (${key.map(displayIdentifier).join(', ')})`,
    // Refreshes wait, readers don't.
    lock: { mode: 'SHARE', on: view, relations: [relation.oid] },
    statements: [
      // It takes as long as it takes.
      setLocal({ statement_timeout: '0' }),
      ...(inTheWay === null
        ? []
        : [
            `alter index ${quoteQualified(relation.schema, inTheWay)} rename to ${quoteIdentifier(oldName(relation))}`,
          ]),
      `create unique index ${quoteIdentifier(keyIndexName(relation.name))} on ${quoteQualified(relation.schema, relation.name)} (${columns})`,
    ],
    countsEpoch: false,
    id: JSON.stringify(['index-view', relation.schema, relation.name, key]),
  }
}

function dropStep(relation: Relation, index: string): Step {
  const view = displayTable(relation)
  return {
    kind: 'index-view',
    sign: '-',
    object: view,
    description: `drop the unique index of ${view}, which is no longer its key`,
    lock: { mode: 'ACCESS EXCLUSIVE', on: view, relations: [relation.oid] },
    statements: [`drop index if exists ${quoteQualified(relation.schema, index)}`],
    countsEpoch: false,
    id: JSON.stringify(['drop-index', relation.schema, relation.name]),
  }
}
