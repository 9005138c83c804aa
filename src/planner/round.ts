/**
 * One planner round: what is new becomes work, and the watermark moves, in one transaction (invariant 1).
 *
 * One round at a time over all replicas (the state row's lock), in two messages: take the turn and read; then route,
 * top up, store the watermark by compare-and-set, commit. What fails of one definition must not stop the others or the
 * log: the round is made again with each of these statements in a savepoint, and a route's place is taken by a walk over all keys.
 */
import type { Session } from '../db/session.ts'
import { tag } from '../db/transaction.ts'
import { chainDepths } from '../materialization/chains.ts'
import { noteFailing, noteHeld } from '../materialization/failing.ts'
import type { Catalogue, Stored, StoredCapture } from '../materialization/store.ts'
import { takeBackSql } from '../queue/aside.ts'
import { recheckEverythingSql } from './foreign.ts'
import { hasRoom, hasRoomForDeferred, type Look } from './look.ts'
import { type Reading, takeTurn, windowLimit } from './read.ts'
import {
  captureRoutings,
  concernsOne,
  type FailedRouting,
  oneByOne,
  type Routing,
  type RoutingContext,
} from './routing.ts'
import { nextSweepStep, type SweepStep } from './sweep.ts'
import { expandSql, requestCapture, requestsSql } from './tasks-sql.ts'
import { finishWalksSql, moveDueSql, retryQuarantineSql, storeWatermarkSql, stretchSql } from './top-up.ts'
import { promptAllViewsSql, viewPromptsSql } from './view-prompts.ts'

/** What a round works with. */
export interface RoundContext {
  readonly session: Session
  readonly catalogue: Catalogue
  readonly look: Look
  /** Keys in one task of this materialization at most. */
  readonly chunkOf: (stored: Stored) => number
  /** Materializations whose sweep has a step due. */
  readonly sweeps: readonly Stored[]
  /** Run each definition's statements in savepoints of their own: after a round in which one failed. */
  readonly careful: boolean
}

/** What came of it. */
export type RoundOutcome =
  /** Somebody else has the turn. */
  | { readonly kind: 'taken' }
  /** apply stored something new since: load the catalogue. */
  | { readonly kind: 'superseded' }
  | {
      readonly kind: 'planned'
      /** The window was cut: there is more. */
      readonly more: boolean
      readonly sweeps: ReadonlyMap<string, number>
      /** Statements that failed, each of one definition. */
      readonly failed: readonly FailedRouting[]
      readonly strangers: readonly string[]
      /** Views may have been asked for. */
      readonly prompted: boolean
    }
  /** A statement of one definition raised an error: make a careful round. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The watermark was worth nothing; everything is checked again. */
  | { readonly kind: 'rechecked' }

/** Ready range tasks kept ahead of the workers, and how many a round adds at most. */
export const rangesAhead = 16

/** Makes one round. */
export async function planRound(context: RoundContext): Promise<RoundOutcome> {
  const { session, catalogue, look } = context
  const room = hasRoom(look)
  const reading = await takeTurn(session, room ? windowLimit : 0)
  if (reading === null) return { kind: 'taken' }
  if (!reading.home) {
    await session.run(recheckEverythingSql(reading.watermarkId))
    return { kind: 'rechecked' }
  }
  if (reading.epoch !== catalogue.epoch) {
    await session.rollback()
    return { kind: 'superseded' }
  }
  const sweeps = new Map<string, SweepStep>()
  for (const stored of context.sweeps) {
    sweeps.set(stored.id, await nextSweepStep(session, stored, context.chunkOf(stored)))
  }
  const { routes, strangers } = routings(context, reading)
  const statements = [...routes, ...stretches(context), ...sweepRoutings(context.sweeps, sweeps)]
  const rest = [
    ...(reading.huge === null ? [] : [expandSql(reading.huge), ...promptAllViewsSql(catalogue)]),
    ...viewPromptsSql(catalogue, capturesRead(catalogue, reading), reading),
    ...(reading.entries.some((entry) => entry.op === 'R')
      ? [requestsSql({ seen: reading.seen, upto: reading.upto }, { kind: 'queue' })]
      : []),
    ...(look.dueInMs === 0 && hasRoomForDeferred(look) ? [moveDueSql, takeBackSql, retryQuarantineSql] : []),
    ...(look.walks.some((walk) => walk.done) ? [finishWalksSql] : []),
    storeWatermarkSql(reading.watermarkId, reading.upto),
    'commit',
  ]
  const planned = (failed: readonly FailedRouting[]): RoundOutcome => ({
    kind: 'planned',
    more: reading.cut,
    sweeps: new Map([...sweeps].map(([id, step]) => [id, step.pauseMs])),
    failed,
    strangers,
    prompted: reading.entries.some((entry) => entry.op === 'R'),
  })
  if (context.careful) {
    const failed = await oneByOne(session, statements)
    await session.run(rest.join(';\n'))
    return planned(failed)
  }
  try {
    await session.run(`${tag('plan')} ${[...statements.map(({ sql }) => sql), ...rest].join(';\n')}`)
    return planned([])
  } catch (error) {
    if (session.lost || !concernsOne(error) || statements.length === 0) throw error
    await session.rollback()
    return { kind: 'failed', error }
  }
}

function capturesRead(catalogue: Catalogue, reading: Reading): StoredCapture[] {
  const read = new Set(reading.entries.map((entry) => entry.capture))
  return catalogue.captures.filter((capture) => read.has(capture.id))
}

function routings(context: RoundContext, reading: Reading): { routes: Routing[]; strangers: string[] } {
  const captures = new Map(context.catalogue.captures.map((capture) => [capture.id, capture]))
  const operations = Map.groupBy(reading.entries, (entry) => entry.capture)
  const routes: Routing[] = []
  const routing: RoutingContext = {
    catalogue: context.catalogue,
    chunkOf: context.chunkOf,
    entries: { seen: reading.seen, upto: reading.upto },
    destination: { kind: 'queue' },
    walks: context.look.walks,
  }
  const strangers: string[] = []
  for (const [id, entries] of operations) {
    const capture = captures.get(id)
    const ops = new Set(entries.map((entry) => entry.op))
    if (capture !== undefined) routes.push(...captureRoutings(routing, capture, ops))
    else if (id !== requestCapture) strangers.push(id)
  }
  return { routes, strangers }
}

/**
 * The next stretch of the walk that is first in line, if the queue has room for it: by priority, and in a chain the
 * materialization that is read before the one that reads it.
 */
function stretches({ catalogue, look, chunkOf }: RoundContext): Routing[] {
  const room = rangesAhead - look.ready.backfill
  if (room <= 0) return []
  const depths = chainDepths(catalogue)
  const open = look.walks.flatMap((walk) => {
    const stored = catalogue.materializations.find((one) => one.id === walk.materialization)
    if (stored === undefined || stored.paused || walk.planned) return []
    return [{ stored, walk, depth: depths.get(stored.id) ?? 0 }]
  })
  const [next] = open.sort(
    (a, b) =>
      b.stored.compiled.priority - a.stored.compiled.priority ||
      a.depth - b.depth ||
      Number(a.walk.id) - Number(b.walk.id),
  )
  if (next === undefined) return []
  const { stored, walk } = next
  return [
    {
      sql: stretchSql(stored, walk.id, chunkOf(stored), room),
      instead: noteOf(stored),
      stored,
      attempt: 'walk over all keys',
    },
  ]
}

function sweepRoutings(swept: readonly Stored[], steps: ReadonlyMap<string, SweepStep>): Routing[] {
  return swept.flatMap((stored) => {
    const step = steps.get(stored.id)
    return step === undefined
      ? []
      : [{ sql: step.sql, instead: noteOf(stored), stored, attempt: 'look for expired rows' }]
  })
}

function noteOf(stored: Stored): Routing['instead'] {
  return ({ message, held }) => (held ? noteHeld(stored.id) : noteFailing(stored.id, message))
}
