/** The house of src/: rooms import downwards, nothing runs in circles, and each driver has one door. */
import { readdirSync, readFileSync } from 'node:fs'
import { posix, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { findWrongImports, type SourceFile } from '../support/rooms.ts'

describe('src/', () => {
  test('no file imports the wrong way, in a circle, or a package past its door', () => {
    const files = readSources()

    expect(files.map(({ path }) => path)).toContain('main.ts')
    expect(findWrongImports(files)).toEqual([])
  })
})

describe('the law', () => {
  test.each([
    ['a room below', 'daemon/planner.ts', "import { a } from '../db/pool.ts'"],
    ['its own room', 'db/pool.ts', "import { a } from './session.ts'"],
    ['main to cli, when it runs', 'main.ts', "await import('./cli/cli.ts')"],
    ['cli to config', 'cli/cli.ts', "import { options } from '../config.ts'"],
    ['config to kernel', 'config.ts', "import { OperatorError } from './kernel/errors.ts'"],
    ['index to any room', 'index.ts', "export { a } from './definition/sql.ts'"],
    ['node itself, anywhere', 'kernel/log.ts', "import { join } from 'node:path'"],
    ['a package at its door', 'db/migrator.ts', "import { Migrator } from 'kysely/migration'"],
    ['a package at its only file', 'kernel/log.ts', "import { pino } from 'pino'"],
    [
      'text that only looks like an import',
      'cli/init.ts',
      "const text = `\nimport { a } from 'pg'\n` // import 'pg'",
    ],
  ])('allows %s', (_, path, text) => {
    expect(findWrongImports([{ path, text }])).toEqual([])
  })

  test.each([
    ['a room above', 'db/pool.ts', "import { a } from '../queue/claim.ts'", 'queue is above db'],
    [
      'a room above, as a type',
      'db/pool.ts',
      "import type { A } from '../queue/claim.ts'",
      'queue is above db',
    ],
    [
      'a room above, inline',
      'db/pool.ts',
      "type A = typeof import('../queue/claim.ts')",
      'queue is above db',
    ],
    ['a room above, when it runs', 'db/pool.ts', "await import('../queue/claim.ts')", 'queue is above db'],
    ['a room above, handed on', 'db/pool.ts', "export * from '../queue/claim.ts'", 'queue is above db'],
    ['main', 'cli/cli.ts', "import '../main.ts'", 'main is above cli'],
    ['the public door', 'cli/cli.ts', "import { sql } from '../index.ts'", 'the door for those outside'],
    ['config from elsewhere', 'daemon/daemon.ts', "import { a } from '../config.ts'", 'for cli/ alone'],
    ['a room from config', 'config.ts', "import { a } from './db/pool.ts'", 'kernel/ alone'],
    ['tests', 'db/pool.ts', "import { a } from '../../test/support/proxy.ts'", 'outside of src/'],
    ['a room nobody placed', 'utils/a.ts', "import { a } from '../db/pool.ts'", 'utils has no place'],
    ['a driver past its door', 'queue/claim.ts', "import pg from 'pg'", 'pg enters through db only'],
    [
      'a driver in the right room but file',
      'kernel/errors.ts',
      "import { pino } from 'pino'",
      'kernel/log.ts only',
    ],
    [
      'a part of a driver',
      'queue/claim.ts',
      "import { a } from 'kysely/migration'",
      'definition and db only',
    ],
    ['a name known only when it runs', 'cli/cli.ts', 'await import(name)', 'definition/load.ts only'],
    ['a package without a door', 'db/pool.ts', "import { a } from '@scope/name/part'", 'has no door yet'],
  ])('forbids %s', (_, path, text, why) => {
    expect(findWrongImports([{ path, text }])).toEqual([expect.stringContaining(why)])
  })

  test('forbids circles, and names each once', () => {
    const files = [
      { path: 'db/a.ts', text: "import './b.ts'" },
      { path: 'db/b.ts', text: "import type { C } from './c.ts'" },
      { path: 'db/c.ts', text: "export { a } from './a.ts'" },
      { path: 'db/outside.ts', text: "import './a.ts'" },
    ]

    expect(findWrongImports(files)).toEqual(['Circle: db/a.ts -> db/b.ts -> db/c.ts -> db/a.ts.'])
  })
})

function readSources(): SourceFile[] {
  const root = fileURLToPath(new URL('../../src/', import.meta.url))
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join(posix.sep))
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({ path, text: readFileSync(`${root}${path}`, 'utf8') }))
}
