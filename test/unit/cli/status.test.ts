/**
 * The report as text and as JSON, whole.
 */
import { expect, test } from 'vitest'
import { barsText } from '../../../src/cli/backfill-bars.ts'
import { json } from '../../../src/cli/print.ts'
import { statusJson } from '../../../src/cli/status-json.ts'
import { statusText } from '../../../src/cli/status-text.ts'
import type { MaterializationReport, Report } from '../../../src/status/report.ts'

const none = { value: 0, estimate: false }

const venue: MaterializationReport = {
  project: 'default',
  name: 'venue',
  target: 'venue',
  stamp: 'materialized_at',
  columns: ['country_id', 'showtime_count'],
  state: 'fresh',
  pending: none,
  tasks: 0,
  keys: 0,
  quarantined: none,
  lagMs: 0,
  freshnessMs: 2000,
  late: false,
  backfills: [],
  lastError: null,
  lastSuccessAgeMs: 4321,
}

const report: Report = {
  at: '2026-03-01T12:00:00.123456+00:00',
  watermarkAgeMs: 812.4,
  pending: { value: 10_000, estimate: true },
  daemons: [{ id: 'd1', host: 'box', pid: 4711, version: '0.1.0', upMs: 7_200_000, beatAgeMs: 1234.5 }],
  materializations: [
    venue,
    {
      ...venue,
      name: 'film',
      target: 'film',
      columns: ['a', 'b', 'c', 'd', 'e'],
      state: 'catching up',
      late: true,
      pending: { value: 10_000, estimate: true },
      tasks: 12,
      keys: 4800,
      lagMs: 4200,
    },
    {
      ...venue,
      name: 'order',
      target: 'sales."Order"',
      columns: ['total'],
      state: 'backfilling',
      freshnessMs: null,
      backfills: [
        {
          why: 'backfill',
          columns: ['total'],
          rowsDone: 1_200_000,
          rowsEstimated: 3_200_000,
          share: 0.375,
          rowsPerSecond: 45_000.4,
          etaMs: 44_444,
          ageMs: 27_000,
        },
      ],
      lastSuccessAgeMs: null,
    },
    {
      ...venue,
      name: 'event',
      target: 'event',
      columns: ['revenue'],
      state: 'failing',
      quarantined: { value: 2, estimate: false },
      backfills: [
        {
          why: 'request',
          columns: null,
          rowsDone: 0,
          rowsEstimated: null,
          share: null,
          rowsPerSecond: 0,
          etaMs: null,
          ageMs: 100,
        },
      ],
      lastError: { error: 'division by zero', key: '[9007199254740993]', ageMs: 75_000 },
    },
  ],
  undeclared: ['old_venue', 'sales.archive'],
}

test('the report as a table', async () => {
  const text = statusText(report, { colour: false, bars: false })

  await expect(text).toMatchFileSnapshot('expected/status.txt')
})

test('on a terminal backfills have bars and states colours', async () => {
  const text = statusText(report, { colour: true, bars: true })

  await expect(text.replaceAll('\u001b', '\\e')).toMatchFileSnapshot('expected/status-terminal.txt')
})

test('the report as JSON keeps what JavaScript would round', async () => {
  const text = json(statusJson(report))

  expect(JSON.parse(text).materializations[3].last_error.key).toEqual(['9007199254740993'])
  await expect(text).toMatchFileSnapshot('expected/status-json.txt')
})

test('with nothing materialized and no daemon the next commands are named', () => {
  const text = statusText(
    { ...report, daemons: [], materializations: [], undeclared: [] },
    { colour: false, bars: false },
  )

  expect(text).toBe(
    'Nothing is materialized here yet: declare it in a definition file and run "pgfresh apply".\n\n' +
      'watermark 812 ms old, ~10,000+ changes pending, no daemon runs: start "pgfresh run"\n',
  )
})

test('a project column appears once there is another project', () => {
  const two = { ...report, materializations: [venue, { ...venue, project: 'films' }] }

  expect(statusText(two, { colour: false, bars: false })).toMatch(/^PROJECT {2}TARGET/)
  expect(statusText({ ...report, materializations: [venue] }, { colour: false, bars: false })).toMatch(
    /^TARGET/,
  )
})

test('run draws a bar for each backfill and nothing else', () => {
  expect(barsText(report)).toBe(
    'sales."Order"  █████████░░░░░░░░░░░░░░░  37 %  1,200,000 of ~3,200,000 rows  45,000 rows/s  ~44 s left\n' +
      'event          ░░░░░░░░░░░░░░░░░░░░░░░░     ?  0 rows\n',
  )
  expect(barsText({ ...report, materializations: [venue] })).toBe('')
})
