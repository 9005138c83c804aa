/**
 * The heartbeat falls silent when the loop that it watches does, and when the event loop does, and for no other reason.
 */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { beatAge, Heartbeat, silenceMs } from '../../../src/daemon/heartbeat.ts'
import { type Log, silentLog } from '../../../src/kernel/log.ts'
import { waitFor } from '../../support/wait-for.ts'
import { call } from '../cli/support.ts'

const everyMs = 5

test('it beats from the start on, signed or not', async () => {
  const file = beatFile()
  const heart = new Heartbeat({ file, log: silentLog, everyMs, patienceMs: 60_000 })
  onTestFinished(() => heart.stop())

  heart.start()
  expect(Math.abs(beatAge(file) ?? Number.NaN)).toBeLessThan(5_000)

  await beatsAgain(file)
  heart.sign()
  await beatsAgain(file)
})

test('a pipe in its place is a warning, and holds nobody up', () => {
  const file = beatFile()
  execFileSync('mkfifo', [file])
  const warned: string[] = []
  const log: Log = { ...silentLog, warn: (_, message) => warned.push(message) }
  const heart = new Heartbeat({ file, log, everyMs, patienceMs: 60_000 })
  onTestFinished(() => heart.stop())

  heart.start()

  expect(warned).toEqual(['the heartbeat can not be written: health will fail'])
})

test('a loop that gives no sign any more silences it, until the next sign', async () => {
  const file = beatFile()
  const heart = new Heartbeat({ file, log: silentLog, everyMs, patienceMs: 100 })
  onTestFinished(() => heart.stop())
  heart.start()

  heart.sign()
  await waitFor('silence', async () => !(await beatsWithin(file, 40 * everyMs)), { everyMs: 1 })
  heart.sign()

  await beatsAgain(file)
})

test('an event loop that does not turn silences it', () => {
  const file = beatFile()
  const heart = new Heartbeat({ file, log: silentLog, everyMs })
  onTestFinished(() => heart.stop())
  heart.start()
  setBack(file, 60_000)

  const until = performance.now() + 20 * everyMs
  while (performance.now() < until);

  expect(beatAge(file)).toBeGreaterThan(silenceMs)
})

test('a file that can not be written is one warning and no end', async () => {
  const file = join(beatFile(), 'below a file that does not exist')
  const warned: unknown[] = []
  const log: Log = { ...silentLog, warn: (fields, message) => void warned.push([message, fields]) }
  const heart = new Heartbeat({ file, log, everyMs })
  onTestFinished(() => heart.stop())

  heart.start()
  await new Promise((resolve) => setTimeout(resolve, 10 * everyMs))

  expect(warned).toMatchObject([
    ['the heartbeat can not be written: health will fail', { file, error: { code: 'ENOENT' } }],
  ])
})

test('a link is not followed', () => {
  const file = beatFile()
  const theirs = `${file}.theirs`
  writeFileSync(theirs, 'precious')
  setBack(theirs, 60_000)
  symlinkSync(theirs, file)
  const before = statSync(theirs).mtimeMs

  const heart = new Heartbeat({ file, log: silentLog })
  heart.start()
  heart.stop()

  expect(statSync(theirs).mtimeMs).toBe(before)
  expect(readFileSync(theirs, 'utf8')).toBe('precious')
})

test('stopped, it leaves nothing behind', () => {
  const file = beatFile()
  const heart = new Heartbeat({ file, log: silentLog })
  heart.start()

  heart.stop()

  expect(existsSync(file)).toBe(false)
})

test.each([
  [29_000, 0, /^healthy: the last beat was 29 s ago\n$/],
  [31_000, 1, /^unhealthy: the last beat was 31 s ago \(.*\.beat\); the limit is 30 s\n$/],
  // The clock was set back a little, and by an hour.
  [-5_000, 0, /^healthy: the last beat was 0 ms ago\n$/],
  [-3_600_000, 1, /^unhealthy: /],
])('health calls a beat %d ms ago exit code %d', async (agoMs, code, line) => {
  const file = beatFile()
  writeFileSync(file, '')
  setBack(file, agoMs)

  const byFlag = await call(['health', '--health-file', file])
  const byVariable = await call(['health'], { PGFRESH_HEALTH_FILE: file })

  expect(byFlag).toMatchObject({ code, stdout: expect.stringMatching(line), stderr: '' })
  expect(byVariable.code).toBe(code)
})

test('health says where it looked in vain', async () => {
  const file = beatFile()

  expect(await call(['health', '--health-file', file])).toEqual({
    code: 1,
    stdout: `unhealthy: no daemon beats at ${file}\n`,
    stderr: '',
  })
})

test('health loads no package: it runs every few seconds', { timeout: 60_000 }, () => {
  expect(packagesLoadedBy('health')).toEqual([])
  expect(packagesLoadedBy('status').length).toBeGreaterThan(10)
})

function beatFile(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pgfresh-heartbeat-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return join(directory, 'test.beat')
}

function setBack(file: string, ms: number): void {
  const then = new Date(Date.now() - ms)
  utimesSync(file, then, then)
}

/** Sets the last beat back, and looks whether it stays so. */
async function beatsWithin(file: string, ms: number): Promise<boolean> {
  setBack(file, 60_000)
  await new Promise((resolve) => setTimeout(resolve, ms))
  return (beatAge(file) ?? 0) < silenceMs
}

async function beatsAgain(file: string): Promise<void> {
  setBack(file, 60_000)
  await waitFor('a beat', () => (beatAge(file) ?? Number.NaN) < silenceMs)
}

/** The files of (CommonJS) packages that a command has loaded in a process of its own when it ends. */
function packagesLoadedBy(command: string): unknown[] {
  const cli = JSON.stringify(fileURLToPath(new URL('../../../src/cli/cli.ts', import.meta.url)))
  const script = `
    import { createRequire } from 'node:module'
    const { runCommand } = await import(${cli})
    const { stdin, stdout, stderr } = process
    const env = { DATABASE_URL: 'postgres://127.0.0.1:1/nowhere' }
    await runCommand({ argv: ['${command}'], env, stdin, stdout: stderr, stderr })
    stdout.write(JSON.stringify(Object.keys(createRequire(${cli}).cache)))`
  const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore']
  const written = execFileSync(process.execPath, ['--input-type=module', '-e', script], { stdio })
  return JSON.parse(written.toString()) as unknown[]
}
