/**
 * The log, with pino behind this one door.
 *
 * A message is a constant phrase; what varies goes into fields, so that logs can be counted and filtered. Lines for people on a
 * terminal, JSON elsewhere; the caller decides, since nothing here looks at the process. Every line is written before the call
 * returns: what was logged just before the process ends is not lost. Called by the composition roots (cli/, daemon/).
 */
import { pino } from 'pino'
import pinoPretty from 'pino-pretty'

/** How much is logged, from most to least. */
export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** One of `logLevels`: that level and what is graver; `silent` logs nothing. */
export type LogLevel = (typeof logLevels)[number]

/** Data of a line. An Error under `error` is written with its stack, its causes and its SQLSTATE. */
export type LogFields = Readonly<Record<string, unknown>>

/** Where components write. Fields first, then the constant phrase. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** A log whose every line carries these fields too (`{ component: 'planner' }`). */
  child(fields: LogFields): Log
}

/** How a log is made. */
export interface LogOptions {
  /** Gets whole lines with their newline; process.stderr is one. */
  readonly destination: { write(line: string): unknown }
  /** True: for people. False: one JSON object per line (time in ISO 8601, level as a word). */
  readonly pretty: boolean
  readonly level: LogLevel
  /** Colours in pretty lines. Default: as `pretty`. */
  readonly colour?: boolean
}

/** A log that writes to `destination`. */
export function createLog({ destination, pretty, level, colour = pretty }: LogOptions): Log {
  return narrow(
    pino(
      {
        level,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        serializers: { error: pino.stdSerializers.errWithCause },
      },
      pretty ? prettyLines(destination, colour) : destination,
    ),
  )
}

/** Logs nothing: for tests. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}

// The factory, not pino-pretty's stream: a stream would write later than the call.
function prettyLines(destination: LogOptions['destination'], colour: boolean): LogOptions['destination'] {
  const format = pinoPretty.prettyFactory({
    colorize: colour,
    errorLikeObjectKeys: ['error'],
    ignore: 'pid,hostname',
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
  })
  return { write: (line) => destination.write(format(line)) }
}

function narrow(logger: pino.Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => narrow(logger.child(fields)),
  }
}
