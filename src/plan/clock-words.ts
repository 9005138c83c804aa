/**
 * Literals that mean another moment each day: `'today'::date` is another date each day, and in the query tree it is today's already.
 * Pure, once the parser is loaded.
 */
import { tokensOf } from '../lineage/parser.ts'

/** Those that stand in these texts, quoted, in lower case, each once. Some may be words like any other. */
export function clockWords(texts: readonly string[]): string[] {
  const words = texts
    .flatMap(tokensOf)
    .map((token) => token.text.toLowerCase())
    .filter((text) => /^'(now|today|tomorrow|yesterday)'$/.test(text))
  return [...new Set(words)]
}
