/**
 * Which files of a folder are definition files.
 *
 * Nothing that looks like a definition is passed over in silence: what can't be loaded is an error or a warning. Folders
 * that begin with a dot are skipped (a mounted Kubernetes ConfigMap keeps its old and new data in such), and so is
 * node_modules; links are followed. Called by load.ts.
 */
import { readdirSync, realpathSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { OperatorError } from '../kernel/errors.ts'
import { displayFile } from './place.ts'

/** Absolute paths, each list in the order of its names. */
export interface DefinitionFiles {
  /** To be loaded. */
  readonly modules: readonly string[]
  /** SQL files, which can't be loaded yet. */
  readonly sql: readonly string[]
  /** JavaScript or TypeScript by its ending, but of a kind that is not loaded. */
  readonly otherModules: readonly string[]
}

/** Walks the folder. A missing one, or a file in its place, is an OperatorError: an empty wish is no wish to remove all. */
export function findDefinitionFiles(directory: string): DefinitionFiles {
  const root = resolve(directory)
  const stat = statSync(root, { throwIfNoEntry: false })
  const hint = 'Name the folder of the definition files: --definitions DIR, or PGFRESH_DEFINITIONS.'
  if (stat === undefined) {
    throw new OperatorError({
      message: `the definitions directory ${displayFolder(root)} does not exist`,
      hint,
    })
  }
  if (!stat.isDirectory()) {
    throw new OperatorError({
      message: `${displayFolder(root)} is a file, not a definitions directory`,
      hint,
    })
  }
  const all = [...walk(root, new Set())]
  const ending = (pattern: RegExp) => all.filter((file) => pattern.test(file))
  return {
    modules: ending(/(?<!\.d)\.m?[jt]s$/),
    sql: ending(/\.sql$/),
    otherModules: ending(/(?<!\.d)\.(c[jt]s|[jt]sx)$/),
  }
}

/** A folder as people name it. */
export function displayFolder(path: string): string {
  const shown = displayFile(resolve(path))
  return shown === process.cwd() ? '.' : shown
}

/** Depth first, in the order of code units, whatever the locale. `seen` ends circles of links. */
function* walk(folder: string, seen: Set<string>): Generator<string> {
  const real = realpathSync(folder)
  if (seen.has(real)) return
  seen.add(real)
  for (const name of entries(folder).sort()) {
    if (name.startsWith('.') || name === 'node_modules') continue
    const path = join(folder, name)
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat?.isDirectory()) yield* walk(path, seen)
    else if (stat?.isFile()) yield path
  }
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (cause) {
    throw new OperatorError({
      message: `can't read the directory ${displayFolder(folder)}: ${cause instanceof Error ? cause.message : cause}`,
      hint: 'Let the user that pgfresh runs as read it.',
      cause,
    })
  }
}
