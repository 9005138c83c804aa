/**
 * Says once what was wrong with a request by NOTIFY. Anybody may send anything, over and over, so what is said and what is
 * remembered is bounded: a payload is shown once, and only so many are shown in a minute.
 */
import type { Log } from '../kernel/log.ts'

/** Payloads remembered at most; the oldest is forgotten first. */
const remembered = 1_000

/** Lines in a window of time at most. */
const lines = { most: 20, windowMs: 60_000 } as const

/** Characters of a payload that are shown. */
const shown = 200

/** Of one daemon. */
export class Misunderstood {
  readonly #log: Log
  readonly #now: () => number
  readonly #told = new Set<string>()
  #window = { until: 0, lines: 0 }

  /** `now` counts ms; default: the process's clock. */
  constructor(log: Log, now: () => number = () => performance.now()) {
    this.#log = log
    this.#now = now
  }

  /** Warns, unless it did so before or has said too much lately. `hash` stands for the payload. */
  tell(hash: string, payload: string, problem: string, expected: string): void {
    if (this.#told.has(hash)) return
    const now = this.#now()
    if (now >= this.#window.until) this.#window = { until: now + lines.windowMs, lines: 0 }
    this.#window.lines += 1
    if (this.#window.lines === lines.most + 1) {
      const fields = { seconds: Math.ceil((this.#window.until - now) / 1000) }
      this.#log.warn(
        fields,
        'too many requests by NOTIFY can not be carried out: no more of them are shown for a while',
      )
    }
    if (this.#window.lines > lines.most) return
    const [oldest] = this.#told
    if (this.#told.size >= remembered && oldest !== undefined) this.#told.delete(oldest)
    this.#told.add(hash)
    const cut = payload.length > shown ? `${payload.slice(0, shown)}…` : payload
    this.#log.warn({ payload: cut, problem, expected }, 'a request by NOTIFY can not be carried out')
  }

  /** It was carried out: should it fail again, that is news. */
  understood(hash: string): void {
    this.#told.delete(hash)
  }
}
