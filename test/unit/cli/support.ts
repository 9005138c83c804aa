/**
 * A command line without a process: what runCommand writes, as texts.
 */
import { Readable } from 'node:stream'
import { runCommand } from '../../../src/cli/cli.ts'
import type { Environment } from '../../../src/cli/context.ts'

/** What a command wrote and returned. */
export interface Written {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs one command with nothing on stdin and no terminal. */
export async function call(argv: readonly string[], env: Environment = {}): Promise<Written> {
  const written = { stdout: '', stderr: '' }
  const writer = (name: keyof typeof written) => ({
    write(text: string) {
      written[name] += text
    },
  })
  const code = await runCommand({
    argv,
    env,
    stdin: Readable.from([]),
    stdout: writer('stdout'),
    stderr: writer('stderr'),
  })
  return { code, ...written }
}

/** The whole of it in one text, for file snapshots. */
export function transcript(argv: readonly string[], { code, stdout, stderr }: Written): string {
  return [`$ pgfresh ${argv.join(' ')}\n`, stdout, stderr, `(exit ${code})\n`].join('')
}
