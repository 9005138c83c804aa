/**
 * Where in people's files a call stands.
 *
 * The stack is the only witness of that: a definition is a value, not syntax that we parse. Files loaded as definitions
 * carry a mark in their URL (journal.ts); the innermost marked frame is theirs, even where a package of their own stands
 * in between. Called by declare.ts and by our `sql`, and by load-failure.ts for errors that people's code threw.
 */
import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Place } from '../kernel/errors.ts'

/** A place, and the load it belongs to: null outside loadDefinitions. */
export interface CallSite {
  readonly place: Place
  readonly loadId: string | null
}

/** The query that marks the URL of a file loaded as a definition; its value is the load's id. */
export const markParameter = 'pgfresh-load'

/** A marked URL and a line, anywhere in a stack. Paths may hold spaces (encoded) and parentheses (not encoded). */
const frameOfLoad = new RegExp(`(file://[^\\n]+?\\?${markParameter}=[\\w-]+):(\\d+)`)

/** Deep enough for a generator of definitions that calls through a few functions of its own. */
const framesKept = 50

/** The call of `callee`, seen from within it. */
export function callSite(callee: (...given: never[]) => unknown): CallSite {
  const holder: { stack?: unknown } = {}
  const limit = Error.stackTraceLimit
  const prepare = Error.prepareStackTrace
  // Structured frames, whatever a tool in this process (a source-map hook) makes of stack texts.
  Error.stackTraceLimit = framesKept
  Error.prepareStackTrace = (_error, frames) => frames
  Error.captureStackTrace(holder, callee)
  const frames = holder.stack
  Error.stackTraceLimit = limit
  Error.prepareStackTrace = prepare
  const places = Array.isArray(frames) ? (frames as NodeJS.CallSite[]).map(siteOfFrame) : []
  const sites = places.filter((site) => site !== null)
  return (
    sites.find((site) => site.loadId !== null) ??
    sites[0] ?? { place: { file: 'unknown', line: 1 }, loadId: null }
  )
}

/** The innermost frame of an error's stack that lies in a file of a load (for syntax errors its first line), or null. */
export function thrownAt(error: unknown): Place | null {
  if (!(error instanceof Error)) return null
  const [, url, line] = error.stack?.match(frameOfLoad) ?? []
  return url === undefined ? null : { file: displayFile(url), line: Number(line) }
}

/** A file as people name it: relative to the working directory where it lies beneath it, else absolute. Takes a path or a file URL. */
export function displayFile(pathOrUrl: string): string {
  const path = pathOrUrl.startsWith('file:') ? fileURLToPath(pathOrUrl.replace(/[?#].*$/, '')) : pathOrUrl
  const fromHere = relative(process.cwd(), path)
  return fromHere === '' || fromHere.startsWith(`..${sep}`) || fromHere === '..' ? path : fromHere
}

/** The load that marked the URL, or null. */
export function loadIdOf(url: string): string | null {
  const at = url.indexOf(`?${markParameter}=`)
  return at < 0 ? null : url.slice(at + markParameter.length + 2)
}

function siteOfFrame(frame: NodeJS.CallSite): CallSite | null {
  const file = frame.getFileName()
  if (typeof file !== 'string' || file.startsWith('node:')) return null
  const place = Object.freeze({ file: displayFile(file), line: frame.getLineNumber() ?? 1 })
  return { place, loadId: loadIdOf(file) }
}
