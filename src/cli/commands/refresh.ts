/**
 * `pgfresh refresh TARGET`: asks for rows to be computed again, all or some, wholly or by column.
 * The request is an entry of the change log, so it is durable once this returns; the daemon does the work.
 */
import { quoteLiteral } from '../../db/identifier.ts'
import type { Session } from '../../db/session.ts'
import { sqlstateOf } from '../../db/sqlstate.ts'
import { begin } from '../../db/transaction.ts'
import { OperatorError } from '../../kernel/errors.ts'
import { keysFromJson } from '../../refresh/key.ts'
import { daemonRuns } from '../../status/daemons.ts'
import type { Execute } from '../context.ts'
import { checkKeys, keyForm } from '../keys.ts'
import { openDatabase } from '../open-database.ts'
import { counted, json } from '../print.ts'
import { checkColumns, findTarget, type Target } from '../target.ts'

/** Stores the request and says what was asked for. */
export const execute: Execute = async ({ options, operands, address, stdout, stderr }) => {
  const session = await openDatabase(address, { duty: 'refresh', schema: 'required' })
  try {
    const target = await findTarget(session, operands[0] ?? '')
    const { keys, columns } = options
    if (columns !== null) checkColumns(target, columns)
    if (keys !== null) await checkFit(session, target, keys)
    const rows = await request(session, target, { keys, columns })
    const answer = { target: target.name, whole: rows === null, rows, columns }
    stdout.write(options.json ? json(answer) : `${sentence(answer)}\n`)
    if (!(await daemonRuns(session))) {
      stderr.write('No daemon runs now: the request is kept, and done once "pgfresh run" is started.\n')
    }
    return 0
  } finally {
    await session.close()
  }
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
    throw refusal(error, target, keyForm(key))
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
    throw refusal(error, target)
  }
}

/** What the server refuses for a reason that the person can mend: a right, a value that doesn't fit the key's type. */
function refusal(error: unknown, target: Target, form?: string): unknown {
  const state = sqlstateOf(error)
  if (!(error instanceof Error) || state === null || !/^(22|42)/.test(state)) return error
  const hint: unknown = Reflect.get(error, 'hint')
  return new OperatorError({
    message: `can't ask for ${target.name}: ${error.message}`,
    hint: typeof hint === 'string' ? hint : form,
    cause: error,
  })
}

function sentence({
  target,
  rows,
  columns,
}: {
  readonly target: string
  readonly rows: number | null
  readonly columns: readonly string[] | null
}): string {
  const what = rows === null ? 'all rows' : counted(rows, 'row')
  return `asked for ${what} of ${target}${columns === null ? '' : `, columns ${columns.join(', ')}`}`
}
