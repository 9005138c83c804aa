/**
 * From a folder of definition files to definitions.
 *
 * All or nothing: every mistake of the folder is collected and thrown at once, so that people mend them in one go, and a
 * folder that declares nothing is a mistake, never a wish to remove all. Each call reads the files anew. Node keeps every
 * module that it ever loaded, so this is for commands and tests, not for a loop. Called by the commands plan, apply, explain and run --apply.
 */
import { describeOperatorError, type OperatorError, OperatorErrors } from '../kernel/errors.ts'
import { findConflicts } from './conflicts.ts'
import type { Definition } from './definition.ts'
import { type ExportedDeclaration, exportedDeclarations, nameDeclarations } from './exports.ts'
import { findDefinitionFiles } from './files.ts'
import { closeJournal, openJournal } from './journal.ts'
import { explainLoadFailure } from './load-failure.ts'
import { installModuleHooks, markedUrl } from './module-hooks.ts'
import { type DefinitionWarning, findOmissions, nothingDeclared, refuseSqlFile } from './omissions.ts'

/** What a folder of definition files declares. */
export interface LoadedDefinitions {
  /** At least one, in the order they were declared in: files sorted by path, but what a file imports before itself. */
  readonly definitions: readonly Definition[]
  readonly warnings: readonly DefinitionWarning[]
}

/**
 * Loads every `.ts`, `.mts`, `.js` and `.mjs` file beneath the directory, but not `.d.ts`, node_modules and dot-folders.
 * An exported declaration (by name, as the default, or in an exported array) becomes a definition; other exports are
 * ignored. A file without any gets a warning, unless another file of the folder imports it (shared code), and so does a
 * declaration that nobody exports.
 * Throws an OperatorError (no such directory) or OperatorErrors (all mistakes of its files, in the order of places).
 */
export async function loadDefinitions(directory: string): Promise<LoadedDefinitions> {
  const files = findDefinitionFiles(directory)
  installModuleHooks()
  const journal = openJournal()
  try {
    const exported: ExportedDeclaration[] = []
    const failures: OperatorError[] = []
    for (const file of files.modules) {
      try {
        const module: Readonly<Record<string, unknown>> = await import(markedUrl(file, journal))
        exported.push(...exportedDeclarations(file, module))
      } catch (error) {
        failures.push(...explainLoadFailure(error, file, journal.lastRead))
      }
    }
    const definitions = nameDeclarations(exported, journal.declared)
    const mistakes = [
      ...journal.mistakes,
      ...failures,
      ...files.sql.map(refuseSqlFile),
      ...findConflicts(definitions),
    ]
    if (mistakes.length > 0) throw new OperatorErrors(inOrder(mistakes))
    if (definitions.length === 0) throw nothingDeclared(directory, files, journal)
    return { definitions, warnings: findOmissions(files, exported, journal) }
  } finally {
    closeJournal(journal)
  }
}

/** By file and line, each once: a file that fails, fails every file that imports it. */
function inOrder(mistakes: readonly OperatorError[]): OperatorError[] {
  const distinct = new Map(mistakes.map((mistake) => [describeOperatorError(mistake), mistake]))
  return [...distinct.values()].sort(
    (left, right) =>
      compare(left.place?.file ?? '', right.place?.file ?? '') ||
      (left.place?.line ?? 0) - (right.place?.line ?? 0),
  )
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
