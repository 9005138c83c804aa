/**
 * From what the server says about people's SQL to a message with the file and line where they wrote it.
 * The server counts characters from 1 in the text that was sent; a place counts lines from its template's first.
 */
import { healing, isServerError, type ServerError, sqlstate } from '../db/sqlstate.ts'
import { OperatorError, type Place } from '../kernel/errors.ts'

/** A piece of people's SQL. */
export interface PeoplesSql {
  readonly sql: string
  readonly place: Place
  /** `column country_id`, `the query`, `dependsOn rate`: how a message begins. */
  readonly what: string
}

/** What a view's creation says of aggregates beside plain columns, and of types that no column can have. */
const groupingError = '42803'
const invalidTableDefinition = '42P16'

/**
 * The OperatorError for a failure of a text that holds `piece` behind `before`. Whatever isn't the server's own error is returned as it is.
 * `searchPath` is named in the hint when a table isn't found.
 */
export function explainSqlError(
  error: unknown,
  piece: PeoplesSql,
  before: string,
  searchPath: string,
): unknown {
  // A busy lock is nobody's mistake.
  if (!isServerError(error) || healing(error) === 'retry') return error
  const at = offsetIn(error, before, piece.sql)
  const line = at === null ? null : lineAt(piece.sql, at)
  return new OperatorError({
    message: `${piece.what}: ${error.message}`,
    hint:
      [hintFor(error, searchPath), line === null ? null : `In: ${line.text}`]
        .filter((part) => part !== null)
        .join('\n') || undefined,
    place: line === null ? piece.place : { ...piece.place, line: piece.place.line + line.index },
    cause: error,
  })
}

/** Offset (UTF-16) of the error within people's SQL, or null where the server gave none or it lies outside. */
function offsetIn(error: ServerError, before: string, sql: string): number | null {
  if (error.position === undefined) return null
  const characters = [...before, ...sql].slice(0, Number(error.position) - 1)
  const at = characters.join('').length - before.length
  return at < 0 || at > sql.length ? null : at
}

function lineAt(sql: string, at: number): { readonly index: number; readonly text: string } {
  const start = sql.lastIndexOf('\n', at - 1) + 1
  const end = sql.indexOf('\n', at)
  return {
    index: sql.slice(0, at).split('\n').length - 1,
    text: sql.slice(start, end < 0 ? undefined : end).trim(),
  }
}

function hintFor(error: ServerError, searchPath: string): string | null {
  switch (error.code) {
    case sqlstate.undefinedTable:
      return (
        error.hint ??
        `There is no table or alias of that name in it; tables without a schema are looked up along the search_path ${searchPath}, others are written schema.table.`
      )
    case sqlstate.duplicateColumn:
      return error.hint ?? 'Give each output column a name of its own.'
    case groupingError:
      return (
        error.hint ??
        'An expression is computed for each row: put an aggregate into a subquery, (select count(*) from …).'
      )
    case invalidTableDefinition:
      return error.hint ?? 'Cast it to a type that a column of a table can have.'
    case sqlstate.insufficientPrivilege:
      return error.hint ?? 'Grant the right to the role that pgfresh connects as.'
    default:
      return error.hint ?? error.detail ?? null
  }
}
