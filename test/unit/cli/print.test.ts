/**
 * How answers look.
 */
import { expect, test } from 'vitest'
import { bar } from '../../../src/cli/bar.ts'
import { exactJson } from '../../../src/cli/exact-json.ts'
import { count, counted, duration, table } from '../../../src/cli/print.ts'
import { screen } from '../../../src/cli/screen.ts'

test('columns are aligned under their titles, whatever colour they have', () => {
  const rows = [
    { name: 'venue', state: '\u001b[32mfresh\u001b[0m', lag: '0' },
    { name: 'cinema', state: 'late', lag: '12 s' },
  ]
  const text = table(
    [
      { title: 'TARGET', cell: (row) => row.name },
      { title: 'STATE', cell: (row) => row.state },
      { title: 'LAG', align: 'right', cell: (row) => row.lag },
    ],
    rows,
  )

  expect(text).toBe('TARGET  STATE   LAG\nvenue   \u001b[32mfresh\u001b[0m     0\ncinema  late   12 s\n')
})

test.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [1234, '1.2 s'],
  [9_960, '10 s'],
  [59_700, '1 m 00 s'],
  [200_000, '3 m 20 s'],
  [3_600_000, '1 h 00 m'],
  [356_400_000, '4 d 3 h'],
])('%d ms is %s', (milliseconds, text) => {
  expect(duration(milliseconds)).toBe(text)
})

test('counts have separators, and one row is no rows', () => {
  expect(count(1234567)).toBe('1,234,567')
  expect(counted(1, 'row')).toBe('1 row')
  expect(counted(0, 'row')).toBe('0 rows')
})

test('a bar is as wide as it was asked to be, in eighths of a character', () => {
  expect(bar(0, 8)).toBe('░░░░░░░░')
  expect(bar(0.5, 8)).toBe('████░░░░')
  expect(bar(0.516, 8)).toBe('████▏░░░')
  expect(bar(1.2, 8)).toBe('████████')
})

test('numbers that JavaScript would change stay texts', () => {
  expect(exactJson('[42, 9007199254740993, 1.10, "a", null]')).toEqual([
    42,
    '9007199254740993',
    '1.10',
    'a',
    null,
  ])
})

test('a drawing replaces itself, wide lines and all, and is never higher than the terminal', () => {
  let written = ''
  const writer = { isTTY: true, columns: 10, rows: 4, write: (text: string) => (written += text) }
  const drawing = screen(writer)

  drawing.show('one\na line of 19 signs\n')
  drawing.show('1\n2\n3\n4\n5\n')
  drawing.clear()

  const up = (lines: number) => `\u001b[${lines}A\u001b[0J`
  expect(written).toBe(`one\na line of 19 signs\n${up(3)}1\n2\n… 3 more l\n${up(3)}`)
})
