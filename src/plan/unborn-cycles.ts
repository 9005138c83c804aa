/**
 * Definitions that can't be compiled because each reads a column or a view that another one of them would add: a circle, and the server
 * can only say that these don't exist. Told by names, from the parse trees; where that finds nothing, the server's words stand.
 */
import { displayIdentifier, parseIdentifier } from '../db/identifier.ts'
import type { Definition } from '../definition/definition.ts'
import type { OperatorError } from '../kernel/errors.ts'
import { parseTree } from '../lineage/parser.ts'
import { computedFromEachOther } from './conflicts.ts'

/** The circle among these definitions, as a mistake; null if there is none. */
export function findUnbornCycle(failed: readonly Definition[]): OperatorError | null {
  const nodes = failed.map(namesOf)
  const feeds = (node: Names, reader: Names) =>
    node !== reader &&
    reader.tables.has(node.table) &&
    (node.columns === null || node.columns.some((column) => reader.mentioned.has(column)))
  const visit = (node: Names, path: readonly Names[]): readonly Names[] | null => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node]
    for (const reader of nodes.filter((one) => feeds(node, one))) {
      const found = visit(reader, [...path, node])
      if (found !== null) return found
    }
    return null
  }
  const cycle = nodes.map((node) => visit(node, [])).find((found) => found !== null)
  const [first] = cycle ?? []
  if (cycle === undefined || cycle === null || first === undefined) return null
  const labels = cycle.map((node, at) => {
    const reader = cycle[at + 1] ?? cycle[1]
    if (node.columns === null) return displayIdentifier(node.table)
    const column = node.columns.find((name) => reader?.mentioned.has(name)) ?? ''
    return `${displayIdentifier(node.table)}.${displayIdentifier(column)}`
  })
  return computedFromEachOther({
    labels,
    hasViews: cycle.some((node) => node.columns === null),
    place: first.definition.place,
  })
}

interface Names {
  readonly definition: Definition
  /** The target or view, without its schema. */
  readonly table: string
  /** Columns that it would add; null: it would add the view itself. */
  readonly columns: readonly string[] | null
  /** Tables that its SQL names. */
  readonly tables: ReadonlySet<string>
  /** Columns that its SQL names. */
  readonly mentioned: ReadonlySet<string>
}

function namesOf(definition: Definition): Names {
  const trees = JSON.stringify(textsOf(definition).map(parseTree))
  const all = (pattern: RegExp) =>
    new Set([...trees.matchAll(pattern)].map((match) => JSON.parse(`"${match[1]}"`) as string))
  const tables = all(/"relname":"((?:[^"\\]|\\.)*)"/g)
  const mentioned = all(/"sval":"((?:[^"\\]|\\.)*)"/g)
  if (definition.kind === 'view') {
    return { definition, table: parseIdentifier(definition.view).name, columns: null, tables, mentioned }
  }
  const { form } = definition
  const { name: table } = parseIdentifier(definition.table)
  const columns =
    form.kind === 'columns'
      ? form.columns.map((column) => column.name)
      : [...all(/"ResTarget":\{"name":"((?:[^"\\]|\\.)*)"/g)]
  return { definition, table, columns, tables: tables.add(table), mentioned }
}

function textsOf(definition: Definition): string[] {
  if (definition.kind === 'view') return [definition.query.sql]
  const { form } = definition
  return form.kind === 'query' ? [form.sql] : form.columns.map((column) => `select (${column.sql}\n)`)
}
