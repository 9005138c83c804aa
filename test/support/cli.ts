/**
 * The built command line as tests run it: `node dist/main.js …` in a process of its own, which is what users get.
 *
 * Nothing of the surrounding connection settings (PG*, DATABASE_URL, PGFRESH_*) reaches it unless a test says so, and a command that
 * a test leaves running is killed when the test ends. Needs `npm run build`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished, TestRunner } from 'vitest'
import { waitFor } from './wait-for.ts'

/** How a command is started. */
export interface CliOptions {
  /** Added to an environment without connection settings. */
  readonly env?: Readonly<Record<string, string>>
  /** Default: ours. */
  readonly cwd?: string
  /** What it reads from stdin; default: nothing, as without a terminal. */
  readonly stdin?: string
}

/** A command that has ended. */
export interface CliResult {
  /** The exit code, or null when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A command that runs. */
export interface RunningCli {
  readonly child: ChildProcess
  /** Fulfilled when it has ended, in whatever way. */
  readonly exit: Promise<CliResult>
  /** What it has written so far. */
  readonly stdout: () => string
  readonly stderr: () => string
}

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

/** Runs a command to its end. After `timeoutMs` (default 60,000) it is killed and what it wrote is thrown. */
export async function runCli(
  args: readonly string[],
  { timeoutMs = 60_000, ...options }: CliOptions & { readonly timeoutMs?: number } = {},
): Promise<CliResult> {
  const running = startCli(args, options)
  const ended = () => running.child.exitCode !== null || running.child.signalCode !== null
  try {
    await waitFor(`pgfresh ${args.join(' ')} to end`, ended, { timeoutMs })
  } catch (cause) {
    running.child.kill('SIGKILL')
    const { stdout, stderr } = await running.exit
    throw new Error(`pgfresh ${args.join(' ')} did not end within ${timeoutMs} ms.\n${stdout}\n${stderr}`, {
      cause,
    })
  }
  return running.exit
}

/** Starts a command that goes on until it is stopped (`run`). Send signals through `child`; at the test's end it is killed. */
export function startCli(args: readonly string[], options: CliOptions = {}): RunningCli {
  const env = { ...bareEnvironment(), ...options.env }
  const input = options.stdin === undefined ? 'ignore' : 'pipe'
  const child = spawn(process.execPath, [main, ...args], {
    cwd: options.cwd,
    env,
    stdio: [input, 'pipe', 'pipe'],
  })
  const written = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      written[name] += text
    })
  }
  child.stdin?.on('error', () => {})
  child.stdin?.end(options.stdin)
  const exit = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, ...written }))
  })
  exit.catch(() => {})
  killLater(child, exit)
  return { child, exit, stdout: () => written.stdout, stderr: () => written.stderr }
}

function killLater(child: ChildProcess, exit: Promise<CliResult>): void {
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('close', () => process.off('exit', kill))
  // Started in a hook it serves many tests; then it ends with this process.
  if (TestRunner.getCurrentTest() === undefined) return
  onTestFinished(async () => {
    kill()
    await exit.catch(() => {})
  })
}

function bareEnvironment(): NodeJS.ProcessEnv {
  const ours = (name: string) => /^(PG|DATABASE_URL$|VITEST|FORCE_COLOR$)/.test(name)
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours(name))), NO_COLOR: '1' }
}
