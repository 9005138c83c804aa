/**
 * From the entries of a capture to the statements that make work of them, for a round and for an expand task alike.
 */
import type { Entries } from '../capture/changed.ts'
import type { Session } from '../db/session.ts'
import { healing, sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import type { Catalogue, Stored, StoredCapture } from '../materialization/store.ts'
import type { Walk } from './look.ts'
import { canRoute, type Destination, routeSql, walkSql } from './tasks-sql.ts'

/** A statement of a round that runs people's SQL or touches their tables, and what does instead should it fail. */
export interface Routing {
  readonly sql: string
  readonly instead: (failure: Failure) => string
  readonly stored: Stored
  /** What was attempted, for logs. */
  readonly attempt: string
}

/** An error, and whether it was just that a lock was not to be had in time. */
export interface Failure {
  readonly message: string
  readonly held: boolean
}

/** A statement that raised an error. */
export interface FailedRouting extends Failure {
  readonly stored: Stored
  readonly attempt: string
  readonly error: unknown
}

/** What routing needs to know. */
export interface RoutingContext {
  readonly catalogue: Catalogue
  /** Keys in one task of this materialization at most. */
  readonly chunkOf: (stored: Stored) => number
  readonly entries: Entries
  readonly destination: Destination
  /** Unfinished walks. */
  readonly walks: readonly Walk[]
}

/** The statements for all entries of one capture; `ops` are the operations among them. */
export function captureRoutings(
  context: RoutingContext,
  capture: StoredCapture,
  ops: ReadonlySet<string>,
): Routing[] {
  const { catalogue, chunkOf, entries, destination, walks } = context
  const rows = ['I', 'U', 'D'].some((op) => ops.has(op))
  const concerned = catalogue.materializations.flatMap((stored) =>
    stored.compiled.routes
      .filter((route) => route.sourceOid === capture.source)
      .map((route) => ({ stored, route })),
  )
  return concerned.flatMap(({ stored, route }) => {
    const source = `${route.source.schema}.${route.source.name}`
    const walk = walkSql(`select ${Number(stored.id)} as id`, `change of ${source}`)
    const instead = () => walk
    const attempt = `route changes of ${source}`
    // A truncated target has no rows left that could be stale.
    const truncated = ops.has('T') && !(route.kind === 'key' && route.sourceOid === stored.targetOid)
    if (truncated || ops.has('A') || (rows && !canRoute(route, capture)))
      return [{ sql: walk, instead, stored, attempt }]
    if (!rows) return []
    // The walks of what is paused are not among those seen.
    const firstWalk =
      stored.paused || walks.some((walk) => walk.materialization === stored.id && walk.first && !walk.planned)
    const sql = routeSql({
      stored,
      route,
      capture,
      entries,
      chunk: chunkOf(stored),
      destination: stored.paused && destination.kind === 'queue' ? { kind: 'aside' } : destination,
      firstWalk,
    })
    return [{ sql, instead, stored, attempt }]
  })
}

/** True for an error that lies with one definition or its tables (a lock on one of them, too), not with the database as a whole. */
export function concernsOne(error: unknown): boolean {
  return healing(error) !== 'retry' || sqlstateOf(error) === sqlstate.lockNotAvailable
}

/** Runs each in a savepoint of its own; what fails is replaced, if its error is one that `replaceable` says may be. */
export async function oneByOne(
  session: Session,
  routings: readonly Routing[],
  replaceable: (error: unknown) => boolean = concernsOne,
): Promise<FailedRouting[]> {
  const failed: FailedRouting[] = []
  for (const { sql, instead, stored, attempt } of routings) {
    try {
      await session.run(`savepoint route; ${sql}; release route`)
    } catch (error) {
      if (session.lost || !replaceable(error)) throw error
      const failure = {
        message: error instanceof Error ? error.message : String(error),
        held: sqlstateOf(error) === sqlstate.lockNotAvailable,
      }
      await session.run(`rollback to route; release route; ${instead(failure)}`)
      failed.push({ stored, attempt, error, ...failure })
    }
  }
  return failed
}
