/** Each mistake in the option `refresh` of defineView: the exact words, the line, what to write instead. */
import { describe, expect, test } from 'vitest'
import { mistakesOfOptions } from './folder.ts'

describe('refresh', () => {
  const both =
    "Write refresh: { every: '10 minutes' }, or refresh: { cron: '*/10 * * * *', timeZone: 'Europe/London' }; " +
    'leave refresh out for a view that is refreshed only when somebody asks.'
  const fields = "It has five fields, minute, hour, day of month, month, weekday: cron: '*/10 * * * *'"
  const zone = "It is a time zone by its IANA name: timeZone: 'Europe/London'."

  test.each([
    ['text', "'10 minutes'", 'option refresh is "10 minutes"', both],
    ['nothing', 'null', 'option refresh is null', both],
    ['both', "{ every: '1 day', cron: '@daily' }", 'refresh has both every and cron', 'Keep one of them.'],
    ['neither', '{}', 'refresh has neither every nor cron', both],
    ['a time zone alone', "{ timeZone: 'UTC' }", 'refresh has neither every nor cron', both],
    [
      'a time zone and no cron',
      "{ every: '1 day', timeZone: 'Europe/London' }",
      'refresh has a timeZone without cron',
      'Leave timeZone out: an interval is as long on every clock.',
    ],
    [
      'an empty interval',
      "{ every: '' }",
      'option refresh.every is ""',
      "It is an interval with its unit: every: '10 minutes'.",
    ],
    [
      'a number',
      '{ every: 600 }',
      'option refresh.every is 600',
      "It is an interval with its unit: every: '10 minutes'.",
    ],
    [
      'a number as text',
      "{ every: '600' }",
      'option refresh.every is "600"',
      "It is an interval with its unit: every: '10 minutes'.",
    ],
    [
      'a cron text as an interval',
      "{ every: '*/10 * * * *' }",
      'option refresh.every is "*/10 * * * *"',
      "A cron text goes into cron: refresh: { cron: '*/10 * * * *', timeZone: 'Europe/London' }.",
    ],
    ['an empty cron text', "{ cron: '' }", 'option refresh.cron is ""', `${fields}.`],
    ['a cron that is no text', '{ cron: 5 }', 'option refresh.cron is 5', `${fields}.`],
    [
      'too few fields',
      "{ cron: '*/10' }",
      'option refresh.cron is "*/10", which has 1 field',
      `${fields}, or six with seconds in front. An interval goes into every.`,
    ],
    [
      'an interval as a cron text',
      "{ cron: '10 minutes' }",
      'option refresh.cron is "10 minutes", which has 2 fields',
      `${fields}, or six with seconds in front. An interval goes into every.`,
    ],
    [
      'too many fields',
      "{ cron: '0 0 6 * * * 2026' }",
      'option refresh.cron is "0 0 6 * * * 2026", which has 7 fields',
      `${fields}, or six with seconds in front. An interval goes into every.`,
    ],
    [
      'a misspelt time zone',
      "{ cron: '@daily', timeZone: 'Europe/Londn' }",
      'option refresh.timeZone is "Europe/Londn", which is no time zone',
      'Did you mean Europe/London?',
    ],
    [
      'an unknown time zone',
      "{ cron: '@daily', timeZone: 'Mars/Olympus' }",
      'option refresh.timeZone is "Mars/Olympus", which is no time zone',
      zone,
    ],
    ['an empty time zone', "{ cron: '@daily', timeZone: '' }", 'option refresh.timeZone is ""', zone],
    ['a time zone as a number', "{ cron: '@daily', timeZone: 1 }", 'option refresh.timeZone is 1', zone],
    [
      'a misspelt option',
      "{ every: '1 day', timezone: undefined, corn: '@daily' }",
      'refresh has no option "timezone"',
      'Did you mean timeZone?',
      'refresh has no option "corn"',
      'Did you mean cron?',
    ],
    [
      'an interval by another name',
      "{ interval: '1 day' }",
      'refresh has no option "interval"',
      "Write refresh: { every: '10 minutes' }.",
      'refresh has neither every nor cron',
      both,
    ],
  ])('with %s', async (_what, refresh, ...told) => {
    const options = `{ name: 'sold', query: sql\`select 1 as id\`, refresh: ${refresh} }`
    const texts = told.flatMap((message, at) =>
      at % 2 === 0 ? [`a.ts:2: ${message}\n  ${told[at + 1]}`] : [],
    )

    expect(await mistakesOfOptions(options, 'defineView')).toEqual(texts)
  })
})
