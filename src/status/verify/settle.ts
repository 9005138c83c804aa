/**
 * Waits until what a comparison saw has been worked off, so that a change on its way isn't taken for drift.
 *
 * The gate of a comparison opens in two steps: every change visible in its snapshot has been planned, and all work of then is gone.
 * What still differs after that, and did not move, stays wrong. Called by verify.ts.
 */
import type { Session } from '../../db/session.ts'
import { tag } from '../../db/transaction.ts'
import { type Marks, Planned } from '../../planner/planned.ts'

/** What one comparison waits for. */
export class Gate {
  readonly #materialization: string
  readonly #planned: Planned

  /** `snapshot`: that of the comparison. */
  constructor(materialization: string, snapshot: string) {
    this.#materialization = materialization
    this.#planned = new Planned(snapshot)
  }

  /** True once everything visible in the comparison has been worked off. */
  async isOpen(session: Session): Promise<boolean> {
    const marks = await this.#planned.marks(session)
    return marks !== null && !(await isWorkLeft(session, this.#materialization, marks))
  }
}

async function isWorkLeft(
  session: Session,
  materialization: string,
  { task, walk }: Marks,
): Promise<boolean> {
  const [row] = await session.rows(
    `select exists (
       select from pgfresh.task where origin <= $2::bigint and materialization = $1::integer
       union all
       select from pgfresh.deferred where origin <= $2::bigint and materialization = $1::integer
       union all
       select from pgfresh.walk where id <= $3::bigint and materialization = $1::integer and finished_at is null
     )::text as left ${tag('verify: wait')}`,
    [materialization, task, walk],
  )
  return row?.left === 'true'
}
