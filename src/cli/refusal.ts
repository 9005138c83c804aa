/**
 * What the server refuses for a reason that the person can mend (a right, a value that fits no key, a lock), in its own words. Pure.
 */
import { sqlstateOf } from '../db/sqlstate.ts'
import { OperatorError } from '../kernel/errors.ts'

/** `attempt` is "can't pause venue"; `hint` is used where the server has none. Any other error comes back as it is. */
export function refusal(error: unknown, attempt: string, hint?: string): unknown {
  const state = sqlstateOf(error)
  if (!(error instanceof Error) || state === null || !/^(22|42|55P03)/.test(state)) return error
  const said: unknown = Reflect.get(error, 'hint')
  return new OperatorError({
    message: `${attempt}: ${error.message}`,
    hint: typeof said === 'string' ? said : hint,
    cause: error,
  })
}
