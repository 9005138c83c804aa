/**
 * People's SQL where a temporary table stands in for one that is named with its schema: only names change, and only the right ones.
 */
import { beforeAll, expect, it } from 'vitest'
import { loadParser } from '../../../src/lineage/parser.ts'
import { redirectTables } from '../../../src/lineage/redirect.ts'

beforeAll(loadParser)

const tables = [
  { schema: 'sales', name: 'venue' },
  { schema: 'My "S"', name: 'Ort' },
]

it.each([
  ['select 1 from sales.venue', 'select 1 from pg_temp.venue'],
  ['select v.id from Sales . Venue v', 'select v.id from pg_temp . Venue v'],
  ['select sales.venue.id from sales.venue', 'select pg_temp.venue.id from pg_temp.venue'],
  [
    `select 'ä', 'sales.venue' -- sales.venue\nfrom sales.venue`,
    `select 'ä', 'sales.venue' -- sales.venue\nfrom pg_temp.venue`,
  ],
  ['select "My ""S"""."Ort".x from "My ""S"""."Ort"', 'select pg_temp."Ort".x from pg_temp."Ort"'],
  ['select 1 from venue, other.venue, sales.other', 'select 1 from venue, other.venue, sales.other'],
  ['select sales.venue from other sales', 'select sales.venue from other sales'],
  ['(select count(*) from sales.venue) + 1', '(select count(*) from pg_temp.venue) + 1'],
  ['venue.x + (select max(y) from sales.venue)', 'venue.x + (select max(y) from pg_temp.venue)'],
  ['this is no SQL, sales.venue', 'this is no SQL, sales.venue'],
])('%s', (sql, expected) => {
  expect(redirectTables(sql, tables)).toBe(expected)
})
