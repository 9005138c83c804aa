/**
 * `pgfresh resume TARGET`: what was left while it was paused is due now.
 */
import type { Execute } from '../context.ts'
import { changePause } from '../pausing.ts'

/** Resumes, and says what that means. */
export const execute: Execute = (context) =>
  changePause(context, 'resume', ({ name, schedule }, changed) => {
    if (!changed) return `${name} is not paused`
    return schedule === null
      ? `resumed ${name}: what changed meanwhile is worked off now`
      : `resumed ${name}: it is refreshed by its schedule again, at once if that was missed`
  })
