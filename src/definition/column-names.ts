/**
 * Which names a column may have.
 *
 * Names in a definition are exact, not SQL identifiers: we quote them, so capitals and reserved words are fine, and only
 * what PostgreSQL itself refuses or silently cuts is a mistake. Called by
 * the readers of options.
 */
import { identifierBytes, maxIdentifierBytes } from '../db/identifier.ts'
import { loneSurrogate } from './literal.ts'
import type { OptionReader } from './option-reader.ts'

/** Every table has these; no column of people's can be called so. */
const systemColumns: ReadonlySet<string> = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'])

/** Notes what is wrong with a column's name, if anything. */
export function checkColumnName(reader: OptionReader, name: string, prefix = ''): void {
  const found = columnNameProblem(name)
  if (found !== null) reader.mistake(`${prefix}${found.problem}`, found.hint)
}

function columnNameProblem(name: string): { readonly problem: string; readonly hint: string } | null {
  if (name === '') return { problem: 'a column name is empty', hint: 'Give every column a name.' }
  const shown = JSON.stringify(name)
  if (name.includes('\0') || loneSurrogate.test(name)) {
    return { problem: `the column name ${shown} can't be stored`, hint: 'Use plain text without U+0000.' }
  }
  if (/^".*"$/s.test(name)) {
    return {
      problem: `the column name ${shown} has its quotes inside`,
      hint: `Names of columns are taken exactly as written: ${JSON.stringify(name.slice(1, -1))}.`,
    }
  }
  if (systemColumns.has(name)) {
    return {
      problem: `${shown} is a system column of every table`,
      hint: 'Give the column another name.',
    }
  }
  const bytes = identifierBytes(name)
  if (bytes <= maxIdentifierBytes) return null
  return {
    problem: `the column name ${shown} has ${bytes} bytes`,
    hint: `PostgreSQL keeps ${maxIdentifierBytes} bytes and cuts the rest: choose a shorter name.`,
  }
}
