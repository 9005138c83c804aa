/**
 * What to say when a definition file could not be loaded.
 *
 * Node tells apart what it must (syntax, strip-only TypeScript, a missing export, an exception), but in words for people
 * who know Node. Each becomes one error at the line in people's own file. Messages of Node are read for hints only.
 * Called by load.ts.
 */
import { OperatorError, OperatorErrors, type Place } from '../kernel/errors.ts'
import { describeValue } from './literal.ts'
import { displayFile, markParameter, thrownAt } from './place.ts'
import { syntaxErrorLine } from './syntax-check.ts'

/** `file` is the file that was imported, `lastRead` the one that Node read last. */
export function explainLoadFailure(
  error: unknown,
  file: string,
  lastRead: string | null,
): readonly OperatorError[] {
  if (error instanceof OperatorError) return [error]
  if (error instanceof OperatorErrors) return error.errors
  const place = thrownAt(error)
  const atStart = { file: displayFile(file), line: 1 }
  if (!(error instanceof Error)) {
    return [failure(`throws ${describeValue(error)}`, evaluated, place ?? atStart, error)]
  }
  const code = 'code' in error ? error.code : undefined
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') return [unsupported(error, place ?? atStart)]
  if (code === 'ERR_INVALID_TYPESCRIPT_SYNTAX') {
    return [failure(`syntax error: ${error.message}`, undefined, place ?? atStart, error)]
  }
  if (error instanceof SyntaxError) return [syntaxError(error, place, lastRead ?? file)]
  const message = `fails while it is loaded: ${error.name}: ${withoutUrls(error.message)}`
  return [failure(message, hintForException(error), place ?? atStart, error)]
}

const evaluated = 'A definition file runs once, from top to bottom, when it is loaded.'

const stripped = 'Definition files run with their types stripped, not compiled: '

/** What can't be stripped, by a word of Node's message for it. */
const unsupportedSyntax: readonly { word: RegExp; what: string; instead: string }[] = [
  { word: /\benum\b/, what: 'an enum', instead: "write const Kind = { a: 'a' } as const instead." },
  { word: /\b(namespace|module)\b/, what: 'a namespace', instead: 'write plain exports instead.' },
  {
    word: /parameter property/,
    what: 'a parameter property',
    instead: 'declare the field, and set it in the constructor.',
  },
  { word: /import equals/, what: 'import … = require(…)', instead: "write import … from '…' instead." },
  { word: /export assignment/, what: 'export = …', instead: 'write export default … instead.' },
  { word: /angle-bracket/, what: 'a type assertion <T>value', instead: 'write value as T instead.' },
]

function unsupported(error: Error, place: Place): OperatorError {
  const known = unsupportedSyntax.find(({ word }) => word.test(error.message))
  return known === undefined
    ? failure(
        error.message,
        `${stripped}leave out what only a compiler can turn into JavaScript.`,
        place,
        error,
      )
    : failure(`${known.what} can't be used here`, `${stripped}${known.instead}`, place, error)
}

/** Without a place in the stack it is V8 that refused the last file read; else it is about an import. */
function syntaxError(error: SyntaxError, place: Place | null, lastRead: string): OperatorError {
  const missing = /^The requested module '(.*)' does not provide an export named '(.*)'$/s.exec(error.message)
  if (place !== null && missing !== null) {
    const [, module = '', name = ''] = missing
    const hint =
      name === 'default'
        ? 'Name what you import: import { … }.'
        : `If it is a type, say so, since types are stripped: import { type ${name} } from '${module}'.`
    return failure(`'${module}' exports no ${name}`, hint, place, error)
  }
  const message = `syntax error: ${withoutUrls(error.message)}`
  if (place !== null) return failure(message, undefined, place, error)
  const found = { file: displayFile(lastRead), line: syntaxErrorLine(lastRead) ?? 1 }
  return failure(message, undefined, found, error)
}

function hintForException(error: Error): string {
  if (error instanceof ReferenceError) {
    if (/^(require|module|exports) is not defined/.test(error.message)) {
      return "Definition files are ES modules, whatever package.json says: write import … from '…' and export const …."
    }
    if (/^__(dirname|filename) is not defined/.test(error.message)) {
      return 'Definition files are ES modules: write import.meta.dirname or import.meta.filename.'
    }
  }
  return evaluated
}

/** Node's messages name modules by URLs that bear a load's mark. */
function withoutUrls(message: string): string {
  return message.replace(new RegExp(`file://[^\\n]+?\\?${markParameter}=[\\w-]+`, 'g'), displayFile)
}

function failure(message: string, hint: string | undefined, place: Place, cause: unknown): OperatorError {
  return new OperatorError({ message, hint, place, cause })
}
