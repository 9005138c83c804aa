#!/usr/bin/env node
/**
 * The process: argv to exit code. Nothing else sets the exit code or ends the process.
 *
 * No static import, and no syntax that Node 18 can't parse: an old Node must get as far as the one message that says so, and the
 * rest of pgfresh doesn't load there. Called by people, as `pgfresh`.
 */
export {}

const oldest = [22, 18] as const
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
  const { node } = process.versions
  process.stderr.write(
    `pgfresh needs Node.js ${oldest.join('.')} or newer; this is ${node} (${process.execPath}).\n`,
  )
  process.exitCode = 1
} else {
  // A reader that leaves early (`pgfresh status | head -1`) must not break off an apply in the middle.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') process.exit(1)
    })
  }
  if (process.pid === 1) endOnSignals()
  const code = await exitCode()
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => stream.write('', () => resolve()))
  }
  // Said, not waited for: a handle that a command left open must not keep the process.
  process.exit(code)
}

/**
 * As process 1 (a container's) we must listen ourselves: the kernel spares it every signal that has no listener, so that `docker stop`
 * of an apply would wait ten seconds and then kill. While a command listens too, it decides.
 */
function endOnSignals(): void {
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.on(name, () => {
      if (process.listenerCount(name) === 1) process.exit(code)
    })
  }
}

async function exitCode(): Promise<number> {
  try {
    const { runCommand } = await import('./cli/cli.ts')
    const { env, stdin, stdout, stderr } = process
    return await runCommand({ argv: process.argv.slice(2), env, stdin, stdout, stderr })
  } catch (error) {
    process.stderr.write(`pgfresh: ${error instanceof Error ? error.stack : error}\n`)
    return 1
  }
}
