/**
 * kysely's PostgreSQL compiler, printing every value as a literal.
 *
 * Each literal comes out as a token of its own: never glued to the text beside it (`'a'${'b'}` would become one string),
 * never inside somebody's quotes or comment. A value without a literal form stops the compilation with an OperatorError
 * at the line of the nearest template. Used by compile.ts.
 */
import { type OperationNode, PostgresQueryCompiler } from 'kysely'
import { OperatorError, type Place } from '../kernel/errors.ts'
import { type LexicalState, lexicalFacts } from './lexical.ts'
import { literal } from './literal.ts'
import { placeOfTemplate } from './sql.ts'

/** One compiler per text: it knows what is being compiled, for its messages. */
export class LiteralCompiler extends PostgresQueryCompiler {
  readonly #what: string
  readonly #place: Place
  #afterValue = false
  /** Behind the last value: nothing is open there, so that a list of ten thousand values is not read over and over. */
  #plainAt = 0

  /** `what` names the text in messages (`column "total"`); `place` is where it stands if no template says better. */
  constructor(what: string, place: Place) {
    super()
    this.#what = what
    this.#place = place
  }

  /** The text of any expression or query; the place is its template's, where there is one. */
  compileNode(node: OperationNode): { readonly sql: string; readonly place: Place } {
    this.visitNode(node)
    return { sql: this.getSql(), place: placeOfTemplate([node]) ?? this.#place }
  }

  protected override appendValue(value: unknown): void {
    const text = literal(value)
    if (text.sql === undefined) throw this.#mistake(text.problem, text.hint)
    const before = this.getSql()
    const { end } = lexicalFacts(before.slice(this.#plainAt))
    if (end !== 'plain') throw this.#mistake(`a value stands inside ${places[end]}`, hints[end])
    this.append(gluing.test(before.at(-1) ?? ' ') ? ` ${text.sql}` : text.sql)
    this.#afterValue = true
    this.#plainAt = this.getSql().length
  }

  protected override appendImmediateValue(value: unknown): void {
    this.appendValue(value)
  }

  protected override append(text: string): void {
    super.append(this.#afterValue && gluing.test(text.charAt(0)) ? ` ${text}` : text)
    if (text !== '') this.#afterValue = false
  }

  #mistake(problem: string, hint: string): OperatorError {
    return new OperatorError({
      message: `${this.#what}: ${problem}`,
      hint,
      place: placeOfTemplate(this.nodeStack) ?? this.#place,
    })
  }
}

/** What a literal would merge with, if it stood right beside it. */
const gluing = /[\w$'"\u0080-\uffff]/

const insideQuotes = `Values bring their own quotes. Write '%' || \${…} || '%', or for an interval: \${…} * interval '1 minute'.`
const insideComment = 'Take the value out of the comment.'

const places: Readonly<Record<Exclude<LexicalState, 'plain'>, string>> = {
  string: 'quotes',
  identifier: 'double quotes',
  'line comment': 'a comment',
  'block comment': 'a comment',
}

const hints: Readonly<Record<Exclude<LexicalState, 'plain'>, string>> = {
  string: insideQuotes,
  identifier: `For a name write \${sql.id(…)} or \${sql.ref(…)}, which quote it.`,
  'line comment': insideComment,
  'block comment': insideComment,
}
