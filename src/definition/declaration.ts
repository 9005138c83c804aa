/**
 * What defineColumns and defineView return: a token that people export, and that only loadDefinitions can open.
 *
 * It is told from other exports by a private field, so nothing that merely looks like one is taken for a definition. Its
 * facts lack the name, which is the export's and known only after the file ran.
 */
import type { ColumnsDefinition, Definition, ViewDefinition } from './definition.ts'

/** A definition before it has its name. */
export type Unnamed<D extends Definition> = D extends Definition ? Omit<D, 'name'> : never

/** A declared materialization. Export it from a definition file; there is nothing else to do with it. */
export class Declaration<D extends Definition = Definition> {
  readonly kind: D['kind']
  readonly #facts: Unnamed<D> | null

  /** `facts` is null for a declaration with mistakes, which were reported elsewhere. */
  constructor(kind: D['kind'], facts: Unnamed<D> | null) {
    this.kind = kind
    this.#facts = facts
    Object.freeze(this)
  }

  /** True for what a define function of this very pgfresh made. */
  static is(value: unknown): value is Declaration {
    return typeof value === 'object' && value !== null && #facts in value
  }

  /** The facts, or null where the declaration had mistakes. */
  static factsOf<D extends Definition>(declaration: Declaration<D>): Unnamed<D> | null {
    return declaration.#facts
  }
}

/** What defineColumns returns. */
export type ColumnsDeclaration = Declaration<ColumnsDefinition>

/** What defineView returns. */
export type ViewDeclaration = Declaration<ViewDefinition>
