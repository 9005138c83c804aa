/**
 * From a module's exports to definitions with names.
 *
 * One declaration is one definition, however often and from whichever files it is exported; its name is the best that its
 * exports offer. Called by load.ts.
 */
import { basename, extname } from 'node:path'
import { Declaration } from './declaration.ts'
import type { Definition } from './definition.ts'
import type { Journal } from './journal.ts'
import { displayFile } from './place.ts'

/** One declaration under one export of one file. */
export interface ExportedDeclaration {
  readonly declaration: Declaration
  readonly file: string
  readonly name: string
  readonly by: 'name' | 'default' | 'array'
}

/** The declarations that a file exports: by name, as the default (called after the file), or in an array (`counts[0]`). */
export function exportedDeclarations(
  file: string,
  module: Readonly<Record<string, unknown>>,
): readonly ExportedDeclaration[] {
  const found: ExportedDeclaration[] = []
  for (const [exportName, value] of Object.entries(module)) {
    const isDefault = exportName === 'default'
    const name = isDefault ? basename(file, extname(file)) : exportName
    if (Declaration.is(value)) {
      found.push({ declaration: value, file, name, by: isDefault ? 'default' : 'name' })
    } else if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) {
        if (Declaration.is(item))
          found.push({ declaration: item, file, name: `${name}[${index}]`, by: 'array' })
      }
    }
  }
  return found
}

/** The definitions in the order they were declared in, without those that had mistakes or weren't exported. */
export function nameDeclarations(
  exported: readonly ExportedDeclaration[],
  declared: Journal['declared'],
): readonly Definition[] {
  return declared.flatMap(({ declaration, place }) => {
    const facts = Declaration.factsOf(declaration)
    const [best] = exported
      .filter((candidate) => candidate.declaration === declaration)
      .sort((left, right) => rank(left, place.file) - rank(right, place.file))
    return facts === null || best === undefined ? [] : [Object.freeze({ ...facts, name: best.name })]
  })
}

/** A re-export elsewhere names less well than the declaring file; an explicit name better than a file's or an index. */
function rank(candidate: ExportedDeclaration, declaredIn: string): number {
  const away = displayFile(candidate.file) === declaredIn ? 0 : kinds.length
  return away + kinds.indexOf(candidate.by)
}

const kinds: readonly ExportedDeclaration['by'][] = ['name', 'default', 'array']
