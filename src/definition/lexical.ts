/**
 * Where quotes and comments begin and end in a piece of SQL, by PostgreSQL's lexical rules.
 *
 * Just enough to keep three promises of a definition's text: a value was never put inside somebody's quotes, the text
 * can be embedded between parentheses (it leaves nothing open), and it is one statement. Nothing here judges grammar.
 * Called by compile.ts and literal-compiler.ts.
 */

/** What a text ends in: `plain` unless something was left open. */
export type LexicalState = 'plain' | 'string' | 'identifier' | 'line comment' | 'block comment'

/** What was seen in a piece of SQL. */
export interface LexicalFacts {
  readonly end: LexicalState
  /** True if a semicolon stands outside quotes and comments. */
  readonly semicolon: boolean
  /** The first word in lower case (`select`), `(` or another first sign, or empty where the text has no token. */
  readonly first: string
}

/** Token patterns, tried in this order at each position; the first two leave no token. */
const patterns = {
  space: /\s+/y,
  lineComment: /--[^\n\r]*/y,
  blockComment: /\/\*/y,
  escapeString: /[eE]'(?:[^'\\]|\\[\s\S]|'')*('?)/y,
  word: /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y,
  number: /\d[\w.]*/y,
  string: /'(?:[^']|'')*('?)/y,
  identifier: /"(?:[^"]|"")*("?)/y,
  dollarTag: /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y,
  parameter: /\$\d+/y,
  sign: /[\s\S]/y,
} as const

/** Reads the whole text once. A text that ends in an open string reads as `string`, whatever opened it. */
export function lexicalFacts(sql: string): LexicalFacts {
  let at = 0
  let first = ''
  let semicolon = false
  let end: LexicalState = 'plain'
  while (at < sql.length) {
    const { kind, match } = tokenAt(sql, at)
    at += match[0].length
    end = 'plain'
    if (kind === 'space') continue
    if (kind === 'lineComment') {
      if (at === sql.length) end = 'line comment'
      continue
    }
    if (kind === 'blockComment') {
      at = blockCommentEnd(sql, at)
      if (at < 0) return { end: 'block comment', semicolon, first }
      continue
    }
    if (first === '') first = match[0].toLowerCase()
    if (match[0] === ';') semicolon = true
    if (match[1] === '') return { end: kind === 'identifier' ? 'identifier' : 'string', semicolon, first }
    if (kind === 'dollarTag') {
      const close = sql.indexOf(match[0], at)
      if (close < 0) return { end: 'string', semicolon, first }
      at = close + match[0].length
    }
  }
  return { end, semicolon, first }
}

function tokenAt(sql: string, at: number): { kind: keyof typeof patterns; match: RegExpExecArray } {
  for (const kind of Object.keys(patterns) as (keyof typeof patterns)[]) {
    const pattern = patterns[kind]
    pattern.lastIndex = at
    const match = pattern.exec(sql)
    if (match !== null) return { kind, match }
  }
  throw new RangeError(`position ${at} is outside the text`)
}

/** Block comments nest. The position after the end, or -1 where the comment stays open. */
function blockCommentEnd(sql: string, from: number): number {
  let depth = 1
  const edge = /\/\*|\*\//g
  edge.lastIndex = from
  for (let match = edge.exec(sql); match !== null; match = edge.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return edge.lastIndex
  }
  return -1
}
