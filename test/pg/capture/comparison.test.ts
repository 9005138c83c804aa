/**
 * Equal means the same image (invariant 12): in the triggers, which decide what is a change, and in the write guard, which decides
 * what is written. `IS DISTINCT FROM` fails for some types and calls different values of others equal [A5, breaks.md E].
 */
import { expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { createProject, type Project } from '../../support/project.ts'
import { LogReader } from './log.ts'

/** A type, a value of it, and another value: each as SQL. */
interface Pair {
  readonly type: string
  readonly from: string
  readonly to: string
}

/** Values with another image: a change, whatever `=` of the type says. */
const different: Readonly<Record<string, Pair>> = {
  'json, which has no equality': { type: 'json', from: `'{"a": 1}'`, to: `'{"a":1}'` },
  'point, which has none either': { type: 'point', from: `'(1,2)'`, to: `'(2,1)'` },
  polygon: { type: 'polygon', from: `'((0,0),(1,1),(2,0))'`, to: `'((1,1),(2,0),(0,0))'` },
  'json[]': { type: 'json[]', from: `array['1'::json]`, to: `array['1 '::json]` },
  'point[]': { type: 'point[]', from: `array['(1,2)'::point]`, to: `array['(2,1)'::point]` },
  'boxes of one area': { type: 'box', from: `'(1,4),(0,0)'`, to: `'(2,2),(0,0)'` },
  'circles of one area': { type: 'circle', from: `'<(0,0),5>'`, to: `'<(3,4),5>'` },
  'paths of one number of points': { type: 'path', from: `'[(0,0),(1,1)]'`, to: `'[(5,5),(9,9)]'` },
  'lines of one meaning': { type: 'line', from: `'{1,-1,0}'`, to: `'{2,-2,0}'` },
  'numeric of another scale': { type: 'numeric', from: '1.0', to: '1.00' },
  'numeric[] of another scale': { type: 'numeric[]', from: `'{1.0}'`, to: `'{1.00}'` },
  'jsonb with another scale': { type: 'jsonb', from: `'{"a": 1.0}'`, to: `'{"a": 1.00}'` },
  'zero and minus zero': { type: 'float8', from: `'0'`, to: `'-0'` },
  'zero and minus zero in a range': { type: 'numrange', from: `'[0,1)'`, to: `'[0.0,1)'` },
  'a month and thirty days': { type: 'interval', from: `'1 mon'`, to: `'30 days'` },
  'text of another case in a collation that ignores it': {
    type: 'text collate blind',
    from: `'Abc'`,
    to: `'aBC'`,
  },
  'a composite of such': { type: 'pair', from: `row(1.0, '(1,2)')::pair`, to: `row(1.00, '(1,2)')::pair` },
  'a domain over such': { type: 'amount', from: '5', to: '5.0' },
  'a time zone that is another': { type: 'timetz', from: `'12:00+00'`, to: `'13:00+01'` },
  'a bit string of another length': { type: 'bit varying', from: `B'1'`, to: `B'10'` },
  'a large value that is TOASTed': {
    type: 'text',
    from: `(select string_agg(md5(n::text), '') from generate_series(1, 3000) n)`,
    to: `(select string_agg(md5(n::text), '') from generate_series(1, 2999) n)`,
  },
  'nothing and the empty text': { type: 'text', from: 'null', to: `''` },
}

/** Values with the same image, however they came about: no change. */
const equal: Readonly<Record<string, Pair>> = {
  NaN: { type: 'float8', from: `'NaN'`, to: `'nan'::float8 + 1` },
  'the NaN of numeric': { type: 'numeric', from: `'NaN'`, to: `'nan'::numeric * 2` },
  'char(n) with and without its blanks': { type: 'char(5)', from: `'a'`, to: `'a   '` },
  'ranges that are written another way': { type: 'int4range', from: `'[1,3]'`, to: `'[1,4)'` },
  'an inet with its length': { type: 'inet', from: `'10.0.0.1'`, to: `'10.0.0.1/32'` },
  'jsonb of another layout': { type: 'jsonb', from: `'{"b": 1, "a": 2}'`, to: `'{"a":2,"b":1}'` },
  'an instant of another zone': {
    type: 'timestamptz',
    from: `'2024-01-01 12:00+00'`,
    to: `'2024-01-01 13:00+01'`,
  },
  'a large value, stored in another way': {
    type: 'text',
    from: `(select string_agg(md5(n::text), '') from generate_series(1, 3000) n)`,
    to: `(select string_agg(md5(n::text), '') || '' from generate_series(1, 3000) n)`,
  },
  'a compressed value': { type: 'text', from: `repeat('ab', 50000)`, to: `repeat('abab', 25000)` },
  'a number that was rounded to the type': { type: 'numeric(10,2)', from: '1.234', to: '1.23' },
  'a computed array': { type: 'int[]', from: `'{1,2}'`, to: `array[1] || 2` },
  nothing: { type: 'json', from: 'null', to: 'null' },
}

const types = `
  create type pair as (amount numeric, place point);
  create domain amount as numeric check (value > 0);
  create collation blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`

forEachMajor((major) => {
  test('every change of an image is logged once, written once, and no value is written again that stayed what it was', async () => {
    const pairs = { ...different, ...(await moreTypes(major)) }
    const project = await readings(major, pairs)
    const log = await logOf(project)
    const before = await versions(project)

    await project.query(updates(pairs))
    expect(await log.news()).toEqual(Object.keys(pairs).map((_, at) => `reading U ${at}>${at}`))
    await project.drain()

    await expectImages(project, pairs)
    const after = await versions(project)
    const unwritten = Object.keys(pairs).filter((_, at) => after[at] === before[at])
    expect(unwritten, 'not written').toEqual([])
    // All of them are computed again, and all of them are equal.
    await project.query('update reading set tick = tick + 1')
    await project.drain()
    expect(await versions(project)).toEqual(after)
  })

  test('a value that comes about in another way but has the same image is no change', async () => {
    const project = await readings(major, equal)
    const log = await logOf(project)
    const before = await versions(project)

    await project.query(updates(equal))
    expect(await log.news()).toEqual([])
    await project.query('update reading set tick = tick + 1')
    expect(await log.news()).toHaveLength(Object.keys(equal).length)
    await project.drain()

    expect(await versions(project)).toEqual(before)
    await expectImages(project, equal)
  })

  test('what is computed wider than its column is cast before it is compared, so it is not rewritten for ever', async () => {
    const project = await createProject(
      major,
      `create table venue (id int primary key, tick int default 0, share numeric(10,2), code char(4), day timestamp(0), note varchar(3), f real);
       insert into venue values (1)`,
    )
    const values = {
      share: ['10.0 / 3', 'numeric(10,2)'],
      code: [`substr('abcdef', 1, 2)`, 'char(4)'],
      day: [`'2024-01-01 00:00:00.6'::timestamp`, 'timestamp(0)'],
      note: [`left('abcdef', 3)`, 'varchar(3)'],
      f: ['0.1::float8', 'real'],
    }
    const columns = Object.entries(values).map(
      ([name, [value, type]]) => `${name}: sql\`(case when venue.tick >= 0 then ${value} end)::${type}\``,
    )
    await project.materialize(
      `export const venue = defineColumns({ table: 'venue', columns: { ${columns.join(', ')} }, adopt: ['share', 'code', 'day', 'note', 'f'] })`,
    )
    await project.drain()
    const written = await project.query(`select share, code, day::text, note, f from venue`)
    expect(written).toEqual([
      { share: '3.33', code: 'ab  ', day: '2024-01-01 00:00:01', note: 'abc', f: 0.1 },
    ])

    for (let n = 0; n < 3; n += 1) {
      await project.query('update venue set tick = tick + 1')
      const [before] = await project.query('select xmin::text from venue')
      await project.drain()
      expect(await project.query('select xmin::text from venue')).toEqual([before])
    }
  })
})

/** xml and citext, where this server has them. */
async function moreTypes(major: Major): Promise<Record<string, Pair>> {
  const project = await createProject(major, 'select')
  const works = (sql: string) =>
    project.query(sql).then(
      () => true,
      () => false,
    )
  return {
    ...((await works(`select '<a/>'::xml`)) ? { xml: { type: 'xml', from: `'<a/>'`, to: `'<a></a>'` } } : {}),
    ...((await works('create extension citext'))
      ? { 'citext of another case': { type: 'citext', from: `'Abc'`, to: `'aBC'` } }
      : {}),
  }
}

/** A source with a column of each type, and one row for each of them; a target that copies them. */
async function readings(major: Major, pairs: Readonly<Record<string, Pair>>): Promise<Project> {
  const list = Object.values(pairs)
  const project = await createProject(major, types)
  if (list.some((pair) => pair.type === 'citext')) await project.query('create extension citext')
  await project.query(`create table sample (id int primary key);
    create table reading (id int primary key, tick int default 0, ${list.map(({ type }, at) => `v${at} ${type}`).join(', ')});
    insert into reading (id) select generate_series(0, ${list.length - 1}); insert into sample select id from reading`)
  for (const [at, { from }] of list.entries())
    await project.query(`update reading set v${at} = ${from} where id = ${at}`)
  const columns = list.map(
    (_, at) =>
      `v${at}: sql\`(select r.v${at} from reading r where r.id = sample.id and r.tick is not null)\``,
  )
  await project.materialize(`export const sample = defineColumns({
    table: 'sample',
    columns: { ${columns.join(', ')} },
    dependsOn: { reading: { via: sql\`select id from changed\` } },
  })`)
  await project.drain()
  await expectImages(project, pairs)
  return project
}

function updates(pairs: Readonly<Record<string, Pair>>): string {
  return Object.values(pairs)
    .map(({ to }, at) => `update reading set v${at} = ${to} where id = ${at}`)
    .join('; ')
}

/** Text says all of an image but for how a large value is stored. */
async function expectImages(project: Project, pairs: Readonly<Record<string, Pair>>): Promise<void> {
  const values = Object.keys(pairs).map((_, at) => `coalesce(md5(v${at}::text), '-')`)
  await project.expectFresh({
    stored: `select id, materialized_at is not null, ${values.join(', ')} from sample`,
    expected: `select id, true, ${values.join(', ')} from reading`,
  })
}

/** Which transaction wrote each row of the target last. */
async function versions(project: Project): Promise<string[]> {
  const rows = await project.query<{ xmin: string }>('select xmin::text from sample order by id')
  return rows.map((row) => row.xmin)
}

async function logOf(project: Project): Promise<LogReader> {
  const log = new LogReader(project)
  await log.news()
  return log
}
