/**
 * pgfresh as a user runs it: the built command line in processes of its own (`node dist/main.js …`).
 *
 * Commands get a process group of their own, so that Ctrl-C in a terminal reaches the demo alone, which then stops things
 * in their order; a guard ends the daemon should the demo be killed. What a command logs is kept and shown only if it fails.
 * run.ts is the only caller.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startGuard } from '../support/guard.ts'

/** A command that has ended. */
export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The running daemon. */
export interface Daemon {
  /** Settles when the process has gone; rejected if it went without being asked. */
  readonly ended: Promise<void>
  /** SIGTERM, and waits. Rejects if it needed longer than it promises or didn't end well. */
  stop(): Promise<void>
}

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const definitions = fileURLToPath(new URL('../../definitions', import.meta.url))
/** What `run` promises: it leaves within 5 s of SIGTERM. One more for a machine that is busy. */
const stopLimitMs = 6_000
const loggedLines = 30

/** Runs one command to its end. `expected` are the exit codes that are no failure; any other rejects with what it wrote. */
export async function pgfresh(
  url: string,
  args: readonly string[],
  options: { expected?: readonly number[]; signal?: AbortSignal } = {},
): Promise<CommandResult> {
  const { child, output } = start(url, args)
  const kill = (): boolean => child.kill('SIGTERM')
  options.signal?.addEventListener('abort', kill, { once: true })
  if (options.signal?.aborted) kill()
  const [code] = (await once(child, 'close')) as [number | null]
  options.signal?.removeEventListener('abort', kill)
  if (!(options.expected ?? [0]).includes(code ?? -1)) {
    throw new Error(
      `pgfresh ${args.join(' ')} ended with ${code ?? child.signalCode}\n${lastLines(output.stdout + output.stderr)}`,
    )
  }
  return { code, ...output }
}

/** The arguments that name the demo's definitions. */
export const withDefinitions: readonly string[] = ['--definitions', definitions]

/** Starts `pgfresh run`. */
export function startDaemon(url: string): Daemon {
  const { child, output } = start(url, ['run'])
  const directory = mkdtempSync(join(tmpdir(), 'pgfresh-demo-'))
  const pidFile = join(directory, 'pid')
  writeFileSync(pidFile, `${child.pid}\n`)
  const guard = startGuard({ pidFile, marker: `${main} run`, signal: 'TERM', directory })
  let asked = false
  const ended = once(child, 'close').then(async ([code]) => {
    await guard.release()
    if (asked && code === 0) return
    throw new Error(`pgfresh run ended with ${code ?? child.signalCode}\n${lastLines(output.stderr)}`)
  })
  ended.catch(() => undefined) // whoever awaits `ended` or `stop` is told
  return {
    ended,
    stop: async () => {
      asked = true
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), stopLimitMs)
      await ended.finally(() => clearTimeout(late))
    },
  }
}

function start(
  url: string,
  args: readonly string[],
): { child: ChildProcess; output: { stdout: string; stderr: string } } {
  const child = spawn(process.execPath, [main, ...args], {
    detached: true,
    env: { ...withoutConnection(process.env), DATABASE_URL: url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr = lastLines(output.stderr + text)
  })
  return { child, output }
}

/** PGHOST and the like, and PGFRESH_*, are meant for somebody's own database. */
function withoutConnection(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('PG')))
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-loggedLines).join('\n') + (text.endsWith('\n') ? '\n' : '')
}
