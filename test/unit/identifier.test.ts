/** SQL names and literals: quoted as PostgreSQL reads them, and read as PostgreSQL would. */
import { describe, expect, test } from 'vitest'
import {
  displayIdentifier,
  displayQualified,
  parseIdentifier,
  quoteIdentifier,
  quoteLiteral,
  quoteQualified,
} from '../../src/db/identifier.ts'
import { describeOperatorError, OperatorError } from '../../src/kernel/errors.ts'

test('identifiers are always quoted, with quotes inside doubled', () => {
  expect(quoteIdentifier('venue')).toBe('"venue"')
  expect(quoteIdentifier('a"b".c')).toBe('"a""b"".c"')
  expect(quoteQualified('sales', 'Order')).toBe('"sales"."Order"')
  expect(quoteQualified(null, 'Order')).toBe('"Order"')
  expect(() => quoteIdentifier('a\0')).toThrow('"a\\u0000" holds a NUL character')
})

test('literals double quotes, and are escape strings where a backslash occurs', () => {
  expect(quoteLiteral("it's")).toBe("'it''s'")
  expect(quoteLiteral("\\'")).toBe(" E'\\\\'''")
  expect(() => quoteLiteral('\0')).toThrow('holds a NUL character')
})

test('for messages, names are quoted only where PostgreSQL needs it', () => {
  expect(
    ['venue', '_a1', 'Order', 'order', 'user', 'left', 'a b', '1a', 'ü', ''].map(displayIdentifier),
  ).toEqual(['venue', '_a1', '"Order"', '"order"', '"user"', '"left"', '"a b"', '"1a"', '"ü"', '""'])
  expect(displayQualified('sales', 'Order')).toBe('sales."Order"')
  expect(displayQualified(null, 'venue')).toBe('venue')
})

describe('reading an identifier', () => {
  test.each([
    ['venue', null, 'venue'],
    ['Venue_1$', null, 'venue_1$'],
    ['"Venue"', null, 'Venue'],
    ['sales."Order"', 'sales', 'Order'],
    ['"a.b" . "c""d"', 'a.b', 'c"d'],
    [' Sales.Order ', 'sales', 'order'],
    ['ÄRGER', null, 'Ärger'],
    ['"x\ny"', null, 'x\ny'],
  ])('%j', (text, schema, name) => {
    expect(parseIdentifier(text)).toEqual({ schema, name })
  })

  test.each([
    '',
    ' ',
    '.',
    'a.',
    '.a',
    'a..b',
    '""',
    'a.""',
    '"a',
    'a b',
    '1a',
    '$a',
    "a'b",
    'a;b',
    'a-b',
    'U&"a"',
    'a--',
    '"a"b',
    'a\0',
  ])('refuses %j', (text) => {
    expect(refusalOf(text)).toBe(
      `${JSON.stringify(text)} is not a name as SQL writes it\n  Write name or schema.name; put parts with capitals, spaces or other signs in double quotes: sales."Order".`,
    )
  })

  test('refuses a third part, and a part that PostgreSQL would cut', () => {
    expect(refusalOf('db.sales."Order"')).toBe(
      '"db.sales.\\"Order\\"" has more than two parts\n  Write name or schema.name: the database is the one that pgfresh is connected to.',
    )
    expect(parseIdentifier('x'.repeat(63)).name).toHaveLength(63)
    expect(refusalOf(`a.${'ü'.repeat(32)}`)).toBe(
      `the name "${'ü'.repeat(32)}" has 64 bytes, and PostgreSQL keeps 63\n  Write the name as the database has it, which is the shorter one.`,
    )
  })
})

function refusalOf(text: string): string {
  try {
    parseIdentifier(text)
  } catch (error) {
    if (error instanceof OperatorError) return describeOperatorError(error)
    throw error
  }
  throw new Error('nothing was refused')
}
