/**
 * Progress bars of backfills below the log of `pgfresh run`, on a terminal; elsewhere nothing is drawn and nothing asked.
 *
 * Bars come from the same report as status, over a session of their own: a daemon that is busy or stuck still shows them, and a
 * lost session costs a moment without bars, never the daemon.
 */
import { Session } from '../db/session.ts'
import { createLog, type Log } from '../kernel/log.ts'
import { report } from '../status/read-report.ts'
import type { Report } from '../status/report.ts'
import { backfillText, bar } from './bar.ts'
import type { CommandContext } from './context.ts'
import { type Screen, screen } from './screen.ts'

/** Bars that are drawn while a daemon runs. */
export interface BackfillBars {
  /** Where the daemon logs: its lines appear above the bars. */
  readonly log: Log
  /** Takes the bars away. */
  stop(): Promise<void>
}

const redrawMs = 1000
const barWidth = 24

/** Starts to draw if stderr is a terminal. */
export function backfillBars(context: CommandContext): BackfillBars {
  if (context.stderr.isTTY !== true) return { log: context.log, stop: async () => {} }
  return new Bars(context, screen(context.stderr))
}

class Bars implements BackfillBars {
  readonly log: Log
  readonly #context: CommandContext
  readonly #screen: Screen
  readonly #timer: NodeJS.Timeout
  #session: Session | null = null
  #drawn = ''
  #busy = false
  #stopped = false

  constructor(context: CommandContext, drawing: Screen) {
    const { stderr, options, env } = context
    this.#context = context
    this.#screen = drawing
    this.log = createLog({
      level: options.logLevel,
      pretty: true,
      colour: !env.NO_COLOR,
      destination: { write: (line) => this.#writeLine(stderr, line) },
    })
    this.#timer = setInterval(() => void this.#draw(), redrawMs)
  }

  async stop(): Promise<void> {
    // A look under way is not waited for: it may hang on a lost connection, and the process must leave in time.
    this.#stopped = true
    clearInterval(this.#timer)
    this.#screen.clear()
    this.#drawn = ''
    await this.#session?.close()
  }

  #writeLine(stderr: CommandContext['stderr'], line: string): void {
    this.#screen.clear()
    stderr.write(line)
    if (this.#drawn !== '') this.#screen.show(this.#drawn)
  }

  async #draw(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    const text = await this.#look()
    this.#busy = false
    if (this.#stopped) return void (await this.#session?.close())
    this.#drawn = text
    this.#screen.clear()
    if (text !== '') this.#screen.show(text)
  }

  /** Never throws: without a session there are no bars. */
  async #look(): Promise<string> {
    try {
      this.#session ??= await Session.open(this.#context.address, 'progress')
      return barsText(await report(this.#session, null))
    } catch {
      await this.#session?.close()
      this.#session = null
      return ''
    }
  }
}

/** A line for each backfill; empty when there is none. Pure. */
export function barsText({ materializations }: Report): string {
  const running = materializations.flatMap(({ target, backfills }) =>
    backfills.map((one) => ({ target, one })),
  )
  const width = Math.max(0, ...running.map(({ target }) => target.length))
  return running
    .map(({ target, one }) => `${target.padEnd(width)}  ${bar(one.share, barWidth)} ${backfillText(one)}\n`)
    .join('')
}
