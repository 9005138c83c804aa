/**
 * defineView: what people call in a definition file. Re-exported by src/index.ts.
 */
import type { AnyDatabase } from './compile.ts'
import type { ViewDeclaration } from './declaration.ts'
import { declare } from './declare.ts'
import type { ViewDefinition } from './definition.ts'
import { readViewOptions } from './read-view-options.ts'
import type { ViewOptions } from './view-options.ts'

/**
 * Declares a materialized view, which `pgfresh apply` makes and the daemon fills and refreshes: on a schedule, or only when
 * somebody asks.
 *
 * With a `key` it can be read while it is refreshed. Export what it returns, by a name of its own, as the default, or in an
 * array; the export's name shows up in logs.
 *
 * @example
 * export const lastWeekEvent = defineView({
 *   name: 'last_week_event',
 *   query: sql`select * from event where starts_at >= now() - interval '7 days' and starts_at < now()`,
 *   key: ['id'],
 *   refresh: { every: '10 minutes' },
 * })
 *
 * @example
 * export const soldByVenue = defineView({
 *   name: 'reporting.sold_by_venue',
 *   query: (db) =>
 *     db.selectFrom('showtime').groupBy('venue_id').select(({ fn }) => ['venue_id', fn.sum('sold').as('sold')]),
 *   key: ['venue_id'],
 *   refresh: { cron: '0 6 * * *', timeZone: 'Europe/London' },
 *   skipUnchanged: true,
 *   settings: { work_mem: '256MB' },
 * })
 */
export function defineView<DB = AnyDatabase>(options: ViewOptions<DB>): ViewDeclaration {
  return declare<ViewDefinition>(
    {
      kind: 'view',
      callee: defineView,
      example: "defineView({ name: 'last_week_event', query: sql`select …` })",
      read: readViewOptions,
    },
    options,
  )
}
