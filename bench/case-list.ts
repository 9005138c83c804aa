/** All cases, in the order in which they run. options.ts and run.ts read it. */
import type { BenchCase } from './case.ts'
import { backfill } from './cases/backfill.ts'
import { heldHorizon } from './cases/held-horizon.ts'
import { writerBulk } from './cases/writer-bulk.ts'
import { writerInsert } from './cases/writer-insert.ts'
import { writerRead } from './cases/writer-read.ts'
import { writerUnread } from './cases/writer-unread.ts'

/** All cases. */
export const cases: readonly BenchCase[] = [
  writerUnread,
  writerRead,
  writerInsert,
  writerBulk,
  backfill,
  heldHorizon,
]

/** Their names, as `--case` takes them. */
export const caseNames: readonly string[] = cases.map(({ name }) => name)
