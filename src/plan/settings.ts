/**
 * The settings of the transactions that compute a definition: the search_path and time zone that were found at plan, then people's own.
 * They are fixed at apply, so that a role's settings that change later don't change values.
 */
import type { Catalog } from '../catalog/catalog.ts'
import type { Session } from '../db/session.ts'
import { sqlstateOf } from '../db/sqlstate.ts'
import { setLocal } from '../db/transaction.ts'
import type { Definition } from '../definition/definition.ts'
import { OperatorError, type Place } from '../kernel/errors.ts'

/** Settings as they are stored. */
export type Settings = Readonly<Record<string, string>> & {
  readonly search_path: string
  readonly TimeZone: string
}

/** What pgfresh sets itself in these transactions, or what would change whose rights or rows they are. */
const notTheirs =
  /^(transaction_.*|default_transaction_.*|row_security|role|session_authorization|session_replication_role|idle_in_transaction_session_timeout|pgfresh\..*)$/i

/** The settings for a definition, each of them checked by the server. Leaves no transaction open. */
export async function settingsFor(
  session: Session,
  catalog: Catalog,
  definition: Pick<Definition, 'settings' | 'place'>,
): Promise<Settings> {
  const refuse = (message: string, hint?: string, cause?: unknown) =>
    new OperatorError({ message, hint, cause, place: definition.place })
  let settings: Settings = { search_path: catalog.searchPath, TimeZone: catalog.timeZone }
  for (const [name, value] of Object.entries(definition.settings)) {
    if (notTheirs.test(name)) throw refuse(`settings: ${name} is set by pgfresh itself`, 'Leave it out.')
    try {
      await session.run(`begin; ${setLocal({ [name]: value })}; rollback`)
    } catch (error) {
      await session.rollback()
      if (sqlstateOf(error) === null) throw error
      throw refuse(
        `settings: ${name} can't be '${value}': ${(error as Error).message}`,
        `Write what "set ${name} = …" takes; a setting of your own has a dot in its name, like app.tenant.`,
        error,
      )
    }
    const known = Object.keys(settings).find((one) => one.toLowerCase() === name.toLowerCase()) ?? name
    settings = { ...settings, [known]: value }
  }
  if (/\bpg_temp\b/.test(settings.search_path)) {
    throw refuse(
      `the search_path ${settings.search_path} has pg_temp in it, which is another schema in each session`,
      "Set it without: settings: { search_path: 'public' }.",
    )
  }
  return settings
}

/** Checks an interval option. The value must be more than nothing. */
export async function checkInterval(
  session: Session,
  { option, value, place }: { readonly option: string; readonly value: string | null; readonly place: Place },
): Promise<void> {
  if (value === null) return
  const refuse = (why: string, cause?: unknown) =>
    new OperatorError({
      message: `${option}: '${value}' ${why}`,
      hint: "Write an interval as PostgreSQL reads it: '15 minutes', '1 day'.",
      place,
      cause,
    })
  let positive: string | null | undefined
  try {
    const [row] = await session.rows(`select $1::interval > '0'::interval as positive`, [value])
    positive = row?.positive
  } catch (error) {
    if (sqlstateOf(error) === null) throw error
    throw refuse('is no interval', error)
  }
  if (positive !== 't') throw refuse('is not more than nothing')
}
