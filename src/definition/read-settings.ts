/**
 * The server settings that a definition may ask for.
 *
 * They are SET LOCAL in the transactions that compute it; those on which pgfresh's own promises rest are refused. Whether
 * a setting exists and takes the value, plan asks the server. Called by the readers of options.
 */
import type { OptionReader } from './option-reader.ts'

/** What pgfresh must keep in its own hand, and why. */
const refused: ReadonlyMap<string, string> = new Map(
  Object.entries({
    search_path:
      'it was fixed by apply, so that names mean tomorrow what they meant then; qualify names instead',
    row_security: 'a policy must be an error, never a smaller sum',
    role: 'the role is that of the connection',
    session_authorization: 'the role is that of the connection',
    session_replication_role: "it would switch off triggers, people's and ours",
    transaction_isolation: 'READ COMMITTED is what pgfresh is right under',
    transaction_read_only: 'what is computed is written',
    transaction_deferrable: 'it says nothing under READ COMMITTED, which pgfresh runs under',
  }),
)

/** Names in lower case to values as text; switches become on and off. */
export function readSettings(reader: OptionReader): Readonly<Record<string, string>> {
  const given = reader.record('settings', "Write settings: { work_mem: '256MB' }.")
  const settings = new Map<string, string>()
  for (const [name, value] of Object.entries(given ?? {})) {
    const setting = name.toLowerCase()
    const why = refused.get(setting)
    if (!/^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)?$/.test(setting)) {
      reader.mistake(
        `settings: ${JSON.stringify(name)} is no name of a setting`,
        "Write settings: { work_mem: '256MB' }.",
      )
    } else if (why !== undefined || setting.startsWith('pgfresh.')) {
      reader.mistake(
        `settings: ${setting} can't be set by a definition`,
        why === undefined ? 'Settings of pgfresh are its own.' : `Leave it out: ${why}.`,
      )
    } else if (settings.has(setting)) {
      reader.mistake(`settings names ${setting} twice`, 'Keep one: names of settings ignore case.')
    } else if (isSettingValue(value)) {
      settings.set(setting, typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value))
    } else {
      reader.wrong(`settings.${name}`, value, 'It is a string, a number or a boolean.')
    }
  }
  return Object.freeze(Object.fromEntries(settings))
}

function isSettingValue(value: unknown): value is string | number | boolean {
  return (
    typeof value === 'boolean' ||
    (typeof value === 'number' && Number.isFinite(value)) ||
    (typeof value === 'string' && !value.includes('\0'))
  )
}
