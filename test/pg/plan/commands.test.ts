/**
 * `pgfresh plan` and `pgfresh apply` as people run them: what they write, and their exit codes.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runCommand } from '../../../src/cli/cli.ts'
import { forEachMajor, freshDatabase, type TestDatabase } from '../../support/database.ts'
import { cinemaTables } from './cinema.ts'

const venueFile = `import { defineColumns, sql } from 'pgfresh'

export const venue = defineColumns({
  table: 'venue',
  columns: {
    sold_total: sql\`(select sum(s.sold) from showtime s where s.venue_id = venue.id)\`,
  },
  dependsOn: { showtime: { via: sql\`select venue_id as id from changed\` } },
})
`

interface Written {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A folder of definition files, removed at the end of the test. */
function folder(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'pgfresh-plan-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  return directory
}

/** Runs a command; with `answer` as on a terminal where somebody types that. */
async function call(database: TestDatabase, argv: readonly string[], answer?: string): Promise<Written> {
  const written = { stdout: '', stderr: '' }
  const isTTY = answer !== undefined
  const stdin = Object.assign(new PassThrough(), { isTTY })
  stdin.end(answer ?? '')
  const code = await runCommand({
    argv,
    env: { DATABASE_URL: database.url },
    stdin,
    stdout: { write: (text) => (written.stdout += text), isTTY },
    stderr: { write: (text) => (written.stderr += text) },
    signal: new AbortController().signal,
  })
  return { code, ...written }
}

async function cinema(major: Parameters<Parameters<typeof forEachMajor>[0]>[0]): Promise<TestDatabase> {
  const database = await freshDatabase(major)
  const client = await database.connect()
  await client.query(cinemaTables)
  // An owner of the tables that is no superuser would need a role for each test: the advice is part of the text instead.
  return database
}

const superuser =
  "! role postgres is a superuser, and people's triggers run as the role that writes: whoever owns a target could act as a superuser. Use a role of its own"

const planned = [
  "+ create pgfresh's own schema",
  '+ add to venue: sold_total bigint, materialized_at timestamp with time zone  [ACCESS EXCLUSIVE on venue]',
  '+ capture changes of venue (id)  [SHARE ROW EXCLUSIVE on venue]',
  '+ capture changes of showtime (sold, venue_id)  [SHARE ROW EXCLUSIVE on showtime]',
  '+ materialize venue (venue.materialized_at): compute sold_total for ~82 rows (new)',
]

forEachMajor((major) => {
  describe('plan', () => {
    it('prints a line per step, then advice, then their number; exit code 2', async () => {
      const database = await cinema(major)

      expect(await call(database, ['plan', '--definitions', folder({ 'venue.ts': venueFile })])).toEqual({
        code: 2,
        stdout: `${[...planned, superuser, '5 steps.'].join('\n')}\n`,
        stderr: '',
      })
    })

    it('prints JSON with the SQL of each step', async () => {
      const database = await cinema(major)

      const { code, stdout } = await call(database, [
        'plan',
        '--json',
        '--definitions',
        folder({ 'venue.ts': venueFile }),
      ])

      expect(code).toBe(2)
      const plan = JSON.parse(stdout)
      expect(plan).toMatchObject({ undeclared: [], advice: [superuser.slice(2)] })
      expect(plan.steps).toHaveLength(5)
      expect(plan.steps[1]).toEqual({
        kind: 'add-columns',
        sign: '+',
        object: 'venue',
        description: 'add to venue: sold_total bigint, materialized_at timestamp with time zone',
        lock: { mode: 'ACCESS EXCLUSIVE', on: 'venue' },
        statements: [
          'alter table "public"."venue" add column "sold_total" bigint, add column "materialized_at" timestamp with time zone',
          expect.stringMatching(/^insert into pgfresh\.materialization /),
        ],
      })
    })

    it('prints SQL that can be run as it stands', async () => {
      const database = await cinema(major)
      const definitions = folder({ 'venue.ts': venueFile })
      const { code, stdout } = await call(database, ['plan', '--sql', '--definitions', definitions])
      const client = await database.connect()

      await client.query(stdout)

      expect(code).toBe(2)
      expect(stdout).toContain(`-- 2 of 5: ${planned[1]}\nbegin;\nset local lock_timeout = '500ms';\n`)
      expect(await call(database, ['plan', '--definitions', definitions])).toEqual({
        code: 0,
        stdout: `${superuser}\nNothing to do.\n`,
        stderr: '',
      })
    })

    it('ends with 1 on a mistake, with file and line', async () => {
      const database = await cinema(major)
      const definitions = folder({
        'venue.ts': venueFile.replace('venue_id = venue.id', 'venue_id = venue.nr'),
      })

      const { code, stdout, stderr } = await call(database, ['plan', '--definitions', definitions])

      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
      expect(stderr.replaceAll(definitions, '')).toBe(
        [
          '/venue.ts:6: column sold_total: column venue.nr does not exist',
          '  In: (select sum(s.sold) from showtime s where s.venue_id = venue.nr)',
          '',
        ].join('\n'),
      )
    })

    it('does not take --drop without --prune, nor --json with --sql', async () => {
      const database = await cinema(major)
      const definitions = folder({ 'venue.ts': venueFile })

      expect(await call(database, ['plan', '--drop', '--definitions', definitions])).toEqual({
        code: 1,
        stdout: '',
        stderr: '--drop goes with --prune: it drops the columns of what is pruned\n  Add --prune.\n',
      })
      expect(await call(database, ['plan', '--json', '--sql', '--definitions', definitions])).toEqual({
        code: 1,
        stdout: '',
        stderr: '--json and --sql exclude each other\n',
      })
    })
  })

  describe('apply', () => {
    it('refuses to guess without a terminal', async () => {
      const database = await cinema(major)

      expect(await call(database, ['apply', '--definitions', folder({ 'venue.ts': venueFile })])).toEqual({
        code: 1,
        stdout: '',
        stderr:
          'apply asks before it changes anything, and there is no terminal to ask on\n' +
          '  Run "pgfresh plan" to see what it would do, and "pgfresh apply --yes" to do it.\n',
      })
    })

    it('with --yes prints what it has done', async () => {
      const database = await cinema(major)
      const definitions = folder({ 'venue.ts': venueFile })

      const first = await call(database, ['apply', '--yes', '--definitions', definitions])
      const second = await call(database, ['apply', '--yes', '--definitions', definitions])

      expect(first.code).toBe(0)
      expect(first.stdout.replaceAll(/\d+(\.\d+)? m?s\b/g, 'N ms').split('\n')).toEqual([
        superuser,
        ...planned.map((line) => `${line.replace(/ {2}\[.*\]$/, '')}  (N ms)`),
        'Applied 5 steps in N ms.',
        '',
      ])
      expect(second).toEqual({ code: 0, stdout: `${superuser}\nNothing to do.\n`, stderr: '' })
    })

    it.each([
      ['y\n', 0],
      ['yes\n', 0],
      ['n\n', 1],
      ['\n', 1],
      ['', 1],
    ])('on a terminal asks, and takes %j for exit code %i', async (answer, code) => {
      const database = await cinema(major)

      const written = await call(
        database,
        ['apply', '--definitions', folder({ 'venue.ts': venueFile })],
        answer,
      )

      expect(written.code).toBe(code)
      expect(written.stdout).toContain(`${planned.join('\n')}\n${superuser}\n5 steps.\nApply this? [y/N] `)
      expect(written.stdout).toMatch(code === 0 ? /Applied 5 steps in .*\n$/ : /Nothing was applied\.\n$/)
      const found = await database.query(`select 1 from pg_namespace where nspname = 'pgfresh'`)
      expect(found).toHaveLength(code === 0 ? 1 : 0)
    })

    it('says what looks forgotten, and goes on', async () => {
      const database = await cinema(major)
      const definitions = folder({ 'venue.ts': venueFile, 'empty.ts': 'export const nothing = 1\n' })

      const { code, stderr } = await call(database, ['apply', '--yes', '--definitions', definitions])

      expect(code).toBe(0)
      expect(stderr).toMatch(/\/empty\.ts:1: warning: /)
    })
  })
})
