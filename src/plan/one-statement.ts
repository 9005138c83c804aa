/**
 * Whether people's SQL is what it is put in the place of: one expression, one SELECT. What the grammar lets pass between parentheses
 * (`1), (2`) is told here, by the parse tree; whether its names mean something is the server's to say.
 */
import { OperatorError } from '../kernel/errors.ts'
import { parseTree } from '../lineage/parser.ts'
import type { PeoplesSql } from '../lineage/sql-error.ts'

/** `1), (2` is no expression, though it stands between parentheses without harm to the grammar. */
export function requireOneExpression(piece: PeoplesSql): void {
  const statements = parseTree(`select (\n${piece.sql}\n)`)?.stmts
  const statement = statements?.[0]?.stmt
  if (
    statements === undefined ||
    (statements.length === 1 &&
      statement !== undefined &&
      'SelectStmt' in statement &&
      isBare(statement.SelectStmt))
  ) {
    return
  }
  throw new OperatorError({
    message: `${piece.what} is not one expression`,
    hint: 'Write one expression for one column.',
    place: piece.place,
  })
}

/** `select (x)` and nothing else. */
function isBare(select: object): boolean {
  const { targetList, ...rest } = select as { readonly targetList?: readonly unknown[] }
  const clauses = Object.entries(rest).filter(([name]) => name !== 'limitOption' && name !== 'op')
  return targetList?.length === 1 && clauses.length === 0
}

/** Throws unless it is one SELECT that only reads. A text that our parser can't read is left to the server. */
export function requireOneSelect(piece: PeoplesSql): void {
  const statements = parseTree(piece.sql)?.stmts
  if (statements === undefined) return
  const statement = statements[0]?.stmt
  const refuse = (message: string, hint: string) => new OperatorError({ message, hint, place: piece.place })
  if (statements.length !== 1 || statement === undefined || !('SelectStmt' in statement)) {
    throw refuse(`${piece.what} is not one SELECT`, 'Write one statement that begins with select or with.')
  }
  const select = statement.SelectStmt as { readonly lockingClause?: unknown; readonly intoClause?: unknown }
  if (select.lockingClause !== undefined)
    throw refuse(
      `${piece.what} locks rows`,
      'Leave FOR UPDATE and its like out: pgfresh locks what it writes.',
    )
  if (/"(?:Insert|Update|Delete|Merge)Stmt":/.test(JSON.stringify(statement)))
    throw refuse(`${piece.what} writes to a table`, 'Definitions only read: write a SELECT.')
  if (select.intoClause !== undefined) throw refuse(`${piece.what} is a SELECT INTO`, 'Leave INTO out.')
}
