/**
 * How answers look: aligned columns, one JSON object, durations and counts as people read them. Pure.
 */
import { stripVTControlCharacters } from 'node:util'

/** A column of a table. */
export interface PrintColumn<T> {
  readonly title: string
  readonly align?: 'left' | 'right'
  readonly cell: (row: T) => string
}

/** Aligned columns under their titles, a line each, with no space at line ends. Empty without rows. */
export function table<T>(columns: readonly PrintColumn<T>[], rows: readonly T[]): string {
  if (rows.length === 0) return ''
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => column.cell(row))),
  ]
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => shownWidth(line[at] ?? ''))))
  const lines = cells.map((line) =>
    line
      .map((cell, at) => {
        const space = ' '.repeat((widths[at] ?? 0) - shownWidth(cell))
        return columns[at]?.align === 'right' ? `${space}${cell}` : `${cell}${space}`
      })
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

/** What `--json` prints: one object, indented, a newline at its end. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** `12 ms`, `1.2 s`, `48 s`, `3 m 20 s`, `5 h 02 m`, `12 d 4 h`. */
export function duration(milliseconds: number): string {
  const seconds = milliseconds / 1000
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 59.5) return `${Math.round(seconds)} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} m`
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`
}

/** `1,234,567`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

const unitsOfSize = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** `8192 bytes`, `48 kB`, `1200 MB`: in steps of 1,024, as pg_size_pretty counts. */
export function size(bytes: number): string {
  let value = bytes
  let at = 0
  while (value >= 10 * 1024 && at < unitsOfSize.length - 1) {
    value /= 1024
    at++
  }
  return `${Math.round(value)} ${unitsOfSize[at]}`
}

const colourCodes = { red: 31, green: 32, yellow: 33, cyan: 36 } as const

/** The text in a terminal's colour. */
export function inColour(text: string, colour: keyof typeof colourCodes): string {
  return `\u001b[${colourCodes[colour]}m${text}\u001b[0m`
}

/** `1 row`, `2 rows`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}

/** Characters that a terminal shows: colour sequences take no room. */
function shownWidth(text: string): number {
  return [...stripVTControlCharacters(text)].length
}
