/**
 * People's SQL as a scratch transaction needs it where a temporary table stands in for one that is named with its schema:
 * `sales.venue` becomes `pg_temp.venue`. Only what is asked of the server is changed so, never what is stored or run later; where
 * names stand is told by the parse tree. Pure, once the parser is loaded.
 */
import { parseTree, tokensOf } from './parser.ts'

/** A table, by name. */
interface Named {
  readonly schema: string
  readonly name: string
}

/** The text, a query or an expression, with these tables named by the temporary schema. As it was where it can't be parsed. */
export function redirectTables(sql: string, tables: readonly Named[]): string {
  if (tables.length === 0) return sql
  const { tree, before } = parsed(sql)
  const starts = new Set<number>()
  visit(tree, (kind, node) => {
    const schema = kind === 'RangeVar' ? node.schemaname : fieldsOf(node)[0]
    const name = kind === 'RangeVar' ? node.relname : fieldsOf(node)[1]
    const qualified = kind === 'RangeVar' || fieldsOf(node).length > 2
    const location = typeof node.location === 'number' ? node.location : 0
    if (qualified && tables.some((table) => table.schema === schema && table.name === name)) {
      starts.add(location - before)
    }
  })
  if (starts.size === 0) return sql
  const bytes = Buffer.from(sql)
  const schemas = tokensOf(sql).filter((token) => starts.has(token.start))
  const pieces: Buffer[] = []
  let at = 0
  for (const token of schemas) {
    pieces.push(bytes.subarray(at, token.start), Buffer.from('pg_temp'))
    at = token.start + token.bytes
  }
  return Buffer.concat([...pieces, bytes.subarray(at)]).toString()
}

type TreeNode = Readonly<Record<string, unknown>>

/** An expression is parsed behind a SELECT; `before` are the bytes of that. */
function parsed(sql: string): { readonly tree: unknown; readonly before: number } {
  const query = parseTree(sql)
  if (query !== null) return { tree: query, before: 0 }
  const wrapper = 'select (\n'
  return { tree: parseTree(`${wrapper}${sql}\n)`), before: wrapper.length }
}

function visit(value: unknown, found: (kind: 'RangeVar' | 'ColumnRef', node: TreeNode) => void): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    if ((key === 'RangeVar' || key === 'ColumnRef') && typeof inner === 'object' && inner !== null) {
      found(key, inner as TreeNode)
    }
    visit(inner, found)
  }
}

/** Names in a column reference, in order; a star counts as one without a name. */
function fieldsOf(node: TreeNode): (string | undefined)[] {
  const fields = Array.isArray(node.fields) ? (node.fields as readonly { String?: { sval?: string } }[]) : []
  return fields.map((field) => field.String?.sval)
}
