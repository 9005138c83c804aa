/**
 * What to say when a definition file imports something that isn't there.
 *
 * Node's own message names neither the line nor the file that was meant. Called by module-hooks.ts only; the errors thrown here come
 * out of import() as they are.
 */
import { readFileSync, statSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OperatorError, type Place } from '../kernel/errors.ts'
import { displayFile } from './place.ts'

/** Endings that people leave out, or write as the compiler's output has them. */
const endings = ['.ts', '.mts', '.js', '.mjs', '/index.ts', '/index.js']

/** A relative or absolute import of a file that doesn't exist. */
export function missingFile(parentUrl: string, specifier: string, path: string): OperatorError {
  const meant = endings
    .flatMap((ending) => [`${path}${ending}`, path.replace(/\.m?js$/, ending)])
    .find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile())
  return new OperatorError({
    message: `imports ${JSON.stringify(specifier)}, which is no file`,
    hint:
      meant === undefined
        ? `${displayFile(path)} does not exist.`
        : `Imports name the whole file: write ${JSON.stringify(fromParent(parentUrl, meant))}.`,
    place: placeOfImport(parentUrl, specifier),
  })
}

/** Whatever else kept an import from being found; an OperatorError passes as it is. */
export function failedImport(parentUrl: string, specifier: string, cause: unknown): OperatorError {
  if (cause instanceof OperatorError) return cause
  return new OperatorError({
    message: `imports ${JSON.stringify(specifier)}, which can't be found`,
    hint: "Only 'pgfresh', 'kysely' and Node's own modules are always there; other packages must be installed in a node_modules above the file.",
    place: placeOfImport(parentUrl, specifier),
    cause,
  })
}

/** The line that names the specifier; for want of a parse, the first one with the quoted text on it. */
function placeOfImport(parentUrl: string, specifier: string): Place {
  const file = fileURLToPath(parentUrl)
  const quoted = [`'${specifier}'`, `"${specifier}"`]
  const lines = readFileSync(file, 'utf8').split('\n')
  const named = lines.map((line) => quoted.some((text) => line.includes(text)))
  const imported = named.findIndex(
    (isNamed, index) => isNamed && /\b(from|import)\b/.test(lines[index] ?? ''),
  )
  const found = imported >= 0 ? imported : named.indexOf(true)
  return { file: displayFile(file), line: Math.max(found, 0) + 1 }
}

function fromParent(parentUrl: string, path: string): string {
  const text = relative(dirname(fileURLToPath(parentUrl)), path)
  return text.startsWith('.') ? text : `./${text}`
}
