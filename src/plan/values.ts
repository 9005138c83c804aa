/**
 * What a definition computes: its columns with their exact types, and what each of them reads. Asked of the server by scratch views.
 */
import type { Relation } from '../catalog/catalog.ts'
import { displayIdentifier, quoteIdentifier } from '../db/identifier.ts'
import type { ColumnsDefinition } from '../definition/definition.ts'
import { OperatorError, type Place } from '../kernel/errors.ts'
import { type Reads, readsOf } from '../lineage/reads.ts'
import type { OutputColumn, Scratch } from '../lineage/scratch.ts'
import type { PeoplesSql } from '../lineage/sql-error.ts'
import { Mistakes } from './mistakes.ts'
import { requireOneExpression, requireOneSelect } from './one-statement.ts'
import { displayTable } from './target.ts'

/** One column that a definition computes. */
export interface ComputedColumn {
  readonly name: string
  /** What the query gives, with its typmod. */
  readonly type: string
  readonly typeOid: string
  readonly place: Place
}

/** All that a definition computes. */
export interface Computed {
  readonly columns: readonly ComputedColumn[]
  /** Per column for the form `columns`; the one entry of the form `query` is under the empty name. */
  readonly reads: ReadonlyMap<string, Reads>
  /** Names of the scratch views, for EXPLAIN. */
  readonly views: readonly string[]
  /** What the key's columns are called in them, in the key's order. */
  readonly keyNames: readonly string[]
  /** Everything that a query returns, in order; empty for the form `columns`. */
  readonly outputs: readonly OutputColumn[]
}

/** Asks the server about all columns of a definition. */
export async function computeColumns(
  scratch: Scratch,
  definition: ColumnsDefinition,
  target: Relation,
): Promise<Computed> {
  const computed =
    definition.form.kind === 'columns'
      ? await byExpressions(scratch, definition.form, target)
      : await byQuery(scratch, definition.form, target)
  for (const reads of computed.reads.values()) refuseSystemTables(reads, definition)
  return computed
}

async function byExpressions(
  scratch: Scratch,
  form: Extract<ColumnsDefinition['form'], { kind: 'columns' }>,
  target: Relation,
): Promise<Computed> {
  const mistakes = new Mistakes()
  const table = quoteIdentifier(target.name)
  const keys = target.key.map((name) => `${table}.${quoteIdentifier(name)}`).join(', ')
  const keyNames = target.key.map((_, at) => `pgfresh key ${at + 1}`)
  const columns: (ComputedColumn & { readonly view: string })[] = []
  for (const [at, column] of form.columns.entries()) {
    const piece: PeoplesSql = {
      sql: column.sql,
      place: column.place,
      what: `column ${displayIdentifier(column.name)}`,
    }
    const view = `pgfresh_column_${at + 1}`
    try {
      requireOneExpression(piece)
      await scratch.session.run('savepoint pgfresh_column')
      await scratch.view(view, piece, {
        before: `select ${keys}, ((`,
        after: `\n)) from ${scratch.nameOf(target)}`,
        // The server's messages name the column as people do.
        columns: [...keyNames, column.name],
      })
      const output = (await scratch.outputs(view)).at(-1)
      if (output === undefined) throw new RangeError('a scratch view has no columns')
      columns.push({ ...output, name: column.name, place: column.place, view })
    } catch (error) {
      mistakes.keep(error)
      await scratch.session.run('rollback to savepoint pgfresh_column').catch(() => {})
    }
  }
  mistakes.throwIfAny()
  const views = columns.map((column) => column.view)
  const reads = await readsOf(scratch, views)
  for (const column of columns) {
    const tree = reads.get(column.view)?.tree
    const wrong = tree?.outerWindow
      ? 'a window function'
      : tree?.outerSet
        ? 'a function that returns a set'
        : null
    if (wrong === null) continue
    mistakes.add(
      column.place,
      `column ${displayIdentifier(column.name)} is computed by ${wrong} over the rows of ${displayTable(target)}, but a batch holds only some of them`,
      'Put it into a subquery of its own, or use the form `query`.',
    )
  }
  mistakes.throwIfAny()
  return {
    columns: columns.map(({ view: _, ...column }) => column),
    reads: new Map(columns.map((column) => [column.name, orThrow(reads.get(column.view))])),
    views,
    keyNames,
    outputs: [],
  }
}

async function byQuery(
  scratch: Scratch,
  form: Extract<ColumnsDefinition['form'], { kind: 'query' }>,
  target: Relation,
): Promise<Computed> {
  const view = 'pgfresh_query'
  const piece: PeoplesSql = { sql: form.sql, place: form.place, what: 'the query' }
  requireOneSelect(piece)
  await scratch.view(view, piece, { before: '(', after: '\n)' })
  const outputs = await scratch.outputs(view)
  const refuse = (message: string, hint: string) => new OperatorError({ message, hint, place: form.place })
  const returned = outputs.map((output) => displayIdentifier(output.name)).join(', ')
  const missing = target.key.filter((name) => !outputs.some((output) => output.name === name))
  if (missing.length > 0) {
    throw refuse(
      `the query does not return ${missing.map(displayIdentifier).join(', ')}, the primary key of ${displayTable(target)}; it returns ${returned}`,
      `Add it to the select list under that name: select … as ${missing.map(displayIdentifier).join(', … as ')}.`,
    )
  }
  if (outputs.some((output) => output.name === '?column?')) {
    throw refuse('the query returns a column without a name', 'Name it: … as total.')
  }
  const columns = outputs.filter((output) => !target.key.includes(output.name))
  if (columns.length === 0) {
    throw refuse(
      `the query returns nothing but the key of ${displayTable(target)}`,
      'Select the columns to materialize as well.',
    )
  }
  return {
    columns: columns.map((column) => ({ ...column, place: form.place })),
    reads: new Map([['', orThrow((await readsOf(scratch, [view])).get(view))]]),
    views: [view],
    keyNames: target.key,
    outputs,
  }
}

function refuseSystemTables(reads: Reads, definition: ColumnsDefinition): void {
  if (reads.systemTables.length === 0) return
  throw new OperatorError({
    message: `${definition.name} reads ${reads.systemTables.join(', ')}: changes of system tables can't be captured`,
    hint: 'Copy what you need into a table of your own.',
    place: definition.place,
  })
}

function orThrow(reads: Reads | undefined): Reads {
  if (reads === undefined) throw new RangeError('a scratch view has no reads')
  return reads
}
