/**
 * What verify found, as text and as JSON, whole.
 */
import { expect, test } from 'vitest'
import { json } from '../../../src/cli/print.ts'
import { type Found, verifyJson, verifyText } from '../../../src/cli/verify-text.ts'
import type { Compiled } from '../../../src/materialization/compiled.ts'
import type { Verification } from '../../../src/status/verify/verification.ts'

function compiled(schema: string, name: string, expires: string | null): Compiled {
  return {
    kind: 'columns',
    project: 'default',
    name,
    target: { schema, name },
    key: [{ name: 'id', type: 'bigint', json: true }],
    stamp: 'materialized_at',
    columns: [{ name: 'Total', type: 'numeric', default: null, fingerprint: 'f' }],
    form: { kind: 'columns', expressions: { Total: '1' } },
    settings: {},
    expires,
    batch: null,
    priority: 5,
    freshness: null,
    routes: [],
  }
}

function verification(
  schema: string,
  name: string,
  more: Partial<Verification> = {},
  expires: string | null = null,
) {
  return {
    stored: { id: '1', targetOid: '2', fingerprint: 'f', compiled: compiled(schema, name, expires) },
    checked: 1000,
    rows: 3200,
    drift: [],
    unsettled: [],
    failed: [],
    quarantined: 0,
    error: null,
    stoppedEarly: false,
    ...more,
  } satisfies Verification
}

const differing = (key: string, stored: string | null, fresh: string | null) => ({
  key,
  uncomputed: false,
  columns: [{ name: 'Total', stored, fresh }],
})

const found: Found = {
  verifications: [
    verification('public', 'venue'),
    verification(
      'sales',
      'Order',
      {
        drift: [
          differing('[9007199254740993]', '1.00', '1.0'),
          differing('["a b"]', null, 'x'.repeat(70)),
          { key: '[7]', uncomputed: true, columns: [] },
          ...Array.from({ length: 20 }, (_, at) => differing(`[${at}]`, '1', '2')),
        ],
        stoppedEarly: true,
      },
      '1 day',
    ),
    verification('public', 'film', {
      unsettled: [differing('[1]', '1', '2')],
      failed: [{ key: '[5]', error: 'division by zero' }],
      quarantined: 1,
    }),
    verification('public', 'event', { checked: 0, error: 'permission denied for table ticket' }),
  ],
  unsettled: 'no daemon',
}

test('what was found as a table with what differs below', async () => {
  await expect(verifyText(found)).toMatchFileSnapshot('expected/verify.txt')
})

test('what was found as JSON keeps keys that JavaScript would round', async () => {
  const object = JSON.parse(json(verifyJson(found)))

  expect(object.materializations[1].drift[0]).toEqual({
    key: ['9007199254740993'],
    stamp_is_null: false,
    columns: [{ name: 'Total', stored: '1.00', fresh: '1.0' }],
  })
  await expect(json(verifyJson(found))).toMatchFileSnapshot('expected/verify-json.txt')
})

test('no drift is one line below the table', () => {
  const text = verifyText({ verifications: [verification('public', 'venue')], unsettled: null })

  expect(text).toMatch(/\n\nno drift in 1,000 rows\n$/)
})
