/**
 * The postmaster process of one test server: started, waited for, ended by a signal, killed.
 *
 * It promises that each method returns when its effect is there: `start` when sessions are accepted, `end` and `kill` when the
 * process is gone. It knows nothing of settings or directories' lives: that is postgres.ts, which calls it.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerAccount } from './binaries.ts'
import { waitFor } from './wait-for.ts'

/** Where a postmaster finds its parts. */
export interface PostmasterOptions {
  /** The `postgres` binary. */
  readonly binary: string
  readonly dataDir: string
  /** Appended to. Must exist. */
  readonly logFile: string
  /** A directory that the account may enter. */
  readonly cwd: string
  /** Undefined: as ourselves. */
  readonly account: ServerAccount | undefined
}

const startTimeoutMs = 60_000
const endTimeoutMs = 30_000

/** One postmaster after another over the same data directory. */
export class Postmaster {
  readonly #options: PostmasterOptions
  #child: ChildProcess | undefined
  #killed = false

  constructor(options: PostmasterOptions) {
    this.#options = options
  }

  /** The pid of the running postmaster, or undefined. */
  get pid(): number | undefined {
    return this.#child === undefined || hasEnded(this.#child) ? undefined : this.#child.pid
  }

  /** True from `kill` to the next start: its shared memory is still there. */
  get wasKilled(): boolean {
    return this.#killed
  }

  /** All that was logged so far. */
  log(): string {
    return existsSync(this.#options.logFile) ? readFileSync(this.#options.logFile, 'utf8') : ''
  }

  /** Starts it; throws, with the end of what it logged meanwhile, if it doesn't accept sessions. */
  async start(): Promise<void> {
    const deadline = Date.now() + 15_000
    for (;;) {
      const logged = this.log().length
      try {
        await this.#startOnce()
        this.#killed = false
        return
      } catch (error) {
        const news = this.log().slice(logged)
        // Sessions that were killed with their postmaster may hold its shared memory for a moment more.
        const soon = news.includes('pre-existing shared memory block') && Date.now() < deadline
        if (!soon)
          throw new Error(`${error instanceof Error ? error.message : error}\n--- its log ---\n${tail(news)}`)
        await sleep(50)
      }
    }
  }

  async #startOnce(): Promise<void> {
    const { binary, dataDir, logFile, cwd, account } = this.#options
    const log = openSync(logFile, 'a')
    // A session of its own, out of the terminal's reach: Ctrl-C is for those who use the server to handle, and to end it afterwards.
    const stdio = ['ignore', log, log] as const
    const child = spawn(binary, ['-D', dataDir], {
      cwd,
      env: serverEnvironment(),
      detached: true,
      stdio: [...stdio],
      ...account,
    })
    closeSync(log)
    child.unref()
    let failure: string | undefined
    child.once('error', (error) => {
      failure = error.message
    })
    this.#child = child
    const timing = { timeoutMs: startTimeoutMs, everyMs: 10 }
    await waitFor(
      'the server to accept sessions',
      () => failure ?? (hasEnded(child) || this.#isReady(child.pid)),
      timing,
    )
    if (failure !== undefined) throw new Error(failure)
    if (hasEnded(child)) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`)
  }

  #isReady(pid: number | undefined): boolean {
    const lines = readFileSync(join(this.#options.dataDir, 'postmaster.pid'), 'utf8').split('\n')
    return lines[0] === String(pid) && (lines[7] ?? '').trim() === 'ready'
  }

  /** Ends it: SIGINT rolls back open transactions and shuts down cleanly, SIGQUIT leaves recovery to the next start. */
  async end(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined || hasEnded(child)) return
    child.kill(signal)
    const timing = { timeoutMs: endTimeoutMs, everyMs: 5 }
    await waitFor(`the server to end after ${signal}`, () => hasEnded(child), timing)
  }

  /** SIGKILL to the postmaster and all its sessions and workers. */
  async kill(): Promise<void> {
    if (this.pid === undefined) return
    // The postmaster alone is not enough: an orphan (14's autovacuum launcher) can hold the shared memory for 15 s more.
    const children = childrenOf(this.pid)
    await this.end('SIGKILL')
    for (const pid of children) killIfThere(pid)
    this.#killed = true
  }
}

/** Our environment without PGDATA, PGPORT, PGOPTIONS and the like, which are not meant for servers that we start. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PG')))
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

// Every process of a server is a direct child of its postmaster. Slim Linux images have no ps.
function childrenOf(parent: number): number[] {
  const table = process.platform === 'linux' ? processesFromProc() : processesFromPs()
  return table.flatMap(([pid, ppid]) => (ppid === parent ? [pid] : []))
}

type PidAndParent = readonly [pid: number, ppid: number]

function processesFromProc(): PidAndParent[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      // `pid (name, which may hold spaces and brackets) state ppid …`
      const afterName = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1) ?? ''
      return [[Number(name), Number(afterName.split(' ')[1])] as const]
    } catch {
      return []
    }
  })
}

function processesFromPs(): PidAndParent[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  return lines.map((line) => {
    const [pid, ppid] = line.trim().split(/\s+/).map(Number)
    return [pid ?? 0, ppid ?? 0] as const
  })
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It noticed the postmaster's end by itself.
  }
}

function tail(log: string): string {
  return log.split('\n').slice(-60).join('\n')
}
