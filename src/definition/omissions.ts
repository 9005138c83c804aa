/**
 * What a folder of definitions holds but does not declare.
 *
 * Silence would hide a forgotten `export` until somebody misses the column. A warning where the rest stands on its own, an
 * error where nothing is left. Called by load.ts.
 */
import { OperatorError, type Place } from '../kernel/errors.ts'
import type { ExportedDeclaration } from './exports.ts'
import { type DefinitionFiles, displayFolder } from './files.ts'
import type { Journal } from './journal.ts'
import { displayFile } from './place.ts'

/** Something in a folder that is probably not what its writer meant, but harms nothing. */
export interface DefinitionWarning {
  readonly message: string
  readonly hint: string
  readonly place: Place
}

/** How to export a definition, by the function that declares it. */
const exportIt = {
  columns: exporting('defineColumns'),
  view: exporting('defineView'),
  either: exporting('defineColumns', 'defineView'),
}

function exporting(...names: [string, ...string[]]): string {
  return `Export what ${names.join(' or ')} returns: export const name = ${names[0]}({ … }), or in an exported array.`
}

/** For a folder without mistakes: declarations that nobody exports, files that declare nothing, files of other kinds. */
export function findOmissions(
  files: DefinitionFiles,
  exported: readonly ExportedDeclaration[],
  journal: Journal,
): readonly DefinitionWarning[] {
  const shown = new Set(files.modules.map(displayFile))
  const forgotten = journal.declared
    .filter(
      ({ declaration, place }) =>
        shown.has(place.file) && !exported.some((one) => one.declaration === declaration),
    )
    .map(({ declaration, place }) => ({
      message: 'this definition is not exported, and does nothing',
      hint: exportIt[declaration.kind],
      place,
    }))
  const speaking = new Set([...exported.map((one) => one.file), ...journal.imported])
  const silent = files.modules
    .filter((file) => !speaking.has(file) && !forgotten.some(({ place }) => place.file === displayFile(file)))
    .map((file) => ({
      message: 'declares nothing',
      hint: 'Export a definition from it, import it from another definition file, or move it out of the folder.',
      place: start(file),
    }))
  const others = files.otherModules.map((file) => ({
    message: 'is not loaded',
    hint: 'Names of definition files end in .ts, .mts, .js or .mjs.',
    place: start(file),
  }))
  return [...forgotten, ...silent, ...others]
}

/** For a folder whose files declare nothing at all. */
export function nothingDeclared(directory: string, files: DefinitionFiles, journal: Journal): OperatorError {
  const folder = displayFolder(directory)
  const [unexported] = journal.declared
  if (unexported !== undefined) {
    return new OperatorError({
      message: `no definition in ${folder} is exported`,
      hint: exportIt[unexported.declaration.kind],
      place: unexported.place,
    })
  }
  return files.modules.length === 0
    ? new OperatorError({
        message: `no definition file in ${folder}`,
        hint: 'Write one there (its name ends in .ts, .mts, .js or .mjs), or name another directory.',
      })
    : new OperatorError({ message: `no file in ${folder} declares anything`, hint: exportIt.either })
}

/** A definition in SQL: read by no one yet, and passing over it would look like a wish to remove it. */
export function refuseSqlFile(file: string): OperatorError {
  return new OperatorError({
    message: "definitions in .sql files aren't supported yet",
    hint: 'Write it in a .ts file: defineColumns({ table: …, query: sql`…` }).',
    place: start(file),
  })
}

function start(file: string): Place {
  return { file: displayFile(file), line: 1 }
}
