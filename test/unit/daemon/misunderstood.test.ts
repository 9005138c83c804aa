/**
 * A flood of requests that nobody can carry out is no flood in the log.
 */
import { describe, expect, it } from 'vitest'
import { Misunderstood } from '../../../src/daemon/misunderstood.ts'
import { type Log, type LogFields, silentLog } from '../../../src/kernel/log.ts'

function setUp() {
  const warned: { fields: LogFields; message: string }[] = []
  const log: Log = { ...silentLog, warn: (fields, message) => warned.push({ fields, message }) }
  const clock = { now: 0 }
  return { warned, clock, misunderstood: new Misunderstood(log, () => clock.now) }
}

describe('a request that can not be carried out', () => {
  it('is told once, until it could be carried out in between', () => {
    const { warned, misunderstood } = setUp()

    for (let n = 0; n < 100; n += 1) misunderstood.tell('h', 'veneu', 'no such table', 'write venue')
    expect(warned).toEqual([
      {
        fields: { payload: 'veneu', problem: 'no such table', expected: 'write venue' },
        message: 'a request by NOTIFY can not be carried out',
      },
    ])

    misunderstood.understood('h')
    misunderstood.tell('h', 'veneu', 'no such table', 'write venue')
    expect(warned).toHaveLength(2)
  })

  it('is one of twenty that are told in a minute, however many different ones there are', () => {
    const { warned, clock, misunderstood } = setUp()
    const flood = () => {
      for (let n = 0; n < 10_000; n += 1) misunderstood.tell(`${clock.now} ${n}`, 'x'.repeat(7_000), 'a', 'b')
    }

    flood()
    expect(warned).toHaveLength(21)
    expect(warned.at(-1)).toEqual({
      fields: { seconds: 60 },
      message: 'too many requests by NOTIFY can not be carried out: no more of them are shown for a while',
    })
    expect(String(warned[0]?.fields.payload).length, 'characters of the payload that are shown').toBe(201)

    clock.now = 60_000
    flood()
    expect(warned).toHaveLength(42)
  })

  it('is not remembered for ever', () => {
    const { warned, clock, misunderstood } = setUp()
    for (let n = 0; n < 1_001; n += 1) {
      misunderstood.tell(String(n), 'x', 'a', 'b')
      clock.now += 60_000
    }
    misunderstood.tell('1000', 'x', 'a', 'b')
    expect(warned).toHaveLength(1_001)

    misunderstood.tell('0', 'x', 'a', 'b')

    expect(warned).toHaveLength(1_002)
  })
})
