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
