/**
 * Whether what is computed fits into a column that exists, without being cut or rounded.
 */
import { expect, it } from 'vitest'
import { typeFits } from '../../../src/plan/type-fit.ts'

it.each([
  ['integer', 'integer', 'fits'],
  ['integer', 'bigint', 'other'],
  ['character varying(10)', 'character varying(20)', 'fits'],
  ['character varying(20)', 'character varying(10)', 'wider'],
  ['character varying', 'character varying(10)', 'wider'],
  ['character varying(10)', 'character varying', 'fits'],
  ['character varying(10)', 'text', 'other'],
  ['numeric(8,2)', 'numeric(10,2)', 'fits'],
  ['numeric(10,2)', 'numeric(10,3)', 'wider'],
  ['numeric(10,3)', 'numeric(12,2)', 'wider'],
  ['numeric', 'numeric(12,2)', 'wider'],
  ['numeric(12,2)', 'numeric', 'fits'],
  ['numeric(5,-2)', 'numeric(5,0)', 'wider'],
  ['timestamp(3) with time zone', 'timestamp with time zone', 'fits'],
  ['timestamp with time zone', 'timestamp(3) with time zone', 'wider'],
  ['timestamp(3) without time zone', 'timestamp(3) with time zone', 'other'],
  ['character varying(3)[]', 'character varying(5)[]', 'fits'],
  ['character varying(5)[]', 'character varying(5)', 'other'],
])('%s into %s: %s', (computed, column, fit) => {
  expect(typeFits(computed, column)).toBe(fit)
})
