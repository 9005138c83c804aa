/**
 * Text that is redrawn in place on a terminal. What was drawn last stays when the command ends.
 */
import { stripVTControlCharacters } from 'node:util'
import type { Writer } from './context.ts'

/** A drawing that replaces itself. */
export interface Screen {
  /** Draws the text in place of what was drawn before. */
  show(text: string): void
  /** Removes what was drawn, so that other lines can be written. */
  clear(): void
}

const control = '\u001b['
/** For a terminal that doesn't say how large it is. */
const usual = { columns: 80, rows: 24 } as const

/** A drawing at the place where the cursor is. `writer` must be a terminal. */
export function screen(writer: Writer): Screen {
  let lines = 0
  const clear = () => {
    // Up to the first line of the drawing, then everything below goes.
    if (lines > 0) writer.write(`${control}${lines}A`)
    if (lines > 0) writer.write(`${control}0J`)
    lines = 0
  }
  return {
    clear,
    show(text) {
      clear()
      const { columns, rows } = { ...usual, ...sizeOf(writer) }
      const fitting = cutToHeight(text.split('\n').slice(0, -1), columns, rows - 1)
      writer.write(fitting.map((line) => `${line}\n`).join(''))
      lines = fitting.reduce((total, line) => total + heightOf(line, columns), 0)
    },
  }
}

function sizeOf({ columns, rows }: Writer): Partial<Record<keyof typeof usual, number>> {
  return { ...(columns === undefined ? {} : { columns }), ...(rows === undefined ? {} : { rows }) }
}

/** As many lines as the terminal can show: what scrolled out of it can't be drawn over. */
function cutToHeight(lines: readonly string[], columns: number, most: number): readonly string[] {
  const ends: number[] = []
  for (const line of lines) ends.push((ends.at(-1) ?? 0) + heightOf(line, columns))
  if ((ends.at(-1) ?? 0) <= most) return lines
  const kept = lines.filter((_, at) => (ends[at] ?? 0) < most)
  return [...kept, `… ${lines.length - kept.length} more lines`.slice(0, columns)]
}

/** A line that is wider than the terminal takes several. */
function heightOf(line: string, columns: number): number {
  return Math.max(1, Math.ceil([...stripVTControlCharacters(line)].length / columns))
}
