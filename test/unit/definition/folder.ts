/**
 * Real folders of definition files for the tests of this room, outside the repository, removed when the test is over.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { ColumnsDefinition } from '../../../src/definition/definition.ts'
import { type LoadedDefinitions, loadDefinitions } from '../../../src/definition/load.ts'
import { describeOperatorError, OperatorError, OperatorErrors } from '../../../src/kernel/errors.ts'

/** A new folder with these files (relative path to text); its absolute path. */
export function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'pgfresh-definitions-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) write(folder, name, text)
  return folder
}

/** Writes one file, making its folders. */
export function write(folder: string, name: string, text: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), text)
}

/** Loads a folder of these files. */
export async function load(files: Readonly<Record<string, string>>): Promise<LoadedDefinitions> {
  return loadDefinitions(folderOf(files))
}

/** Loads a folder of these files; what defineColumns made of it. */
export async function loadColumns(files: Readonly<Record<string, string>>): Promise<{
  readonly definitions: readonly ColumnsDefinition[]
  readonly warnings: LoadedDefinitions['warnings']
}> {
  const loaded = await load(files)
  return { ...loaded, definitions: columnsOf(loaded) }
}

/** What defineColumns made of a folder. */
export function columnsOf({ definitions }: LoadedDefinitions): readonly ColumnsDefinition[] {
  return definitions.filter((definition) => definition.kind === 'columns')
}

/** What people see of a folder that can't be loaded: each error as it is printed, without the folder's own path. */
export async function mistakesOf(files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const folder = folderOf(files)
  return printed(await caught(() => loadDefinitions(folder)), folder)
}

/** The same for a file `a.ts` that exports one call of a define function with these options, on line 2. */
export async function mistakesOfOptions(
  options: string,
  define: 'defineColumns' | 'defineView' = 'defineColumns',
): Promise<readonly string[]> {
  return mistakesOf({
    'a.ts': `import { ${define}, sql } from 'pgfresh'\nexport const a = ${define}(${options})\n`,
  })
}

/** What a failing call threw. */
export async function caught(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

/** An OperatorError, or several, as people see them. Anything else is thrown on. */
export function printed(error: unknown, folder: string): readonly string[] {
  if (!(error instanceof OperatorError) && !(error instanceof OperatorErrors)) throw error
  const errors = error instanceof OperatorErrors ? error.errors : [error]
  return errors.map((one) =>
    describeOperatorError(one).replaceAll(`${folder}/`, '').replaceAll(folder, 'FOLDER'),
  )
}
