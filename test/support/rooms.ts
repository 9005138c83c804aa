/**
 * The law of the house: which room of src/ may import which, and through which room each driver-like package enters.
 *
 * A room imports only rooms below it, so that one can be read without those above; no file is on a circle, type imports included;
 * nothing inside goes through the public door. Pure: takes sources, returns what is wrong with them. Called by unit/rooms.test.ts.
 */
import { posix } from 'node:path'
import { parseAst } from 'vitest/node'

/** From top to bottom. A file directly in src/ is a room of its own. */
export const rooms = [
  'main',
  'cli',
  'status',
  'daemon',
  'plan',
  'planner',
  'views',
  'refresh',
  'queue',
  'capture',
  'lineage',
  'catalog',
  'materialization',
  'definition',
  'db',
  'kernel',
] as const

const computedName = 'a computed name'

/** The rooms (or single files) that may import a package. `index.ts` reaches kysely through definition/. */
export const packageDoors: Readonly<Record<string, readonly string[]>> = {
  pg: ['db'],
  'pg-listen': ['daemon'],
  pino: ['kernel/log.ts'],
  'pino-pretty': ['kernel/log.ts'],
  kysely: ['definition', 'db'],
  'libpg-query': ['lineage'],
  cron: ['views'],
  // People's definition files: the only import whose name is known at run time.
  [computedName]: ['definition/load.ts'],
}

/** One source file. `path` is relative to src/, with forward slashes. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

/** One sentence for each import that breaks the law, and for each circle. Empty: all is well. */
export function findWrongImports(files: readonly SourceFile[]): string[] {
  const imports = files.flatMap(specifiersOf)
  const relative = imports.filter(({ specifier }) => specifier.startsWith('.')).map(resolveTarget)
  const packages = imports.filter(({ specifier }) => !/^(\.|node:)/.test(specifier))
  const wrong = [...relative.flatMap(judgeRooms), ...packages.flatMap(judgePackage), ...findCircles(relative)]
  return [...new Set(wrong)]
}

interface FileImport {
  readonly from: string
  readonly to: string
}

function resolveTarget({ from, specifier }: { from: string; specifier: string }): FileImport {
  return { from, to: posix.join(posix.dirname(from), specifier) }
}

function judgeRooms({ from, to }: FileImport): string[] {
  const wrong = (why: string) => [`${from} imports ${to}: ${why}.`]
  const [upper, lower] = [roomOf(from), roomOf(to)]
  if (to.startsWith('../')) return wrong('that is outside of src/')
  if (lower === 'index') return wrong('index.ts is the door for those outside')
  if (upper === 'index' || upper === lower) return []
  if (lower === 'config') return upper === 'cli' ? [] : wrong('config.ts is for cli/ alone')
  if (upper === 'config') return lower === 'kernel' ? [] : wrong('config.ts imports kernel/ alone')
  const [upperRank, lowerRank] = [rankOf(upper), rankOf(lower)]
  for (const [room, rank] of [
    [upper, upperRank],
    [lower, lowerRank],
  ] as const) {
    if (rank === -1) return wrong(`the room ${room} has no place in the order yet`)
  }
  return upperRank < lowerRank ? [] : wrong(`${lower} is above ${upper}`)
}

function judgePackage({ from, specifier }: { from: string; specifier: string }): string[] {
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const doors = packageDoors[name]
  if (doors === undefined) return [`${from} imports ${specifier}: that package has no door yet.`]
  if (doors.includes(from) || doors.includes(roomOf(from))) return []
  return [`${from} imports ${specifier}: ${name} enters through ${doors.join(' and ')} only.`]
}

function roomOf(path: string): string {
  return path.split('/')[0]?.replace(/\.ts$/, '') ?? ''
}

function rankOf(room: string): number {
  return rooms.indexOf(room as (typeof rooms)[number])
}

// Every circle is found from its alphabetically first file, which each then starts with.
function findCircles(imports: readonly FileImport[]): string[] {
  const targets = new Map<string, FileImport[]>()
  for (const one of imports) targets.set(one.from, [...(targets.get(one.from) ?? []), one])
  return [...targets.keys()].sort().flatMap((start) => {
    const circle = pathBetween(start, start, targets)
    return circle === undefined || circle.some((file) => file < start)
      ? []
      : [`Circle: ${circle.join(' -> ')}.`]
  })
}

function pathBetween(
  from: string,
  to: string,
  targets: ReadonlyMap<string, readonly FileImport[]>,
): string[] | undefined {
  const queue = [[from]]
  const seen = new Set<string>()
  for (const path of queue) {
    for (const { to: next } of targets.get(path.at(-1) ?? '') ?? []) {
      if (next === to) return [...path, next]
      if (!seen.has(next)) queue.push([...path, next])
      seen.add(next)
    }
  }
  return undefined
}

// From the syntax tree, so that templates and comments that hold the text of an import don't count.
function specifiersOf({ path, text }: SourceFile): { from: string; specifier: string }[] {
  const found: { from: string; specifier: string }[] = []
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { type, source, argument } = node as { type?: unknown; source?: unknown; argument?: unknown }
    if (typeof type === 'string' && importing.has(type)) {
      const specifier = literalOf(source) ?? literalOf(argument)
      if (specifier !== undefined) found.push({ from: path, specifier })
      else if (type === 'ImportExpression') found.push({ from: path, specifier: computedName })
    }
    for (const child of Object.values(node)) visit(child)
  }
  visit(parseAst(text, { lang: 'ts' }).body)
  return found
}

const importing = new Set([
  'ImportDeclaration',
  'ImportExpression',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'TSImportType',
])

function literalOf(node: unknown): string | undefined {
  const value = typeof node === 'object' && node !== null && 'value' in node ? node.value : undefined
  return typeof value === 'string' ? value : undefined
}
