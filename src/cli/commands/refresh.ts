/**
 * `pgfresh refresh TARGET`: asks for rows to be computed again, all or some, wholly or by column; or for a view to be refreshed.
 * The request is an entry of the change log, so it is durable once this returns; the daemon does the work.
 */
import { quoteLiteral } from '../../db/identifier.ts'
import type { Session } from '../../db/session.ts'
import { begin } from '../../db/transaction.ts'
import { OperatorError } from '../../kernel/errors.ts'
import { keysFromJson } from '../../refresh/key.ts'
import { daemonRuns } from '../../status/daemons.ts'
import type { Execute } from '../context.ts'
import { checkKeys, keyForm } from '../keys.ts'
import { openDatabase } from '../open-database.ts'
import { counted, json } from '../print.ts'
import { refusal } from '../refusal.ts'
import { checkColumns, findTarget, shellWord, type Target } from '../target.ts'

/** Stores the request and says what was asked for. */
export const execute: Execute = async ({ options, operands, address, stdout, stderr }) => {
  const session = await openDatabase(address, { duty: 'refresh', schema: 'required' })
  try {
    const target = await findTarget(session, operands[0] ?? '')
    const { keys, columns } = options
    if (target.schedule !== null && (keys !== null || columns !== null)) throw refreshedAsAWhole(target)
    if (columns !== null) checkColumns(target, columns)
    if (keys !== null) await checkFit(session, target, keys)
    const rows = await request(session, target, { keys, columns })
    const answer = { target: target.name, whole: rows === null, rows, columns }
    stdout.write(options.json ? json(answer) : `${sentence(target, answer)}\n`)
    if (target.paused) {
      const resume = `pgfresh resume ${shellWord(target.name)}`
      stderr.write(`${target.name} is paused: the request is kept, and done after "${resume}".\n`)
    } else if (!(await daemonRuns(session))) {
      stderr.write('No daemon runs now: the request is kept, and done once "pgfresh run" is started.\n')
    }
    return 0
  } finally {
    await session.close()
  }
}

function refreshedAsAWhole({ name }: Target): OperatorError {
  return new OperatorError({
    message: `${name} is a materialized view: it is refreshed as a whole`,
    hint: 'Leave out --keys and --columns.',
  })
}

/** Keys must have the key's shape, and its types: what can't be cast would fail in the daemon for ever. */
async function checkFit(session: Session, target: Target, keys: string): Promise<void> {
  const key = target.materializations[0]?.key ?? []
  checkKeys(keys, key)
  const byName = key.map(({ name }) => `k -> ${quoteLiteral(name)}`).join(', ')
  const arrays = `(select pg_catalog.jsonb_agg(case pg_catalog.jsonb_typeof(k) when 'array' then k
      when 'object' then pg_catalog.jsonb_build_array(${byName}) else pg_catalog.jsonb_build_array(k) end)
    from pg_catalog.jsonb_array_elements(${quoteLiteral(keys)}::pg_catalog.jsonb) k)`
  const counts = key.map((_, at) => `pg_catalog.count(k.k${at + 1})`).join(', ')
  try {
    await session.run(`${begin()} select ${counts} from (${keysFromJson(key, arrays)}) k; commit`)
  } catch (error) {
    await session.rollback()
    throw refusal(error, `can't ask for ${target.name}`, keyForm(key))
  }
}

/** How many rows were asked for; null: all of them. */
async function request(
  session: Session,
  target: Target,
  { keys, columns }: { readonly keys: string | null; readonly columns: readonly string[] | null },
): Promise<number | null> {
  try {
    const [row] = await session.rows(
      `select pgfresh.refresh($1::pg_catalog.oid::pg_catalog.regclass, $2::pg_catalog.jsonb,
         (select pg_catalog.array_agg(c) from pg_catalog.jsonb_array_elements_text($3::pg_catalog.jsonb) c)) as rows`,
      [target.oid, keys, columns === null ? null : JSON.stringify(columns)],
    )
    return row?.rows == null ? null : Number(row.rows)
  } catch (error) {
    throw refusal(error, `can't ask for ${target.name}`)
  }
}

function sentence(
  { name, schedule }: Target,
  { rows, columns }: { readonly rows: number | null; readonly columns: readonly string[] | null },
): string {
  if (schedule !== null) return `asked for a refresh of ${name}`
  const what = rows === null ? 'all rows' : counted(rows, 'row')
  return `asked for ${what} of ${name}${columns === null ? '' : `, columns ${columns.join(', ')}`}`
}
