/**
 * `pgfresh pause TARGET`: nothing of it is computed or refreshed until resume, and nothing that changes meanwhile is lost.
 */
import type { Execute } from '../context.ts'
import { changePause } from '../pausing.ts'
import { shellWord } from '../target.ts'

/** Pauses, and says what that means. */
export const execute: Execute = (context) =>
  changePause(context, 'pause', ({ name, schedule }, changed) => {
    if (!changed) return `${name} is paused already`
    const resume = `pgfresh resume ${shellWord(name)}`
    return schedule === null
      ? `paused ${name}: what changes is kept, and worked off after "${resume}"`
      : `paused ${name}: it is not refreshed until "${resume}"`
  })
