/**
 * What the option types accept and refuse. The compiler checks this file (`npm run check`): a line marked as an error that is
 * none fails there. At run time the same lines must be refused by the checks that stand in for the stripped types.
 */
import type { Kysely } from 'kysely'
import { expect, test } from 'vitest'
import {
  type ColumnsOptions,
  type DependsOn,
  defineColumns,
  defineView,
  type LiteralValue,
  sql,
  type ViewOptions,
  type ViewRefresh,
} from '../../../src/index.ts'
import { OperatorError } from '../../../src/kernel/errors.ts'

interface Tables {
  showtime: { venue_id: number; sold: number; starts_at: Date }
}

test('what the manual shows compiles, with tables of any name and with tables of a type', () => {
  const all: DependsOn = 'all'
  const none: LiteralValue = [1, null]
  const generated: ColumnsOptions[] = ['a', 'b'].map((table) => ({
    table,
    columns: { n: sql`1` },
    dependsOn: { x: all },
  }))

  generated.forEach((options) => {
    defineColumns(options)
  })
  defineColumns({
    table: 'venue',
    columns: {
      counted: sql<number>`(select count(*) from showtime s where s.venue_id = venue.id)`,
      last: (db) =>
        db
          .selectFrom('showtime')
          .whereRef('showtime.venue_id', '=', 'venue.id')
          .select((eb) => eb.fn.max('starts_at').as('at')),
    },
    dependsOn: {
      showtime: { via: (db) => db.selectFrom('changed').select('venue_id as id') },
      log: 'ignore',
    },
  })
  defineColumns({
    table: 'venue',
    query: (db) =>
      db
        .selectFrom('showtime as s')
        .groupBy('s.venue_id')
        .select(({ fn }) => ['s.venue_id as id', fn.sum('s.sold').as('n')]),
    defaults: { n: 0, at: new Date(0), tags: ['a'], none },
    settings: { work_mem: '1GB', jit: false, join_collapse_limit: 4 },
  })
  defineColumns({
    table: 'venue',
    query: (db: Kysely<Tables>) => db.selectFrom('showtime').select(['venue_id as id', 'sold']),
  })
  defineColumns({
    table: 'venue',
    // @ts-expect-error a column that the given tables don't have
    query: (db: Kysely<Tables>) => db.selectFrom('showtime').select('price'),
  })
})

test('what the types refuse, the checks refuse', () => {
  // @ts-expect-error both forms
  expect(() => defineColumns({ table: 'a', columns: { a: sql`1` }, query: sql`select 1` })).toThrow(
    OperatorError,
  )
  // @ts-expect-error neither form
  expect(() => defineColumns({ table: 'a' })).toThrow(OperatorError)
  // @ts-expect-error defaults belong to a query
  expect(() => defineColumns({ table: 'a', columns: { a: sql`1` }, defaults: { a: 1 } })).toThrow(
    OperatorError,
  )
  // @ts-expect-error an unknown option
  expect(() => defineColumns({ table: 'a', columns: { a: sql`1` }, expire: '1 day' })).toThrow(OperatorError)
  // @ts-expect-error text is not SQL
  expect(() => defineColumns({ table: 'a', columns: { a: 'count(*)' } })).toThrow(OperatorError)
  // @ts-expect-error an unknown route
  expect(() => defineColumns({ table: 'a', columns: { a: sql`1` }, dependsOn: { x: 'some' } })).toThrow(
    OperatorError,
  )
  // @ts-expect-error a default without a literal form
  expect(() => defineColumns({ table: 'a', query: sql`select 1`, defaults: { a: undefined } })).toThrow(
    OperatorError,
  )
})

test('what the manual of views shows compiles', () => {
  const refresh: ViewRefresh = { cron: '*/10 * * * *', timeZone: 'Europe/London' }
  const generated: ViewOptions[] = ['a', 'b'].map((name) => ({ name, query: sql`select 1`, refresh }))

  generated.forEach((options) => {
    defineView(options)
  })
  defineView({
    name: 'reporting.sold_by_venue',
    query: (db) => db.selectFrom('showtime').select(['venue_id', 'sold']),
    key: ['venue_id'],
    refresh: { every: '10 minutes' },
    maximumExecutionDuration: '1 hour',
    skipUnchanged: true,
    adopt: false,
    settings: { work_mem: '1GB', jit: false },
  })
  defineView({
    name: 'a',
    // @ts-expect-error a column that the given tables don't have
    query: (db: Kysely<Tables>) => db.selectFrom('showtime').select('price'),
  })
})

test('what the types of views refuse, the checks refuse', () => {
  const query = sql`select 1`
  // @ts-expect-error no query
  expect(() => defineView({ name: 'a' })).toThrow(OperatorError)
  // @ts-expect-error both an interval and a cron text
  expect(() => defineView({ name: 'a', query, refresh: { every: '1 day', cron: '@daily' } })).toThrow(
    OperatorError,
  )
  // @ts-expect-error neither
  expect(() => defineView({ name: 'a', query, refresh: {} })).toThrow(OperatorError)
  // @ts-expect-error a time zone without a cron text
  expect(() => defineView({ name: 'a', query, refresh: { every: '1 day', timeZone: 'UTC' } })).toThrow(
    OperatorError,
  )
  // @ts-expect-error one column, not in a list
  expect(() => defineView({ name: 'a', query, key: 'id' })).toThrow(OperatorError)
  // @ts-expect-error what belongs into refresh
  expect(() => defineView({ name: 'a', query, every: '1 day' })).toThrow(OperatorError)
})
