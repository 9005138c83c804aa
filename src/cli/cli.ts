/**
 * One command from argv to exit code: the composition root of everything but the process itself.
 *
 * Commands are imported when they are called, so that `--help` answers at once. What goes wrong is said in one clear message on
 * stderr; a stack trace is shown only to those who set PGFRESH_LOG_LEVEL=debug. Called by src/main.ts and by tests.
 */
import type { CommandName } from '../config.ts'
import { parseRequest, type Request } from './arguments.ts'
import type { CommandContext, Environment, Execute, Reader, Writer } from './context.ts'
import { commandHelp, overallHelp } from './help.ts'
import { abortOnSignals } from './signals.ts'
import { packageVersion } from './version.ts'

/** The outside of a command. */
export interface Invocation {
  /** Without node and script. */
  readonly argv: readonly string[]
  readonly env: Environment
  readonly stdin: Reader
  readonly stdout: Writer
  readonly stderr: Writer
  /** Ends the command in place of SIGINT and SIGTERM. Default: these. */
  readonly signal?: AbortSignal
}

/** Runs one command and returns its exit code: 0 done, 1 failed, 2 changes to apply or drift. Never throws. */
export async function runCommand(invocation: Invocation): Promise<number> {
  const { argv, env, stdout, stderr } = invocation
  let command: CommandName | null = null
  let level = env.PGFRESH_LOG_LEVEL
  try {
    const request = parseRequest(argv, env)
    if (request.kind === 'command') {
      command = request.command
      level = request.options.logLevel
      return await execute(invocation, request)
    }
    stdout.write(request.kind === 'version' ? `${packageVersion()}\n` : helpFor(request.command))
    return 0
  } catch (error) {
    // It knows the driver's errors, and the driver takes longer to load than health takes as a whole.
    const { describeFailure } = await import('./failure.ts')
    stderr.write(`${describeFailure(error, { command, withStack: level === 'debug' })}\n`)
    return 1
  }
}

const commands: Readonly<Record<Exclude<CommandName, 'health'>, () => Promise<{ execute: Execute }>>> = {
  plan: () => import('./commands/plan.ts'),
  apply: () => import('./commands/apply.ts'),
  run: () => import('./commands/run.ts'),
  status: () => import('./commands/status.ts'),
  verify: () => import('./commands/verify.ts'),
  refresh: () => import('./commands/refresh.ts'),
  pause: () => import('./commands/pause.ts'),
  resume: () => import('./commands/resume.ts'),
}

function helpFor(command: CommandName | null): string {
  return command === null ? overallHelp() : commandHelp(command)
}

async function execute(
  invocation: Invocation,
  request: Extract<Request, { kind: 'command' }>,
): Promise<number> {
  const { env, stdin, stdout, stderr } = invocation
  const { options, given, operands } = request
  if (request.command === 'health') {
    // It runs every few seconds and needs nothing else: the logging library alone would double its time.
    const health = await import('./commands/health.ts')
    return await health.execute({ options, stdout })
  }
  const interruption = endsBySignal(request) && invocation.signal === undefined ? abortOnSignals() : null
  const { createLog } = await import('../kernel/log.ts')
  const pretty = stderr.isTTY === true
  const url = env.DATABASE_URL
  const context: CommandContext = {
    options,
    given: (option) => given.has(option),
    operands,
    env,
    stdin,
    stdout,
    stderr,
    log: createLog({ level: options.logLevel, destination: stderr, pretty, colour: pretty && !env.NO_COLOR }),
    address: { url: url === undefined || url === '' ? null : url },
    project: options.project,
    definitionsDir: options.definitions,
    signal: invocation.signal ?? interruption?.signal ?? new AbortController().signal,
  }
  try {
    const command = await commands[request.command]()
    return await command.execute(context)
  } finally {
    interruption?.dispose()
  }
}

/** The others may be killed at any moment: a signal does what it does to any process. */
function endsBySignal({ command, options }: Extract<Request, { kind: 'command' }>): boolean {
  return command === 'run' || (command === 'status' && options.watch)
}
