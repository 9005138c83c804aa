/**
 * Whether a view's intervals and cron text mean something, and what the server makes of them.
 */
import { quoteLiteral } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import type { ViewDefinition } from '../definition/definition.ts'
import { OperatorError } from '../kernel/errors.ts'
import { nextTicks, UnreadableCron } from '../views/schedule.ts'
import { Mistakes } from './mistakes.ts'
import type { Timing } from './schedule-rows.ts'
import { checkInterval } from './settings.ts'

/** Throws what is wrong with when a view is refreshed. Leaves no transaction open. */
export async function checkTiming(session: Session, definition: ViewDefinition): Promise<void> {
  const { schedule, place, maximumExecutionDuration } = definition
  const mistakes = new Mistakes()
  const keep = (error: unknown) => mistakes.keep(error)
  if (schedule.kind === 'every') {
    const asked = { option: 'refresh.every', value: schedule.every, place }
    await checkInterval(session, asked)
      .then(() => refuseRushing(session, schedule.every, place))
      .catch(keep)
  }
  if (schedule.kind === 'cron') {
    try {
      nextTicks(schedule.cron, schedule.timeZone, new Date())
    } catch (error) {
      if (!(error instanceof UnreadableCron)) throw error
      keep(new OperatorError({ message: `refresh: ${error.message}`, place, cause: error }))
    }
  }
  const longest = { option: 'maximumExecutionDuration', value: maximumExecutionDuration, place }
  await checkInterval(session, longest).catch(keep)
  mistakes.throwIfAny()
}

async function refuseRushing(session: Session, every: string, place: ViewDefinition['place']): Promise<void> {
  const parts = ['year', 'month', 'day', 'hour', 'minute', 'second'].map(
    (part) => `extract(${part} from i.every)`,
  )
  const [row] = await session.rows(
    `select i.every < '1 s'::interval as rushing, least(${parts.join(', ')}) < 0 as mixed from (values ($1::interval)) i(every)`,
    [every],
  )
  if (row?.mixed === 't') {
    throw new OperatorError({
      message: `refresh.every: '${every}' has a negative part`,
      hint: "Write it without: '29 days', say.",
      place,
    })
  }
  if (row?.rushing !== 't') return
  throw new OperatorError({
    message: `refresh.every: '${every}' is less than a second`,
    hint: 'Refresh a view less often, or materialize columns: they are kept fresh row by row.',
    place,
  })
}

/** The schedule with its intervals as the server prints them, to be compared with rows of the schedule. */
export async function normalizedTiming(session: Session, definition: ViewDefinition): Promise<Timing> {
  const { schedule, maximumExecutionDuration } = definition
  const every = schedule.kind === 'every' ? quoteLiteral(schedule.every) : 'null'
  const answers = await session.run(`begin; set local IntervalStyle = postgres;
    select ${every}::interval::text as every, ${quoteLiteral(maximumExecutionDuration)}::interval::text as longest; rollback`)
  const row = answers[2]?.[0]
  return {
    every: row?.every ?? null,
    cron: schedule.kind === 'cron' ? schedule.cron : null,
    timeZone: schedule.kind === 'cron' ? schedule.timeZone : 'UTC',
    maximumExecutionDuration: row?.longest ?? '',
  }
}
