/**
 * defineColumns: what people call in a definition file. Re-exported by src/index.ts.
 */
import type { ColumnsOptions } from './columns-options.ts'
import type { AnyDatabase } from './compile.ts'
import type { ColumnsDeclaration } from './declaration.ts'
import { declare } from './declare.ts'
import type { ColumnsDefinition } from './definition.ts'
import { readColumnsOptions } from './read-columns-options.ts'

/**
 * Declares materialized columns: extra columns of a table that you already have, which pgfresh keeps equal to what their
 * SQL returns, beside a `timestamptz` stamp that says when each row was computed.
 *
 * Either `columns` gives an expression for each column, correlated with the target by its table name, or `query` is one
 * SELECT that returns the target's key and all the columns. Export what it returns, by a name of its own, as the default,
 * or in an array; the export's name shows up in logs. Columns and stamp are made by `pgfresh apply`.
 *
 * @example
 * export const venue = defineColumns({
 *   table: 'venue',
 *   columns: {
 *     showtime_count: sql`(select count(*) from showtime s where s.venue_id = venue.id)`,
 *     last_showtime_at: (db) =>
 *       db.selectFrom('showtime').whereRef('showtime.venue_id', '=', 'venue.id').select((eb) => eb.fn.max('starts_at').as('at')),
 *   },
 *   dependsOn: { showtime: { via: sql`select venue_id as id from changed` } },
 *   expires: '1 day',
 * })
 *
 * @example
 * export const venueFacts = defineColumns({
 *   table: 'venue',
 *   stamp: 'facts_materialized_at',
 *   query: sql`select s.venue_id as id, sum(s.sold) as sold_total from showtime s group by s.venue_id`,
 *   defaults: { sold_total: 0 },
 *   dependsOn: { showtime: { via: sql`select venue_id as id from changed` } },
 * })
 */
export function defineColumns<DB = AnyDatabase>(options: ColumnsOptions<DB>): ColumnsDeclaration {
  return declare<ColumnsDefinition>(
    {
      kind: 'columns',
      callee: defineColumns,
      example: "defineColumns({ table: 'venue', columns: { … } })",
      read: readColumnsOptions,
    },
    options,
  )
}
