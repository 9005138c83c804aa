/**
 * Which tokens of a definition one column comes from, so that a query that gets one more column makes no work for the others.
 *
 * A column of a plain SELECT comes from its own entry of the select list, the entries of the key, and all that stands around the
 * list. Where entries can lean on each other (DISTINCT, ORDER BY, GROUP BY 2, a star, UNION) it comes from the whole query: never too little.
 */
import type { ColumnsForm } from '../definition/definition.ts'
import { normalizedSql } from './fingerprint.ts'
import { parseTree, type Token, tokensOf } from './parser.ts'

/** The parts that a column comes from. `outputs` are the names that the query returns, in order; `key` those of the target's key. */
export function columnTokens(
  form: ColumnsForm,
  column: string,
  { outputs, key }: { readonly outputs: readonly string[]; readonly key: readonly string[] },
): string[] {
  if (form.kind === 'columns') {
    const expression = form.columns.find((one) => one.name === column)
    return expression === undefined ? [] : [normalizedSql(expression.sql)]
  }
  const parts = splitSelectList(form.sql, outputs, key)
  if (parts === null) return [normalizedSql(form.sql)]
  const entries = [...key, column].map((name) => parts.entries[outputs.indexOf(name)] ?? '')
  return [parts.around, ...entries]
}

interface SelectParts {
  /** One for each output, in order. */
  readonly entries: readonly string[]
  /** Everything else. */
  readonly around: string
}

/** The shape of what the parser gives for a SELECT, as far as it is looked at. */
interface SelectTree {
  readonly targetList?: readonly {
    readonly ResTarget?: { readonly location?: number; readonly val?: unknown }
  }[]
  readonly groupClause?: readonly unknown[]
  readonly [clause: string]: unknown
}

/** Clauses that don't let one entry of the select list touch another column. */
const harmless = new Set([
  'targetList',
  'fromClause',
  'whereClause',
  'groupClause',
  'havingClause',
  'withClause',
  'windowClause',
  'limitOption',
  'op',
])

function splitSelectList(
  sql: string,
  outputs: readonly string[],
  key: readonly string[],
): SelectParts | null {
  const statement = parseTree(sql)?.stmts?.[0]?.stmt
  if (statement === undefined || !('SelectStmt' in statement)) return null
  const select = statement.SelectStmt as unknown as SelectTree
  const separable =
    (select.op === undefined || select.op === 'SETOP_NONE') &&
    Object.keys(select).every((clause) => harmless.has(clause)) &&
    groupsByOwnNames(
      select.groupClause ?? [],
      outputs.filter((name) => !key.includes(name)),
    )
  const starts = (select.targetList ?? []).map((target) => target.ResTarget?.location ?? -1)
  const stars = JSON.stringify(select.targetList ?? []).includes('"A_Star"')
  if (!separable || stars || starts.includes(-1) || starts.length !== outputs.length) return null
  return cut(tokensOf(sql), starts)
}

/** False for `group by 2` and for a name that may be another entry's alias. */
function groupsByOwnNames(groups: readonly unknown[], columns: readonly string[]): boolean {
  const text = JSON.stringify(groups)
  const names = [...text.matchAll(/"fields":\[\{"String":\{"sval":"((?:[^"\\]|\\.)*)"\}\}\]/g)].map(
    (match) => JSON.parse(`"${match[1]}"`) as string,
  )
  const ordinals = groups.some((group) => typeof group === 'object' && group !== null && 'A_Const' in group)
  return !ordinals && !names.some((name) => columns.includes(name))
}

function cut(tokens: readonly Token[], starts: readonly number[]): SelectParts {
  const end = endOfList(tokens, starts.at(-1) ?? 0)
  const first = starts[0] ?? 0
  const entries = starts.map((start, at) => {
    const next = starts[at + 1] ?? end
    const own = tokens
      .filter((token) => token.start >= start && token.start < next)
      .map((token) => token.text)
    // The comma behind an entry belongs to the list.
    return (own.at(-1) === ',' ? own.slice(0, -1) : own).join(' ')
  })
  const around = tokens
    .filter((token) => token.start < first || token.start >= end)
    .map((token) => token.text)
  return { entries, around: around.join(' ') }
}

const clauseWords = new Set(['from', 'where', 'group', 'having', 'window'])

/** Where the clause behind the select list begins, in bytes. */
function endOfList(tokens: readonly Token[], lastEntry: number): number {
  let depth = 0
  for (const [at, token] of tokens.entries()) {
    if (token.start < lastEntry) continue
    if (token.text === '(' || token.text === '[') depth += 1
    if (token.text === ')' || token.text === ']') depth -= 1
    const before = tokens[at - 1]?.text
    // `is distinct from`, `as from` and `x.from` begin no clause.
    const begins = clauseWords.has(token.text) && before !== 'distinct' && before !== 'as' && before !== '.'
    if (depth < 0 || (depth === 0 && begins)) return token.start
  }
  return Number.MAX_SAFE_INTEGER
}
