/**
 * Reads the query tree that PostgreSQL keeps of a view (pg_rewrite.ev_action, a pg_node_tree), for what pg_depend leaves out.
 *
 * pg_depend drops a whole-row reference as soon as a column of the same table is named (`select s.id, to_jsonb(s)`), and
 * never shows what is pinned: system tables, now(). The tree shows all of it, already resolved. Nothing of it is ever compared or
 * stored. Pure; called by reads.ts.
 */

/** `{LABEL :field value …}` */
interface TreeNode {
  readonly label: string
  readonly fields: ReadonlyMap<string, readonly TreeValue[]>
}

type TreeValue = string | TreeNode | readonly TreeValue[]

/** What one tree says. Oids are text. */
export interface TreeFacts {
  /** Each mention of a relation in a FROM, with its repetitions. */
  readonly relations: readonly string[]
  /** Relations of which a whole row is used as a value. */
  readonly wholeRows: ReadonlySet<string>
  /** Functions, aggregates, window functions and the functions behind operators. */
  readonly functions: ReadonlySet<string>
  /** current_date, localtimestamp and their like. */
  readonly readsClock: boolean
  /** A window function stands at the outermost level. */
  readonly outerWindow: boolean
  /** A set-returning function stands in the outermost select list. */
  readonly outerSet: boolean
  /** A row of the result may depend on which other rows there are: window functions, DISTINCT ON, LIMIT anywhere. */
  readonly ranks: boolean
  /** Outermost output columns by name: the table column that each one just hands on. */
  readonly origins: ReadonlyMap<string, { readonly relation: string; readonly column: number }>
}

/** Reads one tree. */
export function treeFacts(text: string): TreeFacts {
  const root = parseTree(text)
  const top = outermost(root)
  const facts = {
    relations: [] as string[],
    wholeRows: new Set<string>(),
    functions: new Set<string>(),
    clock: false,
    ranks: false,
  }
  walk(root, [], (node, queries) => {
    if (word(node, 'rtekind') === '0') facts.relations.push(word(node, 'relid'))
    for (const field of functionFields) {
      const oid = word(node, field)
      if (/^[1-9]\d*$/.test(oid)) facts.functions.add(oid)
    }
    if (node.label === 'SQLVALUEFUNCTION' && Number(word(node, 'op')) <= lastClockValue) facts.clock = true
    if (node.label === 'WINDOWFUNC') facts.ranks = true
    if (
      node.label === 'QUERY' &&
      (word(node, 'hasDistinctOn') === 'true' ||
        !isEmpty(node, 'limitCount') ||
        !isEmpty(node, 'limitOffset'))
    ) {
      facts.ranks = true
    }
    if (node.label === 'VAR' && word(node, 'varattno') === '0') {
      for (const oid of rowsOf(node, queries)) facts.wholeRows.add(oid)
    }
  })
  return {
    relations: facts.relations,
    wholeRows: facts.wholeRows,
    functions: facts.functions,
    readsClock: facts.clock,
    outerWindow: top !== undefined && word(top, 'hasWindowFuncs') === 'true',
    outerSet: top !== undefined && word(top, 'hasTargetSRFs') === 'true',
    ranks: facts.ranks,
    origins: new Map(top === undefined ? [] : originsOf(top)),
  }
}

const functionFields = ['funcid', 'aggfnoid', 'winfnoid', 'opfuncid']

/** SQLValueFunctionOp counts CURRENT_DATE (0) to LOCALTIMESTAMP(n) (8), then come roles and schemas. */
const lastClockValue = 8

/** The relations whose whole rows a Var without a column number stands for. */
function rowsOf(variable: TreeNode, queries: readonly TreeNode[]): string[] {
  const query = queries.at(-1 - Number(word(variable, 'varlevelsup')))
  const tables = query === undefined ? [] : list(query, 'rtable').filter(isNode)
  const table = tables[Number(word(variable, 'varno')) - 1]
  if (table === undefined) return []
  const kind = word(table, 'rtekind')
  if (kind === '0') return [word(table, 'relid')]
  // A join's row is made of the rows it joins; which ones is not worth finding out. What a subquery hands on was seen inside it.
  return kind === '2'
    ? tables.filter((one) => word(one, 'rtekind') === '0').map((one) => word(one, 'relid'))
    : []
}

function originsOf(query: TreeNode): (readonly [string, { relation: string; column: number }])[] {
  return list(query, 'targetList')
    .filter(isNode)
    .filter((entry) => word(entry, 'resjunk') !== 'true' && word(entry, 'resorigtbl') !== '0')
    .map((entry) => [
      word(entry, 'resname'),
      { relation: word(entry, 'resorigtbl'), column: Number(word(entry, 'resorigcol')) },
    ])
}

function outermost(value: TreeValue): TreeNode | undefined {
  if (isNode(value)) return value.label === 'QUERY' ? value : undefined
  return typeof value === 'string' ? undefined : value.map(outermost).find((node) => node !== undefined)
}

function walk(
  value: TreeValue,
  queries: readonly TreeNode[],
  visit: (node: TreeNode, queries: readonly TreeNode[]) => void,
): void {
  if (typeof value === 'string') return
  if (!isNode(value)) {
    for (const one of value) walk(one, queries, visit)
    return
  }
  const inside = value.label === 'QUERY' ? [...queries, value] : queries
  visit(value, inside)
  for (const values of value.fields.values()) for (const one of values) walk(one, inside, visit)
}

function isNode(value: TreeValue): value is TreeNode {
  return typeof value === 'object' && 'label' in value
}

function word(node: TreeNode, field: string): string {
  const [value] = node.fields.get(field) ?? []
  return typeof value === 'string' ? value : ''
}

function isEmpty(node: TreeNode, field: string): boolean {
  const [value] = node.fields.get(field) ?? []
  return value === undefined || value === '<>'
}

function list(node: TreeNode, field: string): readonly TreeValue[] {
  const [value] = node.fields.get(field) ?? []
  return value === undefined || typeof value === 'string' || isNode(value) ? [] : value
}

/** Tokens are separated by spaces; a backslash takes the next character's meaning away. */
function parseTree(text: string): TreeValue {
  const tokens = text.match(/[{}()]|(?:\\.|[^\s{}()\\])+/gs) ?? []
  let at = 0
  const value = (): TreeValue => {
    const token = tokens[at++] ?? ''
    if (token === '(') {
      const values: TreeValue[] = []
      while (at < tokens.length && tokens[at] !== ')') values.push(value())
      at += 1
      return values
    }
    return token === '{' ? node() : token.replaceAll(/\\(.)/gs, '$1')
  }
  const node = (): TreeNode => {
    const label = tokens[at++] ?? ''
    const fields = new Map<string, TreeValue[]>()
    let values: TreeValue[] = []
    while (at < tokens.length && tokens[at] !== '}') {
      const token = tokens[at] ?? ''
      if (token.startsWith(':') && token.length > 1) {
        at += 1
        values = []
        fields.set(token.slice(1), values)
      } else values.push(value())
    }
    at += 1
    return { label, fields }
  }
  return value()
}
