/**
 * `pgfresh run`: the daemon, until it is told to stop, or with --until-idle until all is done.
 *
 * What is wrong with the database is said before anything starts. The first SIGINT or SIGTERM finishes the batches under way; a
 * second one ends the process as it would any other (signals.ts). The work itself is daemon/'s.
 */
import { runDaemon } from '../../daemon/daemon.ts'
import { defaultBeatFile, Heartbeat } from '../../daemon/heartbeat.ts'
import type { Remainder } from '../../daemon/idle.ts'
import { backfillBars } from '../backfill-bars.ts'
import type { CommandContext, Execute } from '../context.ts'
import { openDatabase } from '../open-database.ts'
import { counted } from '../print.ts'
import { packageVersion } from '../version.ts'

/** Applies if asked to, then runs. Exit code 1 if --until-idle ends before all is fresh. */
export const execute: Execute = async (context) => {
  const { options, log } = context
  const heartbeat = new Heartbeat({ file: options.healthFile ?? defaultBeatFile(), log })
  // Before apply, which may build indexes for longer than any probe waits.
  if (!options.untilIdle || options.healthFile !== null) heartbeat.start()
  try {
    return await applyAndRun(context, heartbeat)
  } finally {
    heartbeat.stop()
  }
}

async function applyAndRun(context: CommandContext, heartbeat: Heartbeat): Promise<number> {
  const { options, address, stderr, signal } = context
  if (options.apply) {
    const code = await applyFirst(context)
    if (code !== 0) return code
  }
  const session = await openDatabase(address, { duty: 'check', schema: 'required' })
  await session.close()
  const bars = backfillBars(context)
  try {
    const { workers, pollMs, listen, untilIdle } = options
    const version = packageVersion()
    const remainder = await runDaemon({
      address,
      workers,
      pollMs,
      listen,
      untilIdle,
      log: bars.log,
      signal,
      version,
      heartbeat,
    })
    if (untilIdle && remainder.paused.length > 0)
      stderr.write(`Work of what is paused waits for "pgfresh resume": ${remainder.paused.join(', ')}.\n`)
    const left = untilIdle ? whatIsLeft(remainder, signal.aborted) : null
    if (left === null) return 0
    stderr.write(`${left}\n`)
    return 1
  } finally {
    await bars.stop()
  }
}

/** Why not all is fresh; null: it is. */
function whatIsLeft({ quarantined, failing }: Remainder, stopped: boolean): string | null {
  if (stopped) return 'Stopped before all was fresh.'
  const parts = [
    ...(quarantined === 0 ? [] : [`${counted(quarantined, 'key')} in quarantine`]),
    ...(failing.length === 0 ? [] : [`failing: ${failing.join(', ')}`]),
  ]
  return parts.length === 0 ? null : `Not all is fresh (${parts.join('; ')}): "pgfresh status" shows why.`
}

/** As `apply --yes` does, and never with --prune. */
async function applyFirst(context: CommandContext): Promise<number> {
  const { execute: apply } = await import('./apply.ts')
  const options = { ...context.options, yes: true, prune: false, drop: false }
  return apply({ ...context, options })
}
