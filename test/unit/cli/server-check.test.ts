/**
 * Which servers and schemas a command refuses to work with.
 */
import { expect, test } from 'vitest'
import { checkSchema, checkServer, type ServerFacts } from '../../../src/cli/server-check.ts'
import { describeOperatorError, OperatorError } from '../../../src/kernel/errors.ts'

const good: ServerFacts = {
  versionNumber: 140_023,
  version: '14.23',
  inRecovery: false,
  readOnly: false,
  database: 'cinema',
}

function refusal(check: () => void): string {
  try {
    check()
  } catch (error) {
    if (error instanceof OperatorError) return describeOperatorError(error)
    throw error
  }
  return 'fine'
}

test('a primary of the oldest supported major is fine', () => {
  expect(refusal(() => checkServer(good))).toBe('fine')
})

test('a PostgreSQL older than 14 is refused with both versions', () => {
  expect(refusal(() => checkServer({ ...good, versionNumber: 130_021, version: '13.21 (Debian)' }))).toBe(
    'the server runs PostgreSQL 13.21 (Debian); pgfresh needs 14 or newer',
  )
})

test('a standby is refused even if it says no more than that it is read-only', () => {
  expect(refusal(() => checkServer({ ...good, inRecovery: true, readOnly: true }))).toContain(
    'the server of database "cinema" is a standby: pgfresh must talk to the primary',
  )
})

test('read-only transactions are refused', () => {
  expect(refusal(() => checkServer({ ...good, readOnly: true }))).toContain('are read-only')
})

test('a schema must be there, in the version of the program', () => {
  expect(refusal(() => checkSchema({ found: 2, known: 2 }, 'cinema'))).toBe('fine')
  expect(refusal(() => checkSchema({ found: null, known: 2 }, 'cinema'))).toContain(
    'Run "pgfresh apply" first',
  )
  expect(refusal(() => checkSchema({ found: 1, known: 2 }, 'cinema'))).toContain(
    'with this version of pgfresh first',
  )
  expect(refusal(() => checkSchema({ found: 3, known: 2 }, 'cinema'))).toContain('newer than this pgfresh')
})
