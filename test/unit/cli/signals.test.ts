/**
 * Signals, in a process of its own: the first asks, the second ends.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { waitFor } from '../../support/wait-for.ts'

const module = fileURLToPath(new URL('../../../src/cli/signals.ts', import.meta.url))
const script = `
  const { abortOnSignals } = await import(${JSON.stringify(module)})
  const { signal } = abortOnSignals()
  signal.addEventListener('abort', () => console.log('asked by ' + signal.reason))
  setInterval(() => {}, 1000)
  console.log('ready')
`

test.each(['SIGINT', 'SIGTERM'] as const)(
  'the first %s aborts, the second ends the process as by default',
  async (name) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let written = ''
    child.stdout.on('data', (data) => {
      written += data
    })
    const exit = once(child, 'exit')

    await waitFor('the process to listen', () => written.includes('ready'))
    child.kill(name)
    await waitFor('the abort', () => written.includes(`asked by ${name}`))
    expect(child.exitCode).toBeNull()
    child.kill(name)

    expect(await exit).toEqual([null, name])
  },
)
