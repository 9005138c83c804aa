/**
 * What every define function does with the options it got.
 *
 * Inside loadDefinitions its mistakes go to the load's journal, so that one run shows those of every definition;
 * anywhere else they are thrown. Called by defineColumns and defineView.
 */
import { OperatorError, OperatorErrors, type Place } from '../kernel/errors.ts'
import { Declaration, type Unnamed } from './declaration.ts'
import type { Definition } from './definition.ts'
import { journalOf } from './journal.ts'
import { describeValue } from './literal.ts'
import { isPlainObject, OptionReader } from './option-reader.ts'
import { callSite } from './place.ts'

/** One define function: how it is called, and how it reads its options. */
export interface Declarer<D extends Definition> {
  readonly kind: D['kind']
  /** The function that people call; its caller is the definition's place. */
  readonly callee: (...given: never[]) => unknown
  /** A call as it should look, for who gives it no options. */
  readonly example: string
  /** The facts, or null with at least one mistake noted. */
  readonly read: (reader: OptionReader) => Unnamed<D> | null
}

/** The token for a call with these options. Throws their mistakes outside of a load. */
export function declare<D extends Definition>(declarer: Declarer<D>, options: unknown): Declaration<D> {
  const { kind, callee, example, read } = declarer
  const { place, loadId } = callSite(callee)
  const mistakes: OperatorError[] = []
  const facts = isPlainObject(options) ? read(new OptionReader(options, place, mistakes)) : null
  if (!isPlainObject(options)) mistakes.push(noOptions(callee.name, options, { example, place }))
  const declaration = new Declaration<D>(kind, facts)
  const journal = journalOf(loadId)
  if (journal !== null) {
    journal.declared.push({ declaration, place })
    journal.mistakes.push(...mistakes)
    return declaration
  }
  const [first, ...others] = mistakes
  if (first !== undefined) throw others.length === 0 ? first : new OperatorErrors(mistakes)
  return declaration
}

function noOptions(name: string, given: unknown, at: { readonly example: string; readonly place: Place }) {
  return new OperatorError({
    message: `${name} got ${describeValue(given)}`,
    hint: `Write ${at.example}.`,
    place: at.place,
  })
}
