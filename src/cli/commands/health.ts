/**
 * `pgfresh health`: does the daemon beside which this runs (in the same container) live? By its heartbeat alone.
 *
 * No database is asked: a daemon that can't reach its database is no better off after a restart. Made for HEALTHCHECK and liveness
 * probes, so it says one line and starts fast: nothing of the driver or the log is imported here.
 */
import { beatAge, defaultBeatFile, silenceMs } from '../../daemon/heartbeat.ts'
import type { CommandContext } from '../context.ts'
import { duration } from '../print.ts'

/** Exit code 0 if the last beat is no more than 30 seconds old, else 1. The line goes to stdout: it is the answer. */
export async function execute(context: Pick<CommandContext, 'options' | 'stdout'>): Promise<number> {
  const { options, stdout } = context
  const file = options.healthFile ?? defaultBeatFile()
  const [healthy, line] = judge(beatAge(file), file)
  stdout.write(`${line}\n`)
  return healthy ? 0 : 1
}

function judge(ageMs: number | null, file: string): readonly [boolean, string] {
  if (ageMs === null) return [false, `unhealthy: no daemon beats at ${file}`]
  // Set back by more than that, the clock says nothing; the next beat, a second later, does.
  if (Math.abs(ageMs) > silenceMs) {
    const limit = `the limit is ${duration(silenceMs)}`
    return [false, `unhealthy: the last beat was ${duration(Math.abs(ageMs))} ago (${file}); ${limit}`]
  }
  return [true, `healthy: the last beat was ${duration(Math.max(0, ageMs))} ago`]
}
