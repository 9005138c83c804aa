/**
 * Commands that the bench starts: pgbench and pgfresh's own command line.
 *
 * What it promises: none outlives the bench. Each gets a process group of its own, so that Ctrl-C reaches the bench alone, which then
 * ends them; should the bench be killed, a guard ends them. Connection settings of the surroundings don't reach them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startGuard } from '../test/support/guard.ts'
import type { Bench } from './case.ts'

/** A command that runs. */
export interface RunningCommand {
  /** SIGTERM, and SIGKILL if that doesn't help within `killAfterMs`. Returns when the process has gone. */
  stop(): Promise<void>
  /** Its stdout, once it has ended with 0. Rejects, with the end of what it wrote, if it ended otherwise. */
  readonly done: Promise<string>
}

const killAfterMs = 10_000
const shownChars = 2_000

/** What is started. */
export interface Command {
  readonly file: string
  readonly args: readonly string[]
  /** Added to an environment without connection settings. */
  readonly env?: Readonly<Record<string, string>>
  /** A text in its arguments that no process but the bench's own has, for the guard. */
  readonly marker: string
}

/** Starts a command. When the bench is told to stop, so is the command. */
export function startCommand(bench: Bench, { file, args, env = {}, marker }: Command): RunningCommand {
  const child = spawn(file, args, {
    detached: true,
    env: { ...withoutConnection(process.env), NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const written = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written.stderr = (written.stderr + text).slice(-shownChars)
  })
  const release = child.pid === undefined ? async () => {} : guard(bench, child.pid, marker)
  const stop = (): void => endChild(child)
  bench.signal.addEventListener('abort', stop, { once: true })
  if (bench.signal.aborted) stop()
  const closed = once(child, 'close') as Promise<[number | null]>
  const done = closed
    .finally(async () => {
      bench.signal.removeEventListener('abort', stop)
      await release()
    })
    .then(([code]) => {
      if (code === 0) return written.stdout
      bench.signal.throwIfAborted()
      const end = `${written.stdout.slice(-shownChars)}\n${written.stderr}`.trim()
      throw new Error(`${file} ${args.join(' ')} ended with ${code ?? child.signalCode}\n${end}`)
    })
  done.catch(() => {}) // whoever awaits `done` is told
  return {
    done,
    stop: async () => {
      stop()
      await done.catch(() => {})
    },
  }
}

function endChild(child: ChildProcess): void {
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), killAfterMs)
  child.once('close', () => clearTimeout(late))
}

function guard(bench: Bench, pid: number, marker: string): () => Promise<void> {
  const directory = mkdtempSync(join(bench.scratch, 'command-'))
  const pidFile = join(directory, 'pid')
  writeFileSync(pidFile, `${pid}\n`)
  const running = startGuard({ pidFile, marker, signal: 'TERM', directory })
  return () => running.release()
}

/** PGHOST and the like, and PGFRESH_*, are meant for somebody's own database. */
function withoutConnection(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !/^(PG|DATABASE_URL$)/.test(name)))
}
