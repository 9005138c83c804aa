/** The demo's command line: what it takes, and the words for what it doesn't. */
import { describe, expect, test } from 'vitest'
import { parseDemoOptions } from '../../demo/options.ts'

describe('the demo', () => {
  test('runs until Ctrl-C when nothing is said', () => {
    expect(parseDemoOptions([])).toEqual({ seconds: null, json: false, rate: 500, help: false })
  })

  test('takes seconds, rate and json', () => {
    const options = parseDemoOptions(['--seconds', '25', '--json', '--rate=1000'])

    expect(options).toEqual({ seconds: 25, json: true, rate: 1000, help: false })
  })

  test.each([
    [['--seconds', 'soon'], '--seconds takes a whole number from 1 to 86400, not "soon"'],
    [['--seconds', '0'], '--seconds takes a whole number from 1 to 86400, not "0"'],
    [['--seconds', '2.5'], '--seconds takes a whole number from 1 to 86400, not "2.5"'],
    [['--seconds', ''], '--seconds takes a whole number from 1 to 86400, not ""'],
    [['--rate', '1e3'], '--rate takes a whole number from 1 to 100000, not "1e3"'],
    [['--json'], '--json needs --seconds N: the result is printed at the end'],
    [['--second', '25'], "Unknown option '--second'"],
    [['25'], "Unexpected argument '25'"],
  ])('refuses %j', (argv, message) => {
    expect(() => parseDemoOptions(argv)).toThrow(message)
  })
})
