/**
 * Definitions that can't be compiled because each reads a column that another one of them would add: a circle, and the server
 * can only say that the columns don't exist. Told by names, from the parse trees; where that finds nothing, the server's words stand.
 */
import { displayIdentifier, parseIdentifier } from '../db/identifier.ts'
import type { ColumnsDefinition, Definition } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import { parseTree } from '../lineage/parser.ts'

/** The circle among these definitions, as a mistake; null if there is none. */
export function findUnbornCycle(failed: readonly Definition[]): OperatorError | null {
  const nodes = failed.map(namesOf)
  const feeds = (node: Names, reader: Names) =>
    node !== reader &&
    reader.tables.has(node.table) &&
    node.columns.some((column) => reader.mentioned.has(column))
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
  if (cycle === undefined || first === undefined) return null
  const labels = cycle.map((node, at) => {
    const reader = cycle[at + 1] ?? cycle[1]
    const column = node.columns.find((name) => reader?.mentioned.has(name)) ?? ''
    return `${displayIdentifier(node.table)}.${displayIdentifier(column)}`
  })
  return new OperatorError({
    message: `these materialized columns are computed from each other: ${labels.join(' → ')}`,
    hint: 'Compute one of them from the tables that the others are computed from.',
    place: first.definition.place,
  })
}

interface Names {
  readonly definition: ColumnsDefinition
  /** The target, without its schema. */
  readonly table: string
  /** Columns that it would add. */
  readonly columns: readonly string[]
  /** Tables that its SQL names. */
  readonly tables: ReadonlySet<string>
  /** Columns that its SQL names. */
  readonly mentioned: ReadonlySet<string>
}

function namesOf(definition: ColumnsDefinition): Names {
  const { form } = definition
  const texts = form.kind === 'query' ? [form.sql] : form.columns.map((column) => `select (${column.sql}\n)`)
  const trees = JSON.stringify(texts.map(parseTree))
  const all = (pattern: RegExp) =>
    new Set([...trees.matchAll(pattern)].map((match) => JSON.parse(`"${match[1]}"`) as string))
  const { name: table } = parseIdentifier(definition.table)
  return {
    definition,
    table,
    columns:
      form.kind === 'columns'
        ? form.columns.map((column) => column.name)
        : [...all(/"ResTarget":\{"name":"((?:[^"\\]|\\.)*)"/g)],
    tables: all(/"relname":"((?:[^"\\]|\\.)*)"/g).add(table),
    mentioned: all(/"sval":"((?:[^"\\]|\\.)*)"/g),
  }
}
