/**
 * What the command line means, and what it refuses.
 */
import { expect, test } from 'vitest'
import { parseRequest } from '../../../src/cli/arguments.ts'
import { call, transcript } from './support.ts'

function parse(argv: readonly string[], env: Record<string, string> = {}) {
  const request = parseRequest(argv, env)
  if (request.kind !== 'command') throw new Error(`${request.kind} is no command`)
  return request
}

test('flags may stand before and behind the command, with a space or an equals sign', () => {
  const { command, options } = parse(['--workers=3', 'run', '--poll', '250', '--no-listen'])

  expect(command).toBe('run')
  expect(options).toMatchObject({ workers: 3, pollMs: 250, listen: false, untilIdle: false })
})

test('without flags and variables the defaults hold', () => {
  const { options, given } = parse(['run'])

  expect(options).toEqual({
    all: false,
    apply: false,
    columns: null,
    definitions: 'definitions',
    drop: false,
    healthFile: null,
    json: false,
    keys: null,
    listen: true,
    logLevel: 'info',
    pollMs: 500,
    project: 'default',
    prune: false,
    sample: 1000,
    sql: false,
    untilIdle: false,
    watch: false,
    workers: 2,
    yes: false,
  })
  expect([...given]).toEqual([])
})

test('a flag wins over its variable, a variable over the default, and an empty variable is none', () => {
  const env = { PGFRESH_WORKERS: '4', PGFRESH_PROJECT: 'films', PGFRESH_POLL_MS: '', PGFRESH_LISTEN: 'off' }
  const { options, given } = parse(['run', '--workers', '8'], env)

  expect(options).toMatchObject({ workers: 8, project: 'films', pollMs: 500, listen: false })
  expect([...given].sort()).toEqual(['listen', 'project', 'workers'])
})

test('a variable that is none of the command is not read', () => {
  expect(parse(['status'], { PGFRESH_WORKERS: 'many' }).options.workers).toBe(2)
})

test('a TARGET is kept as it was written', () => {
  expect(parse(['verify', 'sales."Order"', '--all']).operands).toEqual(['sales."Order"'])
  expect(parse(['refresh', '--keys', '[[-1]]', 'venue', '--columns', 'a, b']).options).toMatchObject({
    keys: '[[-1]]',
    columns: ['a', 'b'],
  })
})

const mistakes: readonly (readonly [what: string, argv: readonly string[]])[] = [
  ['no command', []],
  ['an unknown command', ['stats']],
  ['a command like none', ['frobnicate']],
  ['an unknown flag', ['run', '--worker', '3']],
  ['an unknown short flag', ['run', '-w']],
  ['a flag like none', ['plan', '--frobnicate']],
  ['a flag of another command', ['status', '--prune']],
  ['a flag twice', ['run', '--poll', '100', '--poll=200']],
  ['a flag without its value', ['plan', '--definitions']],
  ['a flag in place of a value', ['status', '--project', '--json']],
  ['a value for a flag that takes none', ['status', '--json=yes']],
  ['no number', ['run', '--workers', 'two']],
  ['a number below the range', ['run', '--workers=0']],
  ['a number above the range', ['run', '--poll', '3600000']],
  ['a negative number', ['verify', '--sample', '-5']],
  ['a fraction', ['verify', '--sample', '1.5']],
  ['no log level', ['status', '--log-level', 'loud']],
  ['an empty name', ['plan', '--project=']],
  ['an empty column', ['refresh', 'venue', '--columns', 'a,,b']],
  ['no TARGET', ['refresh']],
  ['two TARGETs', ['verify', 'venue', 'film']],
  ['a TARGET where none is taken', ['status', 'venue']],
]

test('every mistake is refused in one clear message', async () => {
  const refused: string[] = []
  for (const [what, argv] of mistakes) {
    const written = await call(argv)
    expect(written, what).toMatchObject({ code: 1, stdout: '' })
    refused.push(`# ${what}\n${transcript(argv, written)}`)
  }

  await expect(refused.join('\n')).toMatchFileSnapshot('expected/refused.txt')
})

test.each([
  ['PGFRESH_WORKERS', 'none'],
  ['PGFRESH_LISTEN', 'maybe'],
  ['PGFRESH_LOG_LEVEL', 'loud'],
])('a wrong value in %s is refused by that name', async (name, value) => {
  const { code, stderr } = await call(['run'], { [name]: value })

  expect(code).toBe(1)
  expect(stderr).toContain(`${name} takes `)
  expect(stderr).toContain(`not "${value}"`)
})
