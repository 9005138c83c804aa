/**
 * What the loops of one daemon share. Nothing here is the truth: that is in the database; this is what was last seen of
 * it, and an older view only costs time.
 */
import { randomUUID } from 'node:crypto'
import type { Session } from '../db/session.ts'
import { type Catalogue, loadCatalogue, type Stored, type StoredView } from '../materialization/store.ts'
import type { Walk } from '../planner/look.ts'
import { Pace } from './pace.ts'

/** The shared state of a daemon. */
export class DaemonState {
  /** This daemon's name in pgfresh.daemon and pgfresh.execution. */
  readonly id = randomUUID()
  readonly pace = new Pace()
  /** Floors of the newest watermark seen. */
  floor: readonly string[] = []
  /** Unfinished walks, as last seen. */
  walks: readonly Walk[] = []
  /** The server's clock when the log last had nothing new and the queue nothing ready, or null. */
  caughtUpAt: string | null = null
  #catalogue: Catalogue

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue
  }

  get catalogue(): Catalogue {
    return this.#catalogue
  }

  /** Loads the catalogue if it is of another epoch than this. */
  async follow(session: Session, epoch: string): Promise<void> {
    if (epoch !== this.#catalogue.epoch) this.#catalogue = await loadCatalogue(session)
  }

  /** Loads the catalogue whatever its epoch. */
  async reload(session: Session): Promise<void> {
    this.#catalogue = await loadCatalogue(session)
  }

  /** The stored materialization with this id, or undefined. */
  stored(id: string | null): Stored | undefined {
    return this.#catalogue.materializations.find((one) => one.id === id)
  }

  /** What apply stored of the view with this row in the schedule; undefined for a row of people's own. */
  view(schedule: string): StoredView | undefined {
    return this.#catalogue.views.find((one) => one.schedule === schedule)
  }

  /** Rows for one batch of this materialization: what fits the time budget, within the definition's own limit. */
  readonly chunkOf = (stored: Stored): number => {
    const rows = this.pace.rows(stored.id)
    return Math.max(1, Math.min(rows, stored.compiled.batch ?? rows))
  }
}
