/**
 * What a daemon does now and then: says that it lives, writes the history, rotates pgfresh's own tables, notices parts of
 * people's tables that came or went, forgets what is old.
 */
import { hostname } from 'node:os'
import { noticeParts } from '../capture/parts.ts'
import { type RotationSizes, rotate } from '../capture/rotation.ts'
import { quoteLiteral } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { begin } from '../db/transaction.ts'
import { Loop } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { AsideCompaction } from '../queue/aside.ts'
import { complain } from './complain.ts'
import type { Connection } from './connection.ts'
import type { DaemonState } from './daemon-state.ts'
import type { History } from './history.ts'

/** What the loop works with. */
export interface HousekeepingOptions {
  readonly connection: Connection
  readonly state: DaemonState
  readonly history: History
  readonly log: Log
  readonly version: string
  readonly rotation?: RotationSizes | undefined
}

/** Between two beats; `status` calls a daemon alive for 30 s after one. */
const beatMs = 5_000

/** How long what is kept. */
const retention = {
  done: '7 days',
  failed: '30 days',
  skipped: '1 day',
  daemon: '1 day',
  walk: '30 days',
} as const

/** Turns between two clean-ups: an hour. */
const cleanUpEvery = 720

/** Makes the loop; the caller starts it, ends it with `farewell`, and closes the connection. */
export function housekeepingLoop(options: HousekeepingOptions): Loop {
  const { connection, log } = options
  const compaction = new AsideCompaction()
  let turns = 0
  return new Loop({
    body: async () => {
      await connection.use(async (session) => {
        await session.run(`${begin()} ${beatSql(options)}; commit`)
        await options.history.flush(session)
        await rotate(session, options.rotation)
        await noticeParts(session)
        await compaction.run(session)
        if (turns % cleanUpEvery === 0) await session.run(`${begin()} ${cleanUpSql}; commit`)
      })
      turns += 1
      return beatMs
    },
    onError: (error, failure) => complain(log, error, failure, 'housekeeping failed'),
  })
}

/** The last things of a daemon that stops: its history is written, and it is no longer listed. */
export async function farewell(options: HousekeepingOptions): Promise<void> {
  await options.connection.use(async (session: Session) => {
    await options.history.flush(session)
    await session.run(
      `${begin()} delete from pgfresh.daemon where id = ${quoteLiteral(options.state.id)}; commit`,
    )
  })
}

function beatSql({ state, version }: HousekeepingOptions): string {
  const caughtUpAt = state.caughtUpAt === null ? 'null' : quoteLiteral(state.caughtUpAt)
  return `insert into pgfresh.daemon (id, host, pid, version, caught_up_at)
    values (${quoteLiteral(state.id)}, ${quoteLiteral(hostname())}, ${process.pid}, ${quoteLiteral(version)}, ${caughtUpAt})
    on conflict (id) do update set beat_at = pg_catalog.now(), caught_up_at = coalesce(excluded.caught_up_at, daemon.caught_up_at) /* pgfresh: beat */`
}

const cleanUpSql = [
  `delete from pgfresh.execution where outcome = 'done' and ended_at < pg_catalog.now() - interval '${retention.done}'`,
  `delete from pgfresh.execution where outcome = 'failed' and ended_at < pg_catalog.now() - interval '${retention.failed}'`,
  `delete from pgfresh.daemon where beat_at < pg_catalog.now() - interval '${retention.daemon}'`,
  // How the last attempt ended is told by its row alone (views/unchanged.ts).
  `delete from pgfresh.materialized_view_refresh_schedule_execution e where e.ended_at < pg_catalog.now() - case e.outcome
    when 'skipped' then interval '${retention.skipped}' when 'refreshed' then interval '${retention.done}' else interval '${retention.failed}' end
    and not exists (select from pgfresh.view_state v where v.schedule = e.materialized_view_refresh_schedule_id and v.attempted_at = e.started_at)`,
  ...['view_state', 'view_prompt'].map(
    (table) =>
      `delete from pgfresh.${table} t where not exists (select from pgfresh.materialized_view_refresh_schedule s where s.id = t.schedule)`,
  ),
  `delete from pgfresh.walk where finished_at < pg_catalog.now() - interval '${retention.walk}'`,
].join(';\n')
