/**
 * Collects the mistakes of one definition, so that people mend all of them at once.
 */
import { OperatorError, OperatorErrors, type Place } from '../kernel/errors.ts'

/** Mistakes found so far. */
export class Mistakes {
  readonly #found: OperatorError[] = []

  /** Notes a mistake and goes on. */
  add(place: Place, message: string, hint?: string): void {
    this.#found.push(new OperatorError({ message, hint, place }))
  }

  /** Keeps an error that was thrown, if it is people's; anything else is thrown on. */
  keep(error: unknown): void {
    if (error instanceof OperatorError) this.#found.push(error)
    else if (error instanceof OperatorErrors) this.#found.push(...error.errors)
    else throw error
  }

  /** How many there are. */
  get count(): number {
    return this.#found.length
  }

  /** Throws what was found, if anything was. */
  throwIfAny(): void {
    const [first] = this.#found
    if (this.#found.length === 1) throw first
    if (this.#found.length > 1) throw new OperatorErrors(this.#found)
  }
}
