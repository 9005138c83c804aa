/**
 * What verify found, as text and as JSON, whole.
 */
import { expect, test } from 'vitest'
import { json } from '../../../src/cli/print.ts'
import { type Found, verifyJson, verifyText } from '../../../src/cli/verify-text.ts'
import type { Compiled } from '../../../src/materialization/compiled.ts'
import type { Verification, ViewVerification } from '../../../src/status/verify/verification.ts'
import type { ViewReport } from '../../../src/status/view-report.ts'

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
    stored: {
      id: '1',
      targetOid: '2',
      fingerprint: 'f',
      compiled: compiled(schema, name, expires),
      paused: false,
    },
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

const report: ViewReport = {
  project: 'default',
  name: 'lastWeekEvent',
  view: 'last_week_event',
  state: 'fresh',
  paused: false,
  rebuild: false,
  running: null,
  failures: 0,
  every: '00:10:00',
  cron: null,
  timeZone: 'UTC',
  lastAttemptedAt: '2026-03-01T11:57:00+00:00',
  lastRefreshedAt: '2026-03-01T11:57:00+00:00',
  lastRefreshedAgeMs: 180_000,
  nextRefreshAt: '2026-03-01T12:07:00+00:00',
  nextRefreshInMs: 420_000,
  lastRefreshMs: 1234.5,
  lastExecution: null,
  rowsEstimated: 12_345,
  bytes: 1_234_567,
  lastError: null,
}

const equal: ViewVerification = {
  view: report,
  result: 'equal',
  rows: 12_345,
  missing: 0,
  extra: 0,
  missingRows: [],
  extraRows: [],
  why: null,
  error: null,
}

const behind = {
  ...equal,
  result: 'behind',
  missing: 2,
  extra: 1,
  missingRows: ['{"id":9007199254740993,"price":1.10}', '{"id":4,"price":null}'],
  extraRows: ['{"id":5,"price":2.00}'],
} as const

const views: readonly ViewVerification[] = [
  equal,
  { ...behind, view: { ...report, view: 'future_event' } },
  {
    ...behind,
    view: { ...report, view: 'on_request', every: null, nextRefreshAt: null, nextRefreshInMs: null },
  },
  { ...behind, view: { ...report, view: 'paused_one', paused: true, nextRefreshInMs: null } },
  {
    ...behind,
    view: { ...report, view: 'busy', running: { pid: 1, since: null, ageMs: null }, nextRefreshInMs: null },
  },
  { ...equal, view: { ...report, view: 'new_query', rebuild: true }, result: 'behind', rows: null },
  { ...behind, view: { ...report, view: 'unmoved' }, result: 'drift', why: 'unchanged' },
  {
    ...behind,
    view: {
      ...report,
      view: 'failing_one',
      failures: 3,
      lastError: { error: 'division by zero', ageMs: 7900 },
    },
    result: 'drift',
    why: 'failing',
    extraRows: [`{"text":"${'x'.repeat(300)}"}`],
  },
  {
    ...behind,
    view: { ...report, view: 'late', nextRefreshInMs: -720_000 },
    result: 'drift',
    why: 'overdue',
  },
  {
    ...equal,
    view: { ...report, view: 'empty', lastRefreshedAgeMs: null, nextRefreshInMs: 0 },
    result: 'drift',
    why: 'never refreshed',
    rows: null,
  },
  {
    ...equal,
    view: { ...report, view: 'sales."Gone"' },
    result: 'failed',
    rows: null,
    error: 'there is no materialized view sales."Gone"',
  },
]

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
  views,
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
  const text = verifyText({
    verifications: [verification('public', 'venue')],
    unsettled: null,
    views: [],
  })

  expect(text).toMatch(/\n\nno drift in 1,000 rows\n$/)
})

test('views alone have no sum of rows', () => {
  const text = verifyText({ verifications: [], unsettled: null, views: [equal] })

  expect(text).toBe(
    'VIEW               ROWS  MISSING  EXTRA     REFRESHED         NEXT  RESULT\n' +
      'last_week_event  12,345        0      0  3 m 00 s ago  in 7 m 00 s  equal\n\nno drift in 1 view\n',
  )
})

test('what waits for resume is said so', () => {
  const waiting = verification('public', 'venue', { unsettled: [differing('[1]', '1', '2')] })
  const text = verifyText({ verifications: [waiting], unsettled: 'paused', views: [] })

  expect(text).toContain('no drift in 1,000 rows; 1 row unsettled: changes wait for "pgfresh resume"\n')
})
