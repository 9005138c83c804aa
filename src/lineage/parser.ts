/**
 * The one door to libpg-query, PostgreSQL's own scanner and parser.
 * Positions it gives are bytes of UTF-8, and its grammar is that of one release: what the server says decides.
 */
import { loadModule, type ParseResult, parseSync, scanSync } from 'libpg-query'

/** One token: its text (words folded), where it starts, and how long it is as written, in bytes. */
export interface Token {
  readonly text: string
  readonly start: number
  readonly bytes: number
}

/** Loads the parser. Must have been awaited once before anything else here is called; calling it again costs nothing. */
export async function loadParser(): Promise<void> {
  await loadModule()
}

/**
 * The tokens of a text that PostgreSQL accepts, without comments and layout. Words outside quotes are folded to lower case, since
 * SELECT and select are one.
 */
export function tokensOf(sql: string): Token[] {
  return scanSync(sql)
    .tokens.filter((token) => token.tokenName !== 'SQL_COMMENT' && token.tokenName !== 'C_COMMENT')
    .map(({ text, start, end }) => ({
      text: /^[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*$/.test(text) ? text.toLowerCase() : text,
      start,
      bytes: end - start,
    }))
}

/** The parse tree, or null where this release's grammar can't read it. */
export function parseTree(sql: string): ParseResult | null {
  try {
    return parseSync(sql)
  } catch {
    return null
  }
}
