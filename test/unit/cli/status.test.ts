/**
 * The report as text and as JSON, whole.
 */
import { expect, test } from 'vitest'
import { barsText } from '../../../src/cli/backfill-bars.ts'
import { json } from '../../../src/cli/print.ts'
import { statusJson } from '../../../src/cli/status-json.ts'
import { statusText } from '../../../src/cli/status-text.ts'
import { intervalText } from '../../../src/cli/view-text.ts'
import type { MaterializationReport, Report } from '../../../src/status/report.ts'
import type { ViewReport } from '../../../src/status/view-report.ts'

const none = { value: 0, estimate: false }

const venue: MaterializationReport = {
  project: 'default',
  name: 'venue',
  target: 'venue',
  stamp: 'materialized_at',
  columns: ['country_id', 'showtime_count'],
  state: 'fresh',
  pausedAt: null,
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

const lastWeek: ViewReport = {
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
  lastAttemptedAt: '2026-03-01T11:56:59.5+00:00',
  lastRefreshedAt: '2026-03-01T11:57:00+00:00',
  lastRefreshedAgeMs: 180_000,
  nextRefreshAt: '2026-03-01T12:07:00+00:00',
  nextRefreshInMs: 420_000,
  lastRefreshMs: 1234.5,
  lastExecution: {
    startedAt: '2026-03-01T11:56:59.5+00:00',
    endedAt: '2026-03-01T11:57:00.7345+00:00',
    endedAgeMs: 179_000,
    ms: 1234.5,
    outcome: 'refreshed',
    triggeredBy: 'schedule',
    concurrent: true,
    rows: 12_345,
    bytes: 1_234_567,
    error: null,
  },
  rowsEstimated: 12_345,
  bytes: 1_234_567,
  lastError: null,
}

/** A row of people's own that no daemon has looked at yet. */
const untouched: ViewReport = {
  ...lastWeek,
  project: null,
  name: null,
  view: 'plain',
  state: 'never refreshed',
  every: null,
  lastAttemptedAt: null,
  lastRefreshedAt: null,
  lastRefreshedAgeMs: null,
  nextRefreshAt: null,
  nextRefreshInMs: null,
  lastRefreshMs: null,
  lastExecution: null,
  rowsEstimated: null,
  bytes: null,
}

const views: readonly ViewReport[] = [
  lastWeek,
  {
    ...lastWeek,
    view: 'future_event',
    state: 'refreshing',
    running: { pid: 4712, since: '2026-03-01T11:59:56.8+00:00', ageMs: 3200 },
    every: null,
    cron: '*/10 * * * *',
    timeZone: 'Europe/London',
    nextRefreshAt: null,
    nextRefreshInMs: null,
  },
  { ...lastWeek, view: 'due_one', state: 'due', nextRefreshInMs: -1200 },
  {
    ...lastWeek,
    view: 'failing_one',
    state: 'failing',
    failures: 3,
    nextRefreshInMs: 12_000,
    lastExecution: {
      startedAt: '2026-03-01T11:59:52+00:00',
      endedAt: '2026-03-01T11:59:52.1+00:00',
      endedAgeMs: 7900,
      ms: 100,
      outcome: 'failed',
      triggeredBy: 'retry',
      concurrent: true,
      rows: null,
      bytes: null,
      error: 'division by zero',
    },
    lastError: { error: 'division by zero', ageMs: 7900 },
  },
  {
    ...lastWeek,
    view: 'paused_one',
    state: 'paused',
    paused: true,
    nextRefreshAt: null,
    nextRefreshInMs: null,
  },
  { ...lastWeek, view: 'new_query', state: 'rebuild pending', rebuild: true, nextRefreshInMs: 0 },
  untouched,
  {
    ...untouched,
    view: 'yearly',
    state: 'cron unreadable',
    cron: '0 0 30 2 *',
    lastError: { error: 'cron "0 0 30 2 *" never comes', ageMs: null },
  },
  {
    ...untouched,
    view: 'sales."Gone"',
    state: 'missing',
    every: '1 mon 2 days 03:00:00',
    lastError: { error: 'there is no materialized view sales."Gone"', ageMs: null },
  },
]

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
    {
      ...venue,
      name: 'paused_venue',
      target: 'paused_venue',
      state: 'paused',
      pausedAt: '2026-03-01T10:00:00+00:00',
      tasks: 2,
      keys: 7,
    },
  ],
  views,
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
    { ...report, daemons: [], materializations: [], views: [], undeclared: [] },
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

test('with views alone there is just their table', () => {
  const text = statusText(
    { ...report, materializations: [], views: [lastWeek], undeclared: [] },
    { colour: false, bars: false },
  )

  expect(text).toBe(
    'VIEW             STATE  SCHEDULE             REFRESHED         NEXT   TOOK  OUTCOME       ROWS     SIZE\n' +
      'last_week_event  fresh  every 10 minutes  3 m 00 s ago  in 7 m 00 s  1.2 s  refreshed  ~12,345  1206 kB\n\n' +
      'watermark 812 ms old, ~10,000+ changes pending, 1 daemon running\n',
  )
})

test.each([
  ['00:10:00', '10 minutes'],
  ['01:00:01', '1 hour 1 second'],
  ['1 day', '1 day'],
  ['1 day 02:30:00', '1 day 2 hours 30 minutes'],
  ['3 mons', '3 months'],
  ['1 year 1 mon 00:00:30', '1 year 1 month 30 seconds'],
  ['00:00:00.5', '00:00:00.5'],
])('an interval of %s is %s', (interval, text) => {
  expect(intervalText(interval)).toBe(text)
})

test('run draws a bar for each backfill and nothing else', () => {
  expect(barsText(report)).toBe(
    'sales."Order"  █████████░░░░░░░░░░░░░░░  37 %  1,200,000 of ~3,200,000 rows  45,000 rows/s  ~44 s left\n' +
      'event          ░░░░░░░░░░░░░░░░░░░░░░░░     ?  0 rows\n',
  )
  expect(barsText({ ...report, materializations: [venue] })).toBe('')
})
