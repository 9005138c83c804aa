/**
 * What happens while a folder of definitions is loaded.
 *
 * Definition files run as ordinary modules, so a define function can't be handed an object to report to; the mark in its
 * caller's URL names the load instead. That keeps two loads at once apart, lets one run report the mistakes of every
 * definition in a file, and shows what was declared but never exported. The map holds open loads only. It is written by
 * declare.ts and module-hooks.ts, and opened, read and closed by load.ts.
 */
import { randomUUID } from 'node:crypto'
import type { OperatorError, Place } from '../kernel/errors.ts'
import type { Declaration } from './declaration.ts'
import { loadIdOf } from './place.ts'

/** One load's notes. */
export interface Journal {
  readonly id: string
  /** Every call of defineColumns or defineView, in order, mistaken ones too. */
  readonly declared: { readonly declaration: Declaration; readonly place: Place }[]
  readonly mistakes: OperatorError[]
  /** Absolute paths of files that another file of this load imports. */
  readonly imported: Set<string>
  /** Path of the file that Node read last: the culprit of a syntax error that names no file. */
  lastRead: string | null
}

const openJournals = new Map<string, Journal>()

/** Begins a load. Close it when every file was imported, or failed. */
export function openJournal(): Journal {
  const journal: Journal = {
    id: randomUUID(),
    declared: [],
    mistakes: [],
    imported: new Set(),
    lastRead: null,
  }
  openJournals.set(journal.id, journal)
  return journal
}

/** Ends a load: a later definition from its files throws its mistakes. */
export function closeJournal(journal: Journal): void {
  openJournals.delete(journal.id)
}

/** The open load of that id, or null. */
export function journalOf(loadId: string | null): Journal | null {
  return loadId === null ? null : (openJournals.get(loadId) ?? null)
}

/** The open load that a file's URL is marked with, or null. */
export function journalOfUrl(url: string | undefined): Journal | null {
  return url === undefined ? null : journalOf(loadIdOf(url))
}
