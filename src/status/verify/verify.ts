/**
 * Recomputes rows and compares them with what is stored, in batches, one snapshot each, without a lock on people's rows.
 *
 * Its promise: what it calls drift is wrong with nothing on its way that would mend it. A row whose change is still on its way is
 * looked at again; one that is still moving at the deadline is called unsettled. Called by `pgfresh verify`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Session } from '../../db/session.ts'
import { daemonRuns } from '../daemons.ts'
import { Reading } from './reading.ts'
import type { Unsettled, Verification, VerifyOptions } from './verification.ts'

/** Longer than a healthy queue takes, short enough to wait for. */
const defaultSettleMs = 30_000
/** Between two looks at whether the work is done. */
const pollMs = 50

/** Verifies. The session must be at rest, and is at the end. */
export async function verify(
  session: Session,
  options: VerifyOptions,
): Promise<{ readonly verifications: readonly Verification[]; readonly unsettled: Unsettled }> {
  const readings: Reading[] = []
  for (const stored of options.materializations) {
    const reading = new Reading(session, stored)
    await reading.readAll(options)
    readings.push(reading)
  }
  const unsettled = await settleAll(session, readings, options.settleMs ?? defaultSettleMs)
  for (const reading of readings) await reading.countQuarantined()
  return { verifications: readings.map((reading) => reading.result()), unsettled }
}

/** Looks again at what differs until it is clear what it is. */
async function settleAll(
  session: Session,
  readings: readonly Reading[],
  settleMs: number,
): Promise<Unsettled> {
  const deadline = performance.now() + settleMs
  for (;;) {
    // What is paused is not worked off, however long somebody waits.
    const open = readings.filter((reading) => reading.isOpen && !reading.isPaused)
    if (open.length === 0) return readings.some((reading) => reading.isOpen) ? 'paused' : null
    if (!(await daemonRuns(session))) return 'no daemon'
    for (const reading of open) {
      if (await reading.gate.isOpen(session)) await reading.lookAgain()
    }
    if (performance.now() > deadline && open.some((reading) => reading.isOpen)) return 'deadline'
    await sleep(pollMs)
  }
}
