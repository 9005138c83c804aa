/** What `sql` templates and kysely builders become as text: values as literals, each a token of its own. */
import { type Kysely, sql as kyselySql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { compileExpression, compileQuery } from '../../../src/definition/compile.ts'
import { sql } from '../../../src/definition/sql.ts'
import { describeOperatorError, OperatorError } from '../../../src/kernel/errors.ts'
import { mistakesOf } from './folder.ts'

const context = { what: 'column "c"', place: { file: 'a.ts', line: 1 } }
type Db = Kysely<Record<string, Record<string, unknown>>>
const expression = (source: unknown) => compileExpression(source, context).sql
const query = (source: unknown) => compileQuery(source, context).sql

describe('a value', () => {
  test.each<[string, unknown]>([
    ["'plain'", 'plain'],
    ["'it''s'", "it's"],
    ["''", ''],
    [" E'C:\\\\dir'", 'C:\\dir'],
    [" E'\\\\''; drop table x --'", "\\'; drop table x --"],
    ["'$1 :x ?'", '$1 :x ?'],
    ["'line\nbreak ü 😀'", 'line\nbreak ü 😀'],
    ['5', 5],
    ['(-5)', -5],
    ['0.1', 0.1],
    ['0', -0],
    ['1e+21', 1e21],
    ['12345678901234567890', 12345678901234567890n],
    ['(-1)', -1n],
    ['true', true],
    ['false', false],
    ['null', null],
    ["timestamptz '2026-01-02 03:04:05.006+00'", new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 6))],
    ["bytea E'\\\\x00ff'", Buffer.from([0, 255])],
    ["bytea E'\\\\x10'", new Uint8Array([16])],
    ["'{}'", []],
    ["'{1,-2.5,3,NULL,true}'", [1, -2.5, 3n, null, true]],
    [`'{"a","b,c","NULL",""}'`, ['a', 'b,c', 'NULL', '']],
    [` E'{"a\\\\"b","it''s","c\\\\\\\\d"}'`, ['a"b', "it's", 'c\\d']],
    [
      "'{{1,2},{3,4}}'",
      [
        [1, 2],
        [3, 4],
      ],
    ],
    [`'{"1970-01-01 00:00:00.000+00"}'`, [new Date(0)]],
    [` E'{"\\\\\\\\x10"}'`, [Buffer.from([16])]],
  ])('becomes %s', (text, value) => {
    expect(expression(sql`${value}`)).toBe(text)
    expect(expression(sql`f(${sql.val(value)})`)).toBe(`f(${text})`)
    expect(expression((db: Db) => db.fn('f', [sql.lit(value)]))).toBe(`f(${text})`)
  })

  const many = 'definitions/a.ts'
  test.each<[string, unknown, string]>([
    [
      'undefined',
      undefined,
      'undefined has no literal form\n  Check where the value comes from; for an SQL NULL write null.',
    ],
    ['NaN', Number.NaN, "NaN has no literal form\n  If it is meant, write it in SQL: sql`'NaN'::float8`."],
    [
      'Infinity',
      -1 / 0,
      "-Infinity has no literal form\n  If it is meant, write it in SQL: sql`'-Infinity'::float8`.",
    ],
    [
      'an object',
      { a: 1 },
      `a plain object has no literal form\n  For json write \${JSON.stringify(value)}::jsonb; else interpolate its parts.`,
    ],
    [
      'a map',
      new Map(),
      `a Map has no literal form\n  For json write \${JSON.stringify(value)}::jsonb; else interpolate its parts.`,
    ],
    ['a symbol', Symbol('x'), 'a symbol has no literal form\n  Interpolate its description, a string.'],
    [
      'a promise',
      Promise.resolve(1),
      'a Promise has no literal form\n  Await it first: definition files may use await at their top level.',
    ],
    [
      'no date',
      new Date(Number.NaN),
      'an invalid Date has no literal form\n  Check what the Date was made of.',
    ],
    [
      'a far date',
      new Date(Date.UTC(10000, 0)),
      "a Date in the year 10000 has no literal form\n  Write it in SQL: sql`timestamptz '…'`; for an end that never comes, 'infinity'.",
    ],
    [
      'NUL',
      'a\0',
      `the string "a\\u0000" has no literal form: it holds a NUL character\n  PostgreSQL's text can't hold U+0000; store bytes as bytea instead: Buffer.from(…).`,
    ],
    [
      'half a character',
      '\ud83d',
      'the string "\\ud83d" has no literal form: it holds half of a surrogate pair\n  Cut strings between characters, as [...text] does, not between code units.',
    ],
    [
      'undefined in a list',
      [1, undefined],
      'undefined has no literal form\n  Check where the value comes from; for an SQL NULL write null.',
    ],
  ])('that is %s has no literal form', (_what, value, message) => {
    expect(
      mistakeOf(() =>
        compileExpression(kyselySql`f(${value})`, { ...context, place: { file: many, line: 7 } }),
      ),
    ).toBe(`${many}:7: column "c": ${message}`)
  })

  test('stays a token of its own between whatever stands beside it', () => {
    expect(expression(sql`a -${-1}`)).toBe('a -(-1)')
    expect(expression(sql`'a'${'b'}'c'`)).toBe("'a' 'b' 'c'")
    expect(expression(sql`like${'b'}escape${'\\'}::text`)).toBe("like 'b' escape  E'\\\\'::text")
    expect(expression(sql`case when${1}then${2}end`)).toBe('case when 1 then 2 end')
    expect(expression(sql`"x"${1}"y"`)).toBe('"x" 1 "y"')
    expect(expression(sql`f(${1}, ${sql`${2}`}, ${sql.join([3, 'x'])}, ${sql.lit('y')})`)).toBe(
      "f(1, 2, 3, 'x', 'y')",
    )
  })

  test.each([
    [
      'quotes',
      sql`name like '%${'x'}%'`,
      `quotes\n  Values bring their own quotes. Write '%' || \${…} || '%', or for an interval: \${…} * interval '1 minute'.`,
    ],
    [
      'quotes, a number',
      sql`interval '${5} minutes'`,
      `quotes\n  Values bring their own quotes. Write '%' || \${…} || '%', or for an interval: \${…} * interval '1 minute'.`,
    ],
    [
      'dollar quotes',
      sql`$x$ ' ${5} $x$`,
      `quotes\n  Values bring their own quotes. Write '%' || \${…} || '%', or for an interval: \${…} * interval '1 minute'.`,
    ],
    [
      'a name',
      sql`"c_${5}"`,
      `double quotes\n  For a name write \${sql.id(…)} or \${sql.ref(…)}, which quote it.`,
    ],
    ['a line comment', sql`1 -- ${5}\n`, 'a comment\n  Take the value out of the comment.'],
    ['a block comment', sql`1 /* /* */ ${5} */`, 'a comment\n  Take the value out of the comment.'],
  ])('can not stand inside %s', (_where, source, message) => {
    expect(mistakeOf(() => expression(source))).toMatch(/^test\/unit\/definition\/sql-text\.test\.ts:\d+: /)
    expect(mistakeOf(() => expression(source)).replace(/^\S+ /, '')).toBe(
      `column "c": a value stands inside ${message}`,
    )
  })

  test('without a literal form is placed at its own template, however deep', async () => {
    const mistakes = await mistakesOf({
      'a.ts': [
        "import { defineColumns, sql } from 'pgfresh'",
        'import { sql as kyselySql } from "kysely"',
        'const missing: { value?: number } = {}',
        'export const a = defineColumns({',
        "  table: 't',",
        '  columns: {',
        '    a: sql`1`,',
        `    b: sql\`coalesce(x, \${`,
        `      sql\`y + \${missing.value}\`})\`,`,
        `    c: kyselySql\`\${missing}\`,`,
        "    d: (db) => db.selectFrom('s').where('s.x', '=', missing.value).select('y'),",
        '  },',
        '})',
      ].join('\n'),
    })

    expect(mistakes.map((text) => text.split('\n')[0])).toEqual([
      'a.ts:4: column "d": undefined has no literal form',
      'a.ts:9: column "b": undefined has no literal form',
      'a.ts:10: column "c": a plain object has no literal form',
    ])
  })

  test('may be one of very many', () => {
    const values = Array.from({ length: 20_000 }, (_, index) => `it's ${index}`)

    const text = expression(sql`x in (${sql.join(values)})`)

    expect(text.startsWith("x in ('it''s 0', 'it''s 1', ")).toBe(true)
    expect(text.split(', ')).toHaveLength(values.length)
  }, 60_000)

  test('that is a function is refused where its template stands', async () => {
    expect(
      await mistakesOf({ 'a.ts': `import { sql } from 'pgfresh'\n\nexport const a = sql\`f(\${() => 5})\`` }),
    ).toEqual([
      'a.ts:3: in a sql template: a function has no literal form\n  Call it, and interpolate what it returns.',
    ])
  })
})

describe('an expression', () => {
  test('made by a builder is a scalar subquery in parentheses', () => {
    expect(
      expression((db: Db) =>
        db
          .selectFrom('showtime as s')
          .whereRef('s.venue_id', '=', 'venue.id')
          .where('s.kind', 'in', ['a', 'b'])
          .select((eb) => eb.fn.countAll().as('n'))
          .limit(1),
      ),
    ).toBe(
      `(select count(*) as "n" from "showtime" as "s" where "s"."venue_id" = "venue"."id" and "s"."kind" in ('a', 'b') limit 1)`,
    )
  })

  test('made by a function may be an expression, too', () => {
    expect(expression((db: Db) => db.fn.coalesce('venue.x', sql`${0}`))).toBe('coalesce("venue"."x", 0)')
    expect(expression(() => sql`1 + 1`)).toBe('1 + 1')
  })

  test('that ends in a line comment gets a line break, so that what follows is no comment', () => {
    expect(expression(sql`1 -- one`)).toBe('1 -- one\n')
    expect(expression(sql`1 -- one\n`)).toBe('1 -- one\n')
  })

  test.each<[string, unknown, string]>([
    [
      'is text',
      'count(*)',
      'column "c" is "count(*)", not SQL\n  Write it as SQL: sql`…`, with import { sql } from \'pgfresh\'.',
    ],
    ['is nothing', null, 'column "c" is null, not SQL\n  Write sql`…`, or (db) => db.selectFrom(…)….'],
    [
      'is a function that returns text',
      () => '1',
      'column "c": its function returned "1", not SQL\n  Write it as SQL: sql`…`, with import { sql } from \'pgfresh\'.',
    ],
    [
      'is a function that executes',
      (db: Db) => db.selectFrom('x').selectAll().execute(),
      'column "c": its function returned a Promise, not SQL\n  Return the builder itself, without .execute() and without async.',
    ],
    [
      'is a function that fails',
      () => {
        throw new Error('oh no')
      },
      'column "c": its function failed: oh no\n  It is called once, when the file is loaded, with a kysely that builds queries and runs none.',
    ],
    [
      'has an alias',
      sql`1`.as('x'),
      'column "c" has an alias\n  Leave .as(…) out: a column gets its name from its key.',
    ],
    [
      'writes',
      (db: Db) => db.deleteFrom('x'),
      'column "c" writes to a table\n  Definitions only read: write a SELECT.',
    ],
    ['is empty', sql` -- nothing`, 'column "c" is empty\n  Write SQL between the backticks.'],
    [
      'is a query',
      sql`/* all */ SELECT 1`,
      'column "c" is a whole query, not an expression\n  Put it in parentheses: sql`(select …)`.',
    ],
    [
      'holds a semicolon',
      sql`1;`,
      'column "c" holds a semicolon\n  Write one statement, and no semicolon behind it.',
    ],
    ['leaves a quote open', sql`'it''s`, 'column "c" ends inside a quoted string\n  Close it.'],
    ['leaves a name open', sql`"it`, 'column "c" ends inside a double-quoted name\n  Close it.'],
    ['leaves a comment open', sql`1 /* /* */`, 'column "c" ends inside a /* comment\n  Close it.'],
  ])('that %s is refused', (_what, source, message) => {
    expect(mistakeOf(() => expression(source)).replace(/^\S+ /, '')).toBe(message)
  })

  test('may have semicolons and quotes inside its quotes', () => {
    const text = String.raw`f(';', "a;b", E'it\'s;', $$;'$$, $t$ $$; $t$, $1) /* ; ' */`
    expect(expression(sql.raw(text))).toBe(text)
  })
})

describe('a query', () => {
  test('may begin with select, with, values, table or a parenthesis', () => {
    for (const text of [
      'select 1',
      ' -- x\nWITH a as (select 1) select * from a',
      'values (1)',
      'table x',
      '(select 1)',
    ]) {
      expect(query(sql.raw(text))).toBe(text)
    }
  })

  test('that is something else is refused', () => {
    const message =
      'a.ts:1: column "c" is not a SELECT\n  Write one statement that begins with select or with.'
    expect(mistakeOf(() => query(sql.raw('delete from x')))).toBe(message)
    expect(mistakeOf(() => query(kyselySql`count(*)`))).toBe(message)
  })
})

/** The OperatorError that a call throws, as people see it. */
function mistakeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof OperatorError) return describeOperatorError(error)
    throw error
  }
  throw new Error('nothing was thrown')
}
