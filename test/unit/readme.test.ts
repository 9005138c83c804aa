/**
 * The README says what is: its configuration table is the program's own, and its commands exist.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { commandNames, configurationRows } from '../../src/config.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

describe('README.md', () => {
  it('lists every flag and variable as the program has it', () => {
    const code = (text: string) => (text === '' ? '' : `\`${text}\``)
    const variables = (text: string) =>
      text
        .split(', ')
        .map((name) => (name === '…' ? name : code(name)))
        .join(', ')
    const rows = configurationRows().map(
      (row) =>
        `| ${code(row.flag)} | ${variables(row.env)} | ${code(row.default)} | ${row.commands} | ${row.help} |`,
    )

    const missing = rows.filter((row) => !readme.includes(row))

    expect(rows.length).toBeGreaterThan(10)
    expect(missing).toEqual([])
  })

  it('lists every command', () => {
    const missing = commandNames.filter((name) => !readme.includes(`| \`${name}\` |`))

    expect(missing).toEqual([])
  })
})
