/**
 * From what people wrote (a `sql` template, a kysely builder, a function that returns one) to text.
 *
 * Nothing is executed: the `db` that functions get compiles, and its driver answers nothing. The text that comes out is one
 * read-only statement or expression that can stand between parentheses: it leaves no quote or comment open and holds no
 * semicolon. People's SQL is never edited; at most a line break is added behind a closing line comment. Called by
 * the readers of options.
 */
import {
  DummyDriver,
  type Expression,
  Kysely,
  type OperationNode,
  PostgresAdapter,
  PostgresIntrospector,
} from 'kysely'
import { OperatorError, type Place } from '../kernel/errors.ts'
import { type LexicalState, lexicalFacts } from './lexical.ts'
import { describeValue } from './literal.ts'
import { LiteralCompiler } from './literal-compiler.ts'
import { thrownAt } from './place.ts'

/** Tables and columns of any name: what `db` knows unless people give it a type of their own. */
export type AnyDatabase = Record<string, Record<string, unknown>>

/** Text ready to be stored, and where it stands. */
export interface CompiledSql {
  readonly sql: string
  readonly place: Place
}

/** Where the text comes from, for messages. */
export interface SqlContext {
  /** `column "total"`, `query`, `dependsOn "rate"`. */
  readonly what: string
  readonly place: Place
}

/**
 * An expression for one column. A builder of a SELECT gets parentheses, as a scalar subquery; a template is taken as it
 * stands. Throws an OperatorError for what is not an expression.
 */
export function compileExpression(source: unknown, context: SqlContext): CompiledSql {
  const node = nodeOf(source, context)
  const { sql, place, first } = compile(node, context)
  if (node.kind === 'SelectQueryNode') return { sql: `(${sql})`, place }
  if (/^(select|with|table)$/.test(first)) {
    throw new OperatorError({
      message: `${context.what} is a whole query, not an expression`,
      hint: 'Put it in parentheses: sql`(select …)`.',
      place,
    })
  }
  return { sql, place }
}

/** One SELECT (or WITH … SELECT, VALUES). Throws an OperatorError for anything else that can be told without a parse. */
export function compileQuery(source: unknown, context: SqlContext): CompiledSql {
  const node = nodeOf(source, context)
  const { sql, place, first } = compile(node, context)
  if (node.kind === 'SelectQueryNode' || /^(select|with|table|values|\()$/.test(first)) return { sql, place }
  throw new OperatorError({
    message: `${context.what} is not a SELECT`,
    hint: 'Write one statement that begins with select or with.',
    place,
  })
}

function nodeOf(source: unknown, context: SqlContext): OperationNode {
  const built = isExpression(source) || typeof source !== 'function' ? source : callBuilder(source, context)
  if (!isExpression(built)) throw notSql(built, typeof source === 'function', context)
  const node = built.toOperationNode()
  if (node.kind === 'AliasNode') {
    throw new OperatorError({
      message: `${context.what} has an alias`,
      hint: 'Leave .as(…) out: a column gets its name from its key.',
      place: context.place,
    })
  }
  if (/^(Insert|Update|Delete|Merge)QueryNode$/.test(node.kind)) {
    throw new OperatorError({
      message: `${context.what} writes to a table`,
      hint: 'Definitions only read: write a SELECT.',
      place: context.place,
    })
  }
  return node
}

function callBuilder(source: object, context: SqlContext): unknown {
  const db = new Kysely<AnyDatabase>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (kysely) => new PostgresIntrospector(kysely),
      createQueryCompiler: () => new LiteralCompiler(context.what, context.place),
    },
  })
  try {
    return (source as (db: Kysely<AnyDatabase>) => unknown)(db)
  } catch (cause) {
    if (cause instanceof OperatorError) throw cause
    throw new OperatorError({
      message: `${context.what}: its function failed: ${cause instanceof Error ? cause.message : describeValue(cause)}`,
      hint: 'It is called once, when the file is loaded, with a kysely that builds queries and runs none.',
      place: thrownAt(cause) ?? context.place,
      cause,
    })
  }
}

function compile(node: OperationNode, context: SqlContext): CompiledSql & { readonly first: string } {
  const { sql, place } = new LiteralCompiler(context.what, context.place).compileNode(node)
  const { end, semicolon, first } = lexicalFacts(sql)
  const mistake = (message: string, hint: string) =>
    new OperatorError({ message: `${context.what} ${message}`, hint, place })
  if (first === '') throw mistake('is empty', 'Write SQL between the backticks.')
  if (semicolon) throw mistake('holds a semicolon', 'Write one statement, and no semicolon behind it.')
  if (end === 'line comment') return { sql: `${sql}\n`, place, first }
  if (end !== 'plain') throw mistake(`ends inside ${openEnds[end]}`, 'Close it.')
  return { sql, place, first }
}

const openEnds: Readonly<Record<Exclude<LexicalState, 'plain' | 'line comment'>, string>> = {
  string: 'a quoted string',
  identifier: 'a double-quoted name',
  'block comment': 'a /* comment',
}

function isExpression(value: unknown): value is Expression<unknown> {
  return (
    (typeof value === 'object' || typeof value === 'function') &&
    value !== null &&
    'toOperationNode' in value &&
    typeof value.toOperationNode === 'function'
  )
}

function notSql(value: unknown, returned: boolean, context: SqlContext): OperatorError {
  const what = returned ? `${context.what}: its function returned` : `${context.what} is`
  const hint =
    value instanceof Promise
      ? 'Return the builder itself, without .execute() and without async.'
      : typeof value === 'string'
        ? "Write it as SQL: sql`…`, with import { sql } from 'pgfresh'."
        : 'Write sql`…`, or (db) => db.selectFrom(…)….'
  return new OperatorError({
    message: `${what} ${describeValue(value)}, not SQL`,
    hint,
    place: context.place,
  })
}
