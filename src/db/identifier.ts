/**
 * Names and texts between people, SQL and us.
 *
 * Whatever ends up inside SQL is quoted here and nowhere else, by PostgreSQL's lexical rules; what people write as an
 * SQL identifier (`venue`, `sales."Order"`) is read here by the same rules. Text literals mean the same whether
 * standard_conforming_strings is on or off. Used by every room that writes SQL or prints a name.
 */
import { OperatorError } from '../kernel/errors.ts'

/** A name read from SQL, folded and unquoted. `schema` is null where none was written. */
export interface QualifiedName {
  readonly schema: string | null
  readonly name: string
}

/** PostgreSQL cuts longer names without an error (NAMEDATALEN 64, one byte for the end). */
export const maxIdentifierBytes = 63

/** Length of a name as PostgreSQL counts it: bytes of UTF-8. */
export function identifierBytes(name: string): number {
  return Buffer.byteLength(name, 'utf8')
}

/** `a"b` becomes `"a""b"`. Always quotes, so that no keyword and no capital needs thought. */
export function quoteIdentifier(name: string): string {
  return `"${withoutNul(name).replaceAll('"', '""')}"`
}

/** `"schema"."name"`, or just `"name"` where the schema is null. */
export function quoteQualified(schema: string | null, name: string): string {
  return schema === null ? quoteIdentifier(name) : `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

/**
 * A text literal. A backslash makes it an escape string, which is read alike whatever standard_conforming_strings is;
 * its `E` gets a space in front, so that it never joins a word before it.
 */
export function quoteLiteral(text: string): string {
  const quoted = withoutNul(text).replaceAll("'", "''")
  return quoted.includes('\\') ? ` E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`
}

/** A text[] as PostgreSQL reads it, to be quoted as a literal or bound as a value: `{"a","b"}`. */
export function textArray(values: readonly string[]): string {
  const elements = values.map(
    (value) => `"${withoutNul(value).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`,
  )
  return `{${elements.join(',')}}`
}

/** The name as people write it: quoted only where PostgreSQL would not read it back without. For messages. */
export function displayIdentifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !reservedWords.has(name) ? name : quoteIdentifier(name)
}

/** `sales."Order"`, for messages. */
export function displayQualified(schema: string | null, name: string): string {
  return schema === null ? displayIdentifier(name) : `${displayIdentifier(schema)}.${displayIdentifier(name)}`
}

/** One part: quoted with doubled quotes inside, or a bare word. Bytes above 127 are letters to PostgreSQL. */
const part = /\s*(?:"((?:[^"]|"")+)"|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*))\s*/y

/**
 * Reads `venue`, `Venue` (the same), `sales."Order"`. Bare parts fold to lower case, ASCII letters only, as in a UTF-8
 * database; reserved words pass. Anything else, a third part or a part over 63 bytes is an OperatorError without a place.
 */
export function parseIdentifier(text: string): QualifiedName {
  const parts: string[] = []
  let at = 0
  do {
    part.lastIndex = at
    const found = part.exec(text)
    if (found === null) throw notAName(text)
    at = part.lastIndex
    parts.push(
      found[1]?.replaceAll('""', '"') ?? (found[2] ?? '').replace(/[A-Z]/g, (letter) => letter.toLowerCase()),
    )
  } while (text[at++] === '.')
  if (at <= text.length || text.includes('\0')) throw notAName(text)
  const [first, second] = parts
  if (first === undefined || parts.length > 2) throw tooManyParts(text)
  for (const name of parts) if (identifierBytes(name) > maxIdentifierBytes) throw tooLong(name)
  return Object.freeze(second === undefined ? { schema: null, name: first } : { schema: first, name: second })
}

function notAName(text: string): OperatorError {
  return new OperatorError({
    message: `${JSON.stringify(text)} is not a name as SQL writes it`,
    hint: 'Write name or schema.name; put parts with capitals, spaces or other signs in double quotes: sales."Order".',
  })
}

function tooManyParts(text: string): OperatorError {
  return new OperatorError({
    message: `${JSON.stringify(text)} has more than two parts`,
    hint: 'Write name or schema.name: the database is the one that pgfresh is connected to.',
  })
}

function tooLong(name: string): OperatorError {
  return new OperatorError({
    message: `the name ${JSON.stringify(name)} has ${identifierBytes(name)} bytes, and PostgreSQL keeps ${maxIdentifierBytes}`,
    hint: 'Write the name as the database has it, which is the shorter one.',
  })
}

function withoutNul(text: string): string {
  if (!text.includes('\0')) return text
  throw new OperatorError({
    message: `${JSON.stringify(text)} holds a NUL character, which PostgreSQL can't store`,
    hint: 'Take the character U+0000 out of the text.',
  })
}

/** Words that can't be a bare name of a table or column (reserved, or reserved but for functions and types; PostgreSQL 14 to 18). */
const reservedWords: ReadonlySet<string> = new Set(
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
  concurrently constraint create cross current_catalog current_date current_role current_schema current_time
  current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from
  full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime
  localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning
  right select session_user similar some symmetric system_user table tablesample then to trailing true union unique user
  using variadic verbose when where window with`.split(/\s+/),
)
