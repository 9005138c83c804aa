/**
 * The help texts, whole, and that what they say is what the parser takes.
 */
import { expect, test } from 'vitest'
import { commandNames, configurationRows } from '../../../src/config.ts'
import { call, transcript } from './support.ts'

test('pgfresh --help lists the commands and ends with 0', async () => {
  const written = await call(['--help'])

  expect(written.code).toBe(0)
  await expect(transcript(['--help'], written)).toMatchFileSnapshot('expected/help.txt')
})

test.each(commandNames)('pgfresh %s --help lists its flags', async (command) => {
  const written = await call([command, '--help'])

  expect(written.code).toBe(0)
  await expect(transcript([command, '--help'], written)).toMatchFileSnapshot(`expected/help-${command}.txt`)
})

test('-h stands anywhere and wins over what is wrong beside it', async () => {
  const help = await call(['status', '--help'])

  expect(await call(['-h', 'status'])).toEqual(help)
  expect(await call(['status', '--wokers', '3', '-h'])).toEqual(help)
})

test('--version prints the version of the package', async () => {
  const { code, stdout } = await call(['--version'])

  expect(code).toBe(0)
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test('the configuration table has every option once', async () => {
  const rows = configurationRows().map((row) =>
    [row.flag, row.env, row.default, row.commands, row.help].join(' | '),
  )

  expect(new Set(rows).size).toBe(rows.length)
  await expect(`${rows.join('\n')}\n`).toMatchFileSnapshot('expected/configuration.txt')
})
