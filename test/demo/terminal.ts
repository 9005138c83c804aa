/**
 * Where the demo speaks: lines that stay, and below them a live part that is redrawn in place on a terminal.
 *
 * Without a terminal (a file, a pipe, a CI log) the live part is one plain line every few seconds. A stream that went away
 * (`npm run demo | head`) is reported once through `onGone` and then written to no more. Called by main.ts and run.ts.
 */
import type { WriteStream } from 'node:tty'

/** The live part, in both forms. */
export interface LivePart {
  /** The lines on a terminal. */
  readonly lines: readonly string[]
  /** The same in one line. */
  readonly plain: string
}

const plainEveryMs = 5_000
const control = '\u001b['
const hideCursor = `${control}?25l`
const showCursor = `${control}?25h`
const toLineEnd = `${control}K`
const toScreenEnd = `${control}J`

/** One output stream with a live part at its end. */
export class Terminal {
  readonly #stream: WriteStream
  #liveLines = 0
  #plainAt = Number.NEGATIVE_INFINITY
  #gone = false

  constructor(stream: WriteStream, onGone: () => void) {
    this.#stream = stream
    stream.on('error', () => {
      this.#gone = true
      onGone()
    })
  }

  /** True if the live part is redrawn in place. */
  get redraws(): boolean {
    return this.#stream.isTTY === true
  }

  /** Writes lines that stay, above the live part (which is gone until it is shown again). */
  say(text = ''): void {
    this.#write(`${this.#clear()}${text}\n`)
  }

  /** Replaces the live part. Without a terminal: writes its plain line if the last one is some seconds old. */
  show(live: LivePart): void {
    if (!this.redraws) {
      if (performance.now() - this.#plainAt < plainEveryMs) return
      this.#plainAt = performance.now()
      this.#write(`${live.plain}\n`)
      return
    }
    const width = (this.#stream.columns ?? 80) - 1
    const lines = live.lines.map((line) => `${[...line].slice(0, width).join('')}${toLineEnd}\n`)
    const up = this.#liveLines > 0 ? `${control}${this.#liveLines}A` : ''
    this.#write(`${hideCursor}\r${up}${lines.join('')}${toScreenEnd}`)
    this.#liveLines = lines.length
  }

  /** Leaves the live part as it stands, and gives the cursor back. The next plain line is written at once. */
  settle(): void {
    if (this.redraws) this.#write(showCursor)
    this.#liveLines = 0
    this.#plainAt = Number.NEGATIVE_INFINITY
  }

  #clear(): string {
    if (this.#liveLines === 0) return ''
    const up = `\r${control}${this.#liveLines}A${toScreenEnd}${showCursor}`
    this.#liveLines = 0
    return up
  }

  #write(text: string): void {
    if (!this.#gone) this.#stream.write(text)
  }
}
