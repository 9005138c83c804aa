/**
 * What people may write after `NOTIFY pgfresh,`, and what is said of anything else.
 */
import { describe, expect, it } from 'vitest'
import { parsePayload } from '../../../src/daemon/payload.ts'
import { OperatorError } from '../../../src/kernel/errors.ts'

describe('a payload', () => {
  it.each([
    ['venue', '"venue"', null],
    ['Venue', '"venue"', null],
    ['sales.venue', '"sales"."venue"', null],
    ['sales."Order"', '"sales"."Order"', null],
    ['venue:42', '"venue"', '42'],
    ['"Odd:Name":42', '"Odd:Name"', '42'],
    ['"a""b:c":x', '"a""b:c"', 'x'],
    ['sales."Order":7', '"sales"."Order"', '7'],
    ['slot:2026-01-31 20:15:00', '"slot"', '2026-01-31 20:15:00'],
    ['venue:9007199254740993', '"venue"', '9007199254740993'],
    ['café:ü 1', '"café"', 'ü 1'],
  ])('%s names its target and, after a colon, a key as it was written', (payload, target, key) => {
    expect(parsePayload(payload)).toEqual({ target, key, json: null })
  })

  it.each([
    ['{"target":"venue"}', '"venue"'],
    [' {"target": "sales.\\"Order\\"", "keys": null, "columns": null} ', '"sales"."Order"'],
    ['{"target":"venue","keys":[[9007199254740993]],"columns":["country_id"]}', '"venue"'],
  ])('%s is handed on as it was written', (payload, target) => {
    expect(parsePayload(payload)).toEqual({ target, key: null, json: payload })
  })

  it.each([
    ['', 'it is empty'],
    ['  ', 'it is empty'],
    ['venue:', 'there is no key after the colon'],
    ['venue: ', 'there is no key after the colon'],
    [':42', '"" is not a name as SQL writes it'],
    ['a b', '"a b" is not a name as SQL writes it'],
    ['"venue', '"\\"venue" is not a name as SQL writes it'],
    ['db.sales.venue', '"db.sales.venue" has more than two parts'],
    ['{"target":"venue"', 'it is no JSON: '],
    ['["venue"]', 'it is no JSON object'],
    ['{}', '"target" is missing'],
    ['{"target":7}', '"target" is no string'],
    ['{"target":"a b"}', '"a b" is not a name as SQL writes it'],
    ['{"target":"venue","key":[42]}', 'there is no field "key"'],
    ['{"target":"venue","keys":42}', '"keys" is no array of keys'],
    ['{"target":"venue","keys":[]}', '"keys" is no array of keys'],
    ['{"target":"venue","columns":"country_id"}', '"columns" is no array of column names'],
    ['{"target":"venue","columns":[1]}', '"columns" is no array of column names'],
    ['{"target":"venue","columns":[]}', '"columns" is no array of column names'],
  ])('%s is refused with what was expected', (payload, problem) => {
    const read = () => parsePayload(payload)

    expect(read).toThrow(problem)
    expect(read).toThrow(OperatorError)
    try {
      read()
    } catch (error) {
      expect((error as OperatorError).hint).toContain(`NOTIFY pgfresh, 'venue'`)
    }
  })
})
