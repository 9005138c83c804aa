/**
 * What is printed when a command fails.
 */
import { expect, test } from 'vitest'
import { describeFailure } from '../../../src/cli/failure.ts'
import { OperatorError, OperatorErrors } from '../../../src/kernel/errors.ts'

const quiet = { command: 'plan', withStack: false } as const

test("a person's mistakes are explained, each with its place and what to do, and no stack even for those who debug", () => {
  const unknown = new OperatorError({
    message: 'there is no column x',
    hint: 'Write y.',
    place: { file: 'definitions/a.ts', line: 7 },
  })

  expect(describeFailure(unknown, { ...quiet, withStack: true })).toBe(
    'definitions/a.ts:7: there is no column x\n  Write y.',
  )
  expect(
    describeFailure(new OperatorErrors([unknown, new OperatorError({ message: 'so is z' })]), quiet),
  ).toBe('definitions/a.ts:7: there is no column x\n  Write y.\nso is z')
})

test('anything else is a sentence, with a stack only for those who debug', () => {
  const bug = new RangeError('no such lane')

  expect(describeFailure(bug, quiet)).toBe(
    'pgfresh plan failed: no such lane\n  PGFRESH_LOG_LEVEL=debug shows where.',
  )
  expect(describeFailure(bug, { command: null, withStack: true })).toMatch(
    /^pgfresh failed: no such lane\n {2}at .*failure\.test/,
  )
  expect(describeFailure('odd', quiet)).toContain('pgfresh plan failed: odd')
})
