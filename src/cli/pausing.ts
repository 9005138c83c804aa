/**
 * What pause and resume share: the target, and the call of the function that does it.
 */
import type { Session } from '../db/session.ts'
import type { CommandContext } from './context.ts'
import { openDatabase } from './open-database.ts'
import { refusal } from './refusal.ts'
import { findTarget, type Target } from './target.ts'

/** Calls pgfresh.pause or pgfresh.resume for the TARGET, and prints what `says` makes of the answer: was there anything to change? */
export async function changePause(
  { address, operands, stdout }: CommandContext,
  verb: 'pause' | 'resume',
  says: (target: Target, changed: boolean) => string,
): Promise<number> {
  const session = await openDatabase(address, { duty: verb, schema: 'required' })
  try {
    const target = await findTarget(session, operands[0] ?? '')
    stdout.write(`${says(target, await call(session, target, verb))}\n`)
    return 0
  } finally {
    await session.close()
  }
}

async function call(session: Session, { oid, name }: Target, verb: 'pause' | 'resume'): Promise<boolean> {
  try {
    const [row] = await session.rows(
      `select pgfresh.${verb}($1::pg_catalog.oid::pg_catalog.regclass)::text as changed`,
      [oid],
    )
    return row?.changed === 'true'
  } catch (error) {
    throw refusal(error, `can't ${verb} ${name}`)
  }
}
