import { describe, expect, test } from 'vitest'
import { jitterMs, nextTicks, shareOf, UnreadableCron } from '../../../src/views/schedule.ts'

const at = (text: string) => new Date(text)

/** The first moments after `after`, one after the other. */
function ticks(cron: string, zone: string, after: string, count: number): string[] {
  const found: string[] = []
  let from = at(after)
  while (found.length < count) {
    from = nextTicks(cron, zone, from).next
    found.push(from.toISOString().replace(':00.000Z', 'Z'))
  }
  return found
}

describe('moments', () => {
  test('are on the clocks of the time zone', () => {
    expect(ticks('0 7 * * *', 'Europe/London', '2026-07-01T00:00:00Z', 2)).toEqual([
      '2026-07-01T06:00Z',
      '2026-07-02T06:00Z',
    ])
    expect(ticks('0 7 * * *', 'America/New_York', '2026-01-01T00:00:00Z', 1)).toEqual(['2026-01-01T12:00Z'])
  })

  test('come after the one that is now', () => {
    expect(ticks('*/5 * * * *', 'UTC', '2026-03-29T00:05:00.000Z', 1)).toEqual(['2026-03-29T00:10Z'])
    expect(ticks('*/5 * * * *', 'UTC', '2026-03-29T00:04:59.999Z', 1)).toEqual(['2026-03-29T00:05Z'])
  })

  test('may have seconds', () => {
    expect(nextTicks('*/10 * * * * *', 'UTC', at('2026-01-01T00:00:01Z'))).toEqual({
      next: at('2026-01-01T00:00:10Z'),
      following: at('2026-01-01T00:00:20Z'),
    })
  })

  test('that clocks jump over in spring come right after the jump, once', () => {
    // 01:00 to 02:00 is left out in London on 29 March 2026, which happens at 01:00 UTC.
    expect(ticks('30 1 * * *', 'Europe/London', '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T01:00Z',
      '2026-03-30T00:30Z',
    ])
    expect(ticks('*/10 * * * *', 'Europe/London', '2026-03-29T00:45:00Z', 3)).toEqual([
      '2026-03-29T00:50Z',
      '2026-03-29T01:00Z',
      '2026-03-29T01:10Z',
    ])
  })

  test('that clocks show twice in autumn come once where they are daily, and each time where they are not', () => {
    // 01:00 to 02:00 is there twice in London on 25 October 2026: from 00:00 and from 01:00 UTC.
    expect(ticks('30 1 * * *', 'Europe/London', '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30Z',
      '2026-10-26T01:30Z',
    ])
    expect(ticks('*/30 * * * *', 'Europe/London', '2026-10-24T23:45:00Z', 6)).toEqual([
      '2026-10-25T00:00Z',
      '2026-10-25T00:30Z',
      '2026-10-25T01:00Z',
      '2026-10-25T01:30Z',
      '2026-10-25T02:00Z',
      '2026-10-25T02:30Z',
    ])
  })

  test.each([
    // London: 01:00 to 02:00 from 00:00Z and from 01:00Z on 25 October. Berlin: 02:00 to 03:00 from 00:00Z and from 01:00Z.
    ['0 2 * * *', 'Europe/London', '2026-10-24T12:00Z', ['25T02:00', '26T02:00']],
    ['0 1 * * *', 'Europe/London', '2026-10-24T12:00Z', ['25T00:00', '26T01:00']],
    ['0 */2 * * *', 'Europe/London', '2026-10-24T22:30Z', ['24T23:00', '25T02:00', '25T04:00']],
    ['0 */3 * * *', 'Europe/Berlin', '2026-10-24T20:00Z', ['24T22:00', '25T02:00', '25T05:00']],
    ['0 */2 * * *', 'Europe/Berlin', '2026-10-24T21:00Z', ['24T22:00', '25T00:00', '25T01:00', '25T03:00']],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', ['25T00:30', '26T01:30']],
    ['*/20 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', ['25T00:00', '25T00:20', '25T00:40', '26T01:00']],
    // New York: 01:00 to 02:00 from 05:00Z and from 06:00Z on 1 November.
    ['0 */2 * * *', 'America/New_York', '2026-11-01T03:00Z', ['01T04:00', '01T07:00', '01T09:00']],
    ['@hourly', 'America/New_York', '2026-11-01T04:30Z', ['01T05:00', '01T06:00', '01T07:00']],
    ['@daily', 'America/New_York', '2026-10-31T12:00Z', ['01T04:00', '02T05:00']],
    // Lord Howe: 01:30 to 02:00 from 14:30Z and from 15:00Z on 4 April.
    [
      '15,45 * * * *',
      'Australia/Lord_Howe',
      '2026-04-04T14:00Z',
      ['04T14:15', '04T14:45', '04T15:15', '04T15:45'],
    ],
    ['45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T12:00Z', ['04T14:45', '05T15:15']],
    ['0 2 * * *', 'Australia/Lord_Howe', '2026-04-04T12:00Z', ['04T15:30', '05T15:30']],
  ])('in autumn %s in %s comes when the clocks show it', (cron, zone, after, found) => {
    expect(ticks(cron, zone, after, found.length).map((one) => one.slice(8, 16))).toEqual(found)
  })

  test.each([
    ['0 */2 * * *', 'Europe/London', '2026-03-28T21:30Z', ['28T22:00', '29T00:00', '29T01:00', '29T03:00']],
    ['0 1 * * *', 'Europe/London', '2026-03-28T12:00Z', ['29T01:00', '30T00:00']],
    ['0 2 * * *', 'Europe/London', '2026-03-28T12:00Z', ['29T01:00', '30T01:00']],
    ['*/20 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', ['29T01:00', '30T00:00', '30T00:20']],
    ['30 2 * * *', 'America/New_York', '2026-03-07T12:00Z', ['08T07:00', '09T06:30']],
    // Lord Howe leaves out 02:00 to 02:30, at 15:30Z on 3 October.
    [
      '15,45 * * * *',
      'Australia/Lord_Howe',
      '2026-10-03T15:00Z',
      ['03T15:15', '03T15:30', '03T15:45', '03T16:15'],
    ],
    ['15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T12:00Z', ['03T15:30', '04T15:15']],
    // Havana's clocks jump at midnight.
    ['0 0 * * *', 'America/Havana', '2026-03-07T12:00Z', ['08T05:00', '09T04:00']],
  ])(
    'in spring %s in %s comes when the clocks show it, or right after the jump',
    (cron, zone, after, found) => {
      expect(ticks(cron, zone, after, found.length).map((one) => one.slice(8, 16))).toEqual(found)
    },
  )

  test('that have come do not come again when the clocks have gone back since', () => {
    expect(ticks('30 1 * * *', 'Europe/London', '2026-10-25T01:15:00Z', 1)).toEqual(['2026-10-26T01:30Z'])
    expect(ticks('30 1 * * *', 'Europe/London', '2026-10-25T00:29:59.999Z', 1)).toEqual(['2026-10-25T00:30Z'])
    expect(ticks('*/30 * * * *', 'Europe/London', '2026-10-25T01:15:00Z', 1)).toEqual(['2026-10-25T01:30Z'])
  })

  test.each([
    ['Europe/London', ['2026-03-28T22:05', '2026-10-24T21:05']],
    ['Europe/Berlin', ['2026-03-28T22:05', '2026-10-24T21:05']],
    ['America/New_York', ['2026-03-08T04:05', '2026-11-01T03:05']],
    ['Australia/Lord_Howe', ['2026-04-04T12:05', '2026-10-03T12:05']],
    // Two hours each.
    ['Antarctica/Troll', ['2026-03-28T22:05', '2026-10-24T21:05']],
    ['Asia/Kolkata', ['2026-03-28T22:05']],
  ])('of every ten minutes are just those in %s at which the clocks show such a minute', (zone, starts) => {
    const minute = new Intl.DateTimeFormat('en', { timeZone: zone, minute: 'numeric' })
    for (const start of starts) {
      const from = at(`${start}:00Z`).getTime()
      const fitting = Array.from({ length: 420 }, (_, n) => from + n * 60_000)
        .filter((moment) => Number(minute.format(moment)) % 10 === 0)
        .map((moment) => new Date(moment).toISOString().replace(':00.000Z', 'Z'))
      expect(ticks('*/10 * * * *', zone, `${start}:00Z`, fitting.length)).toEqual(fitting)
    }
  })
})

test.each([
  [
    '61 * * * *',
    'UTC',
    /^cron "61 \* \* \* \*" can't be read \(field value \(61\) is out of range\): write five/,
  ],
  ['* * *', 'UTC', /^cron "\* \* \*" can't be read \(too few fields\): write five fields, minute hour day/],
  ['0 0 30 2 *', 'UTC', /^cron "0 0 30 2 \*" never comes$/],
  ['0 3 * * *', 'Mars/Olympus', /^there is no time zone "Mars\/Olympus": write an IANA name/],
  ['', 'UTC', /^cron "" can't be read/],
])('%j in %s is refused', (cron, zone, message) => {
  const attempt = () => nextTicks(cron, zone, at('2026-01-01T00:00:00Z'))
  expect(attempt).toThrow(UnreadableCron)
  expect(attempt).toThrow(message)
})

describe('jitter', () => {
  test('is a tenth of the way to the next tick at most, and half a minute at most', () => {
    const minutes = { next: at('2026-01-01T00:00:00Z'), following: at('2026-01-01T00:01:00Z') }
    const days = { next: at('2026-01-01T00:00:00Z'), following: at('2026-01-02T00:00:00Z') }
    expect([jitterMs(minutes, 0), jitterMs(minutes, 0.5), jitterMs(minutes, 1)]).toEqual([0, 3000, 6000])
    expect(jitterMs(days, 1)).toBe(30_000)
  })

  test('spreads views that have neighbouring ids', () => {
    const shares = Array.from({ length: 50 }, (_, at) => shareOf(String(at + 1))).sort((a, b) => a - b)
    const gaps = shares.slice(1).map((share, at) => share - (shares[at] ?? 0))
    expect(Math.min(...gaps)).toBeGreaterThan(0.005)
    expect(Math.max(...gaps)).toBeLessThan(0.05)
  })
})
