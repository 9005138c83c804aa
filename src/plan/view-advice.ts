/**
 * What is worth knowing of a view before it is applied. Pure, once the parser is loaded.
 */
import type { ViewDefinition } from '../definition/definition.ts'
import { normalizedSql } from '../lineage/fingerprint.ts'
import type { Reads } from '../lineage/reads.ts'
import type { CompiledView } from '../materialization/compiled-view.ts'
import { clockWords } from './clock-words.ts'

/** Sentences, each about one thing. */
export function viewAdvice(definition: ViewDefinition, reads: Reads): string[] {
  const { name, key, schedule, query } = definition
  const clock = [...new Set(reads.clock)]
  const words = clockWords([query.sql])
  return [
    ...(key.length > 0
      ? []
      : [
          `${name} has no key: whoever reads it waits while it is refreshed (ACCESS EXCLUSIVE on ${definition.view}). Name columns that tell its rows apart: key: ['id'], or the like`,
        ]),
    ...(clock.length > 0 && schedule.kind === 'request'
      ? [
          `${name} reads the clock (${clock.join(', ')}) and is refreshed only when somebody asks: add refresh: { every: '10 minutes' }, or the like`,
        ]
      : []),
    ...words.map(
      (word) =>
        `${name} says ${word}: as a date or time that is read once, when the view is created, and stays what it was then. Write ${clockCalls[word.slice(1, -1).toLowerCase()] ?? 'now()'}`,
    ),
  ]
}

const clockCalls: Readonly<Record<string, string>> = {
  now: 'now()',
  today: 'current_date',
  tomorrow: 'current_date + 1',
  yesterday: 'current_date - 1',
}

interface Built {
  readonly compiled: CompiledView
  readonly fingerprint: string
}

/** Why a view that is stored as `stored` has to be built anew, in words. */
export function whyBuiltAnew(wanted: Built, stored: Built): string {
  const [before, after] = [stored.compiled, wanted.compiled]
  const settings = ({ settings }: CompiledView) => JSON.stringify(Object.entries(settings).sort())
  if (stored.fingerprint === wanted.fingerprint) return 'another relation has the name of one that it reads'
  if (normalizedSql(before.query) !== normalizedSql(after.query)) return 'its query has changed'
  return settings(before) === settings(after)
    ? 'a function that it calls has changed'
    : 'a setting has changed'
}
