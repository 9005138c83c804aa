/**
 * The execution history: successes folded to one row per materialization, cause and minute, errors one by one.
 * Batches don't write it (their transactions stay short); it is flushed now and then and at the end.
 */
import { quoteLiteral } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { sqlstateOf } from '../db/sqlstate.ts'
import { begin } from '../db/transaction.ts'
import type { BatchSummary } from '../refresh/batch-sql.ts'

interface Folded {
  batches: number
  checked: number
  written: number
  busyMs: number
}

interface Failure {
  readonly materialization: string
  readonly why: string
  readonly error: unknown
  readonly keys: string | null
}

/** Errors kept until the next flush: past this many only the first are told. */
const failureLimit = 500

/** What ran since the last flush. */
export class History {
  readonly #daemon: string
  #done = new Map<string, Folded>()
  #failures: Failure[] = []

  /** `daemon` is this daemon's id. */
  constructor(daemon: string) {
    this.#daemon = daemon
  }

  /** A batch succeeded. */
  done(materialization: string, why: string, summary: BatchSummary, ms: number): void {
    const name = JSON.stringify([materialization, why])
    const folded = this.#done.get(name) ?? { batches: 0, checked: 0, written: 0, busyMs: 0 }
    folded.batches += 1
    folded.checked += summary.locked
    folded.written += summary.written
    folded.busyMs += ms
    this.#done.set(name, folded)
  }

  /** A key went to quarantine (`keys`: a JSON array with it), or a definition fails. */
  failed(failure: Failure): void {
    if (this.#failures.length < failureLimit) this.#failures.push(failure)
  }

  /** Writes what was gathered. A definition that succeeded again is no longer called failing. */
  async flush(session: Session): Promise<void> {
    const [done, failures] = [this.#done, this.#failures]
    if (done.size === 0 && failures.length === 0) return
    this.#done = new Map()
    this.#failures = []
    try {
      const statements = [
        ...foldedSql(this.#daemon, done),
        ...failures.map((one) => failureSql(this.#daemon, one)),
      ]
      await session.run(`${begin()} ${statements.join(';\n')}; commit`)
    } catch (error) {
      // Kept for the next time; what came in between is added to it.
      for (const [name, folded] of this.#done) {
        const before = done.get(name)
        done.set(name, before === undefined ? folded : sum(before, folded))
      }
      this.#done = done
      this.#failures = [...failures, ...this.#failures]
      throw error
    }
  }
}

function sum(a: Folded, b: Folded): Folded {
  return {
    batches: a.batches + b.batches,
    checked: a.checked + b.checked,
    written: a.written + b.written,
    busyMs: a.busyMs + b.busyMs,
  }
}

function foldedSql(daemon: string, done: ReadonlyMap<string, Folded>): string[] {
  if (done.size === 0) return []
  const ids = new Set<string>()
  const folded = [...done].map(([name, { batches, checked, written, busyMs }]) => {
    const [materialization, why] = JSON.parse(name) as [string, string]
    ids.add(materialization)
    const values = `${Number(materialization)}, ${quoteLiteral(why)}, ${batches}, ${checked}, ${written}, ${busyMs}`
    return `with v(materialization, why, batches, checked, written, busy_ms) as (values (${values})),
      same as (update pgfresh.execution e set batches = e.batches + v.batches, rows_checked = e.rows_checked + v.checked,
          rows_written = e.rows_written + v.written, busy_ms = e.busy_ms + v.busy_ms, ended_at = pg_catalog.now()
        from v where e.materialization = v.materialization and e.why = v.why and e.daemon = ${quoteLiteral(daemon)} and e.outcome = 'done'
          and e.ended_at >= pg_catalog.date_trunc('minute', pg_catalog.now()) and e.started_at >= pg_catalog.date_trunc('minute', pg_catalog.now())
        returning e.id)
      insert into pgfresh.execution (materialization, daemon, why, outcome, started_at, ended_at, batches, rows_checked, rows_written, busy_ms)
      select v.materialization, ${quoteLiteral(daemon)}, v.why, 'done', pg_catalog.now(), pg_catalog.now(), v.batches, v.checked, v.written, v.busy_ms
      from v where not exists (select from same)`
  })
  const healed = `update pgfresh.materialization set error = null, error_at = null, retry_at = null
    where error is not null and error_at < pg_catalog.now() - interval '5 s' and id in (${[...ids].map(Number).join(', ')})`
  return [...folded, healed]
}

function failureSql(daemon: string, { materialization, why, error, keys }: Failure): string {
  const literal = (value: string | null) => (value === null ? 'null' : quoteLiteral(value))
  const message = error instanceof Error ? error.message : String(error)
  return `insert into pgfresh.execution (materialization, daemon, why, outcome, started_at, ended_at, keys, error, sqlstate)
    values (${Number(materialization)}, ${quoteLiteral(daemon)}, ${quoteLiteral(why)}, 'failed', pg_catalog.now(), pg_catalog.now(),
      ${literal(keys)}, ${quoteLiteral(message)}, ${literal(sqlstateOf(error))})`
}
