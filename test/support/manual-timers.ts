/**
 * Timers that fire when a test says so: `startTimer` for whatever takes one (src/kernel/lifecycle.ts), with no time passing.
 */
import { setImmediate as macrotask } from 'node:timers/promises'
import type { StartTimer } from '../../src/kernel/lifecycle.ts'

/** A clock that stands still between calls of `advance`. */
export interface ManualTimers {
  readonly startTimer: StartTimer
  /** The delays of the timers that were started and neither fired nor cancelled, in the order they were started. */
  pending(): number[]
  /** Lets `ms` pass: fires what is due, earliest first, and what that starts and is due too. */
  advance(ms: number): Promise<void>
  /** Lets everything run that needs no time. */
  settle(): Promise<void>
}

/** A fresh set of timers, at time 0. */
export function createManualTimers(): ManualTimers {
  let now = 0
  const timers = new Set<{ readonly ms: number; readonly dueAt: number; readonly callback: () => void }>()

  const settle = async () => {
    for (let turn = 0; turn < 5; turn++) await macrotask()
  }
  const advance = async (ms: number) => {
    const until = now + ms
    await settle()
    for (;;) {
      const [next] = [...timers].filter(({ dueAt }) => dueAt <= until).sort((a, b) => a.dueAt - b.dueAt)
      if (next === undefined) break
      now = next.dueAt
      timers.delete(next)
      next.callback()
      await settle()
    }
    now = until
  }
  return {
    startTimer: (ms, callback) => {
      const timer = { ms, dueAt: now + ms, callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    pending: () => [...timers].map(({ ms }) => ms),
    advance,
    settle,
  }
}
