/**
 * The line of a syntax error that V8 found.
 *
 * V8 keeps the line beside the error where only an uncaught one shows it, so a Node of its own parses the file again and
 * prints it. The file is parsed, never run. A rare path: TypeScript's own errors name their line. Called by load-failure.ts.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Making a module parses it; only evaluate() would run it. */
const program = `
  const { stripTypeScriptTypes } = require('node:module')
  const { SourceTextModule } = require('node:vm')
  const source = require('node:fs').readFileSync(0, 'utf8')
  new SourceTextModule(process.argv[1] === 'ts' ? stripTypeScriptTypes(source) : source, { identifier: 'checked' })`

/** Long for a parse, short for a person. */
const parseTimeoutMs = 10_000

/** The line, from 1, or null where the file parses after all or can't be checked. */
export function syntaxErrorLine(path: string): number | null {
  const language = /\.m?ts$/.test(path) ? 'ts' : 'js'
  const { stderr } = spawnSync(
    process.execPath,
    ['--experimental-vm-modules', '--no-warnings', '--eval', program, language],
    { input: readFileSync(path), encoding: 'utf8', timeout: parseTimeoutMs, env: {} },
  )
  const line = /^checked:(\d+)$/m.exec(stderr)?.[1]
  return line === undefined ? null : Number(line)
}
