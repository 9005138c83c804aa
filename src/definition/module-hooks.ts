/**
 * How a definition file's imports resolve, wherever its folder lies.
 *
 * 'pgfresh' and 'kysely' are always the running program's own, so that a folder needs no node_modules and a definition is
 * never made by a second copy of us. Files get their module format from their ending alone: a package.json around them
 * (`"type": "commonjs"`, as npm init writes it) must not decide. Each load marks the URLs of its files, so that a later
 * load sees what changed. Only imports of marked files are touched; everything else in the process goes on as ever.
 */
import { statSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { extname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { failedImport, missingFile } from './imports.ts'
import { type Journal, journalOfUrl } from './journal.ts'
import { markParameter } from './place.ts'

type ResolveHook = NonNullable<Parameters<typeof registerHooks>[0]['resolve']>
type LoadHook = NonNullable<Parameters<typeof registerHooks>[0]['load']>

/** By ending; what stands here gets the load's mark too, so that a second load reads it again. */
const formats: Readonly<Record<string, string>> = {
  '.ts': 'module-typescript',
  '.mts': 'module-typescript',
  '.js': 'module',
  '.mjs': 'module',
  '.json': 'json',
}

/** This room runs as .ts from a checkout and as .js once built; its neighbours have the same ending. */
const ending = extname(fileURLToPath(import.meta.url))
const pgfreshUrl = new URL(`../index${ending}`, import.meta.url).href
const kyselyUrl = new URL(`./kysely${ending}`, import.meta.url).href

let installed = false

/** Registers the hooks, once for the life of the process: Node chains hooks, and a second pair would do the same again. */
export function installModuleHooks(): void {
  if (installed) return
  registerHooks({ resolve, load })
  installed = true
}

/** The URL to import a definition file by, in a given load. */
export function markedUrl(path: string, journal: Journal): string {
  const url = pathToFileURL(path)
  url.search = `?${markParameter}=${journal.id}`
  return url.href
}

const resolve: ResolveHook = (specifier, context, next) => {
  const parent = context.parentURL
  const importing = journalOfUrl(parent)
  const journal = importing ?? journalOfUrl(specifier)
  if (journal === null || parent === undefined) return next(specifier, context)
  if (specifier === 'pgfresh') return next(pgfreshUrl, context)
  if (specifier === 'kysely') return next(kyselyUrl, context)
  if (specifier.startsWith('kysely/')) return next(specifier, { ...context, parentURL: import.meta.url })
  try {
    if (!/^(\.{0,2}\/|file:)/.test(specifier)) return next(specifier, context)
    const path = fileURLToPath(new URL(specifier, parent))
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw missingFile(parent, specifier, path)
    if (importing !== null) importing.imported.add(path)
    const format = formats[extname(path)]
    if (format === undefined) return next(specifier, context)
    return { url: markedUrl(path, journal), format, shortCircuit: true }
  } catch (cause) {
    throw failedImport(parent, specifier, cause)
  }
}

const load: LoadHook = (url, context, next) => {
  const journal = journalOfUrl(url)
  if (journal !== null) journal.lastRead = fileURLToPath(url)
  return next(url, context)
}
