/** Loops and backoff, without a database and without time: timers fire when a test lets them. */
import { describe, expect, test, vi } from 'vitest'
import { Backoff, Loop, type LoopOptions } from '../../src/kernel/lifecycle.ts'
import { createManualTimers } from '../support/manual-timers.ts'

describe('backoff', () => {
  test('delays double from the first to the longest, and begin anew after a reset', () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 1_000, random: () => 0 })

    const delays = [1, 2, 3, 4, 5, 6].map(() => backoff.next().delayMs)
    expect(delays).toEqual([100, 200, 400, 800, 1_000, 1_000])

    backoff.reset()
    expect(backoff.next()).toEqual({ failures: 1, delayMs: 100 })
  })

  test('chance shortens a delay by up to a half', () => {
    const delays = [0, 0.5, 0.998].map((value) => new Backoff({ minMs: 1_000, random: () => value }).next())

    expect(delays.map(({ delayMs }) => delayMs)).toEqual([1_000, 750, 501])
  })

  test('thousands of failures neither overflow nor outgrow the longest delay', () => {
    const backoff = new Backoff({ maxMs: 5_000, random: () => 0 })

    for (let failure = 0; failure < 5_000; failure++) backoff.next()

    expect(backoff.next()).toEqual({ failures: 5_001, delayMs: 5_000 })
  })
})

describe('a loop', () => {
  test('rests as long as its body says, and goes on at once after 0', async () => {
    const rests = [0, 0, 50, 70]
    const { loop, timers, body } = looping(async () => rests.shift() ?? Infinity)
    void loop.start()

    await timers.settle()
    expect(body).toHaveBeenCalledTimes(3)
    expect(timers.pending()).toEqual([50])

    await timers.advance(49)
    expect(body).toHaveBeenCalledTimes(3)

    await timers.advance(1)
    expect(body).toHaveBeenCalledTimes(4)
    await timers.advance(70)
    expect(body).toHaveBeenCalledTimes(5)
    await loop.stop()
  })

  test('a wake-up ends its rest, and leaves no timer behind', async () => {
    const { loop, timers, body } = looping(async () => 1_000)
    void loop.start()
    await timers.settle()

    loop.wake()
    await timers.settle()

    expect(body).toHaveBeenCalledTimes(2)
    expect(timers.pending()).toEqual([1_000])
    await loop.stop()
  })

  test('a wake-up during a turn is not lost: it cancels the rest that follows, once', async () => {
    const turn = gate()
    const { loop, timers, body } = looping(async () => {
      await turn.opened
      return 1_000
    })
    void loop.start()
    await timers.settle()

    loop.wake()
    loop.wake()
    turn.open()
    await timers.settle()

    expect(body).toHaveBeenCalledTimes(2)
    expect(timers.pending()).toEqual([1_000])
    await loop.stop()
  })

  test('never runs two turns at once, however often it is started and woken', async () => {
    const turn = gate()
    let inside = 0
    let most = 0
    const { loop, timers, body } = looping(async () => {
      inside += 1
      most = Math.max(most, inside)
      await turn.opened
      inside -= 1
      return 1_000
    })

    const ends = [loop.start(), loop.start()]
    loop.wake()
    await timers.settle()
    expect(body).toHaveBeenCalledTimes(1)

    turn.open()
    await loop.stop()
    expect(await Promise.all(ends)).toEqual([{ kind: 'stopped' }, { kind: 'stopped' }])
    expect(most).toBe(1)
  })

  test('an error is tried again ever later, and a turn that returns forgives all', async () => {
    const outcomes = ['fail', 'fail', 'fail', 'work', 'fail']
    const { loop, timers, onError } = looping(async () => {
      if (outcomes.shift() === 'fail') throw new Error('no luck')
      return 10
    })
    void loop.start()

    await timers.settle()
    expect(timers.pending()).toEqual([100])
    await timers.advance(100)
    expect(timers.pending()).toEqual([200])
    await timers.advance(200)
    expect(timers.pending()).toEqual([400])
    await timers.advance(400)
    expect(timers.pending()).toEqual([10])
    await timers.advance(10)
    expect(timers.pending()).toEqual([100])

    expect(onError.mock.calls.map(([, failure]) => failure)).toEqual([
      { failures: 1, delayMs: 100 },
      { failures: 2, delayMs: 200 },
      { failures: 3, delayMs: 400 },
      { failures: 1, delayMs: 100 },
    ])
    await loop.stop()
  })

  test('a wake-up does not hurry a loop that backs off', async () => {
    const { loop, timers, body } = looping(async () => {
      throw new Error('no luck')
    })
    void loop.start()
    await timers.settle()

    loop.wake()
    await timers.settle()
    expect(body).toHaveBeenCalledTimes(1)

    await timers.advance(100)
    expect(body).toHaveBeenCalledTimes(2)
    await loop.stop()
  })

  test('ends with the error that onError gives up on', async () => {
    const error = new Error('a bug')
    const { loop, timers, body } = looping(
      async () => {
        throw error
      },
      { onError: () => 'stop' },
    )

    expect(await loop.start()).toEqual({ kind: 'failed', error })
    await loop.stop()
    await timers.advance(100_000)
    expect(body).toHaveBeenCalledTimes(1)
  })

  test('ends with what onError throws, instead of an unhandled rejection', async () => {
    const { loop } = looping(
      async () => {
        throw new Error('no luck')
      },
      {
        onError: (error) => {
          throw new Error('no idea', { cause: error })
        },
      },
    )

    expect(await loop.start()).toMatchObject({ kind: 'failed', error: { message: 'no idea' } })
  })

  test('stop waits for the turn to end, and no other begins', async () => {
    const turn = gate()
    const { loop, timers, body } = looping(async () => {
      await turn.opened
      return 0
    })
    const end = loop.start()
    await timers.settle()

    let stopped = false
    const stopping = loop.stop().then(() => {
      stopped = true
    })
    await timers.settle()
    expect(loop.signal.aborted).toBe(true)
    expect(stopped).toBe(false)

    turn.open()
    await stopping
    expect(await end).toEqual({ kind: 'stopped' })
    expect(body).toHaveBeenCalledTimes(1)
  })

  test.each(['rest', 'backoff'])('stop ends a %s at once and leaves no timer behind', async (kind) => {
    const { loop, timers } = looping(async () => {
      if (kind === 'backoff') throw new Error('no luck')
      return Infinity
    })
    const end = loop.start()
    await timers.settle()
    expect(timers.pending()).toHaveLength(1)

    await loop.stop()
    await loop.stop()

    expect(await end).toEqual({ kind: 'stopped' })
    expect(timers.pending()).toEqual([])
  })

  test('what a stop aborts is no failure, another error of the last turn is one', async () => {
    const ends = []
    const asked: unknown[] = []
    for (const late of [undefined, new Error('it broke meanwhile')]) {
      const { loop, timers, onError } = looping(async (signal) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        throw late ?? signal.reason
      })
      const end = loop.start()
      await timers.settle()
      await loop.stop()
      ends.push(await end)
      asked.push(onError.mock.calls.map(([error]) => error))
    }

    expect(ends).toEqual([{ kind: 'stopped' }, { kind: 'stopped' }])
    expect(asked).toEqual([[], [new Error('it broke meanwhile')]])
  })

  test('a loop that was stopped before its start runs no turn', async () => {
    const { loop, body } = looping(async () => 0)

    await loop.stop()

    expect(await loop.start()).toEqual({ kind: 'stopped' })
    expect(body).not.toHaveBeenCalled()
  })

  test('a body may sleep within its turn, and is woken there', async () => {
    const slept: string[] = []
    const { loop, timers } = looping(async () => {
      slept.push('falls asleep')
      await loop.sleep(5_000)
      slept.push('is awake')
      return Infinity
    })
    void loop.start()
    await timers.settle()
    expect(slept).toEqual(['falls asleep'])

    loop.wake()
    await timers.settle()
    expect(slept).toEqual(['falls asleep', 'is awake'])

    // That wake-up is used up: the rest after the turn is a whole one.
    expect(timers.pending()).toHaveLength(1)
    await loop.stop()
  })

  test('a body that never waits starves nobody, and real timers do without a test', async () => {
    const loop = new Loop({ body: async () => 0, onError: () => 'stop' })
    const end = loop.start()

    await new Promise((resolve) => setTimeout(resolve, 5))
    await loop.stop()
    expect(await end).toEqual({ kind: 'stopped' })
  })
})

function looping(turn: LoopOptions['body'], more: Partial<LoopOptions> = {}) {
  const timers = createManualTimers()
  const body = vi.fn(turn)
  const onError = vi.fn(more.onError ?? (() => 'retry' as const))
  const backoff = { minMs: 100, random: () => 0 }
  const loop = new Loop({ backoff, startTimer: timers.startTimer, ...more, body, onError })
  return { loop, timers, body, onError }
}

function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}
