/**
 * How others see from outside that this daemon lives: a file whose time of change is the last beat.
 *
 * It beats once a second, while the event loop turns and the loop that it watches gives signs of life; so a daemon that hangs falls
 * silent, and one that can't reach its database doesn't, since a restart would not help it. A file that can't be written is a
 * warning, never an end. Made by `run`, signed by the planner's loop, read by `health`: no imports that take time, `health` runs
 * every few seconds.
 */
import { closeSync, constants, futimesSync, openSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log } from '../kernel/log.ts'

/** A beat older than this means that the daemon hangs or is gone, in milliseconds. */
export const silenceMs = 30_000

/** Once a second: often enough for silenceMs under any load, and cheap. */
const everyMs = 1_000

/**
 * How long the planner's loop may give no sign. A turn may run many statements of a minute each (statement_timeout), and a restart would
 * only begin it anew; between turns it rests for 30 s at most.
 */
const patienceMs = 600_000

/** How a heartbeat is made. */
export interface HeartbeatOptions {
  readonly file: string
  readonly log: Log
  /** Default 600,000: see above. */
  readonly patienceMs?: number
  /** Default 1,000. */
  readonly everyMs?: number
}

/** The heart of one process. */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #timer: NodeJS.Timeout | undefined
  /** By the process's clock; undefined until the first sign: before that (while apply runs) a turning event loop is enough. */
  #lastSign: number | undefined
  #complained = false

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  /** Beats now and from now on, until `stop`. Doesn't keep the process alive. */
  start(): void {
    this.#beat()
    this.#timer = setInterval(() => this.#tick(), this.#options.everyMs ?? everyMs)
    this.#timer.unref()
  }

  /** The watched loop lives: called at the beginning and the end of each of its turns. */
  sign(): void {
    this.#lastSign = performance.now()
  }

  /** Ends it, if it was started, and removes the file: a daemon that has ended is not healthy for another half a minute. */
  stop(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    try {
      rmSync(this.#options.file, { force: true })
    } catch {
      // It could not be written either, and that was said.
    }
  }

  #tick(): void {
    const patience = this.#options.patienceMs ?? patienceMs
    if (this.#lastSign === undefined || performance.now() - this.#lastSign < patience) this.#beat()
  }

  #beat(): void {
    const { file, log } = this.#options
    try {
      touch(file)
      this.#complained = false
    } catch (error) {
      if (!this.#complained) log.warn({ file, error }, 'the heartbeat can not be written: health will fail')
      this.#complained = true
    }
  }
}

/** Where a daemon of this account beats unless it is told otherwise: `pgfresh-<uid>.beat` in the directory for temporary files. */
export function defaultBeatFile(): string {
  return join(tmpdir(), `pgfresh-${process.getuid?.() ?? 0}.beat`)
}

/** Milliseconds since the last beat; negative if the clock was set back since. Null: there is no such file. Throws if it can't look. */
export function beatAge(file: string): number | null {
  const stats = statSync(file, { throwIfNoEntry: false })
  return stats === undefined ? null : Date.now() - stats.mtimeMs
}

// The directory is everybody's, so a link that somebody put there is not followed, and a pipe is not waited for.
function touch(file: string): void {
  const { O_WRONLY, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants
  const handle = openSync(file, O_WRONLY | O_CREAT | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0), 0o644)
  try {
    const now = new Date()
    futimesSync(handle, now, now)
  } finally {
    closeSync(handle)
  }
}
