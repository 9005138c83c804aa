/**
 * What defineColumns returns: a token that people export, and that only loadDefinitions can open.
 *
 * It is told from other exports by a private field, so nothing that merely looks like one is taken for a definition. Its
 * facts lack the name, which is the export's and known only after the file ran.
 */
import type { ColumnsDefinition } from './definition.ts'

/** A definition before it has its name. */
export type UnnamedColumns = Omit<ColumnsDefinition, 'name'>

/** A declared materialization of columns. Export it from a definition file; there is nothing else to do with it. */
export class ColumnsDeclaration {
  readonly kind = 'columns'
  readonly #facts: UnnamedColumns | null

  /** `facts` is null for a declaration with mistakes, which were reported elsewhere. */
  constructor(facts: UnnamedColumns | null) {
    this.#facts = facts
    Object.freeze(this)
  }

  /** True for what defineColumns of this very pgfresh made. */
  static is(value: unknown): value is ColumnsDeclaration {
    return typeof value === 'object' && value !== null && #facts in value
  }

  /** The facts, or null where the declaration had mistakes. */
  static factsOf(declaration: ColumnsDeclaration): UnnamedColumns | null {
    return declaration.#facts
  }
}
