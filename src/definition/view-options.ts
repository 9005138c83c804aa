/**
 * What people may write in defineView: the manual of its options, as types.
 *
 * Checked again at run time by read-view-options.ts, since definition files run with their types stripped. Re-exported by src/index.ts.
 */
import type { CommonOptions, SqlSource } from './columns-options.ts'
import type { AnyDatabase } from './compile.ts'

/** When a view is refreshed: either this long after it last was, or at moments on the clock. */
export type ViewRefresh =
  | {
      /** From the end of one refresh to the start of the next: an interval as PostgreSQL reads it (`'10 minutes'`). */
      readonly every: string
      readonly cron?: undefined
      readonly timeZone?: undefined
    }
  | {
      /** Five fields (minute, hour, day of month, month, weekday), or six with seconds in front. Ticks that were missed count as one. */
      readonly cron: string
      /** On whose clocks: an IANA name (`'Europe/London'`). Default `'UTC'`. */
      readonly timeZone?: string | undefined
      readonly every?: undefined
    }

/** The options of defineView. */
export interface ViewOptions<DB = AnyDatabase> {
  /** The materialized view: an SQL identifier, qualified and quoted where it must be (`'last_week_event'`, `'reporting."Sold"'`). */
  readonly name: string
  /** One SELECT. When it changes, a new view is built beside the old one, which people can read until the two are swapped. */
  readonly query: SqlSource<DB>
  /**
   * Columns that tell its rows apart; they get a unique index. Needed to refresh the view while people read it. Exact names:
   * no quotes, capitals kept. Default: none, and whoever reads the view during a refresh waits until that is over.
   */
  readonly key?: readonly string[] | undefined
  /** When it is refreshed. Default: only when somebody asks. */
  readonly refresh?: ViewRefresh | undefined
  /** A refresh that takes longer is cancelled, and tried again later: an interval. Default `'30 minutes'`. */
  readonly maximumExecutionDuration?: string | undefined
  /**
   * Put triggers on the tables that it reads, and leave out refreshes while nothing of what it reads has changed. Not for
   * queries that read the clock, or what has no triggers. Default false: every refresh is made.
   */
  readonly skipUnchanged?: boolean | undefined
  /** Take over a materialized view of this name that exists already. Default false: it is never overwritten. */
  readonly adopt?: boolean | undefined
  /** Server settings of the transactions that build and refresh it, as in `{ work_mem: '256MB', enable_nestloop: false }`. */
  readonly settings?: CommonOptions['settings']
}
