/**
 * Fingerprints: what a column comes from, and nothing else.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { columnFingerprint, normalizedSql } from '../../../src/lineage/fingerprint.ts'
import { loadParser } from '../../../src/lineage/parser.ts'
import { columnTokens } from '../../../src/lineage/select-list.ts'

beforeAll(loadParser)

const place = { file: 'f.ts', line: 1 }

/** The parts that column `name` of a query comes from, as one text. */
function partsOf(sql: string, outputs: readonly string[], name: string): string {
  return JSON.stringify(columnTokens({ kind: 'query', sql, place }, name, { outputs, key: ['id'] }))
}

describe('tokens', () => {
  it('are the same for every layout, comment and case', () => {
    expect(normalizedSql('SELECT  a.B -- comment\n FROM /* more */ "T" a')).toBe(
      normalizedSql('select a.b from "T" a'),
    )
  })

  it.each([
    [`select 'A'`, `select 'a'`],
    ['select "A"', 'select "a"'],
    ['select "a b"', 'select "a  b"'],
    ["select E'\\n'", "select '\\n'"],
    ['select $$x -- y$$', 'select $$x$$'],
    ['select 1.0', 'select 1.00'],
  ])('tell %s from %s', (one, other) => {
    expect(normalizedSql(one)).not.toBe(normalizedSql(other))
  })
})

describe('a column of a query comes from', () => {
  const plain = 'select s.id as id, sum(s.a) as a, max(s.b) as b from s where s.c > 0 group by s.id'
  const outputs = ['id', 'a', 'b']

  it('its own entry: another column, or one more, makes no difference', () => {
    const more = plain.replace('max(s.b) as b', 'min(s.d) as d, max(s.b + 1) as b')

    expect(partsOf(more, ['id', 'a', 'd', 'b'], 'a')).toBe(partsOf(plain, outputs, 'a'))
    expect(partsOf(more, ['id', 'a', 'd', 'b'], 'b')).not.toBe(partsOf(plain, outputs, 'b'))
  })

  it.each([
    ['the condition', plain.replace('> 0', '> 1')],
    ['the key', plain.replace('s.id as id', 's.id + 1 as id')],
    ['the grouping', `${plain}, s.e`],
  ])('%s as well', (_, changed) => {
    expect(partsOf(changed, outputs, 'a')).not.toBe(partsOf(plain, outputs, 'a'))
  })

  it.each([
    ['DISTINCT', 'select distinct s.id as id, s.a as a, s.b as b from s'],
    ['a UNION', 'select s.id as id, s.a as a, s.b as b from s union select 1, 2, 3'],
    ['ORDER BY', 'select s.id as id, s.a as a, s.b as b from s order by 3'],
    ['LIMIT', 'select s.id as id, s.a as a, s.b as b from s limit 3'],
    ['GROUP BY a number', 'select s.id as id, s.a as a, s.b as b from s group by 1, 2, 3'],
    ['GROUP BY an alias', 'select s.id as id, s.x as a, s.b as b from s group by s.id, a, s.b'],
    ['a star', 'select s.id as id, s.a as a, b.* from s, b'],
  ])('the whole query with %s', (_, sql) => {
    const changed = sql.replace('s.b as b', 's.b + 1 as b').replace(', b.*', ', b.*, 1 as c')

    expect(partsOf(changed, outputs, 'a')).not.toBe(partsOf(sql, outputs, 'a'))
  })

  it.each([
    ['IS DISTINCT FROM', 's.b is distinct from s.c as b', 's.b is distinct from s.d as b'],
    ['EXTRACT', 'extract(day from s.b) as b', 'extract(hour from s.b) as b'],
    [
      'a subquery',
      '(select max(x) from t where t.id = s.id) as b',
      '(select min(x) from t where t.id = s.id) as b',
    ],
    ['an alias that is a keyword', 's.b as from', 's.b + 1 as from'],
    ['a filter', 'count(*) filter (where s.x) as b', 'count(*) filter (where s.y) as b'],
    ['an umlaut before it', `'ä' || s.b as b`, `'ä' || s.c as b`],
  ])('its own entry, with %s in it', (_, entry, other) => {
    const sql = (b: string) => `select s.id as id, s.a as a, ${b} from s`

    expect(partsOf(sql(other), outputs, 'a')).toBe(partsOf(sql(entry), outputs, 'a'))
    expect(partsOf(sql(other), outputs, 'b')).not.toBe(partsOf(sql(entry), outputs, 'b'))
  })
})

describe('a fingerprint', () => {
  const base = { tokens: ['a'], type: 'integer', default: null, settings: {}, functions: [] }

  it.each([
    ['another type', { type: 'bigint' }],
    ['a default', { default: '0' }],
    ['a setting that may change values', { settings: { TimeZone: 'UTC' } }],
    ['another function body', { functions: [{ name: 'f', body: 'x', opaque: false }] }],
  ])('differs with %s', (_, change) => {
    expect(columnFingerprint({ ...base, ...change })).not.toBe(columnFingerprint(base))
  })

  it.each([
    ['work_mem', '1GB'],
    ['join_collapse_limit', '50'],
    ['enable_nestloop', 'off'],
    ['statement_timeout', '10min'],
  ])('is the same whatever %s is: it changes no value', (name, value) => {
    expect(columnFingerprint({ ...base, settings: { [name]: value } })).toBe(columnFingerprint(base))
  })
})
