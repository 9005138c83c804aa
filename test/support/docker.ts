/**
 * Is there a Docker engine, and which images does it have? Asked over its socket with plain HTTP, so that the answer costs a few
 * milliseconds and no library: every run of the tests asks, also where Docker is installed and no registry can be reached.
 *
 * It promises to answer within a second for each socket that there is, and never to throw, pull or start anything. Called by source.ts and the container tests.
 */
import { existsSync } from 'node:fs'
import { type RequestOptions, request } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** An engine that answered. */
export interface DockerEngine {
  /** True if this image (`postgres:18`) lies there: nothing needs to be pulled. */
  hasImage(image: string): Promise<boolean>
}

type Address = Pick<RequestOptions, 'socketPath' | 'host' | 'port'>

const patienceMs = 1_000

/**
 * The engine that DOCKER_HOST names (unix:// or tcp:// without TLS), or else the one behind one of the usual sockets. Undefined: none
 * answers.
 */
export async function findDockerEngine(env: NodeJS.ProcessEnv): Promise<DockerEngine | undefined> {
  for (const address of addresses(env)) {
    if ((await statusOf(address, '/_ping')) !== 200) continue
    const path = (image: string) => `/images/${encodeURIComponent(image)}/json`
    return { hasImage: async (image) => (await statusOf(address, path(image))) === 200 }
  }
  return undefined
}

function addresses(env: NodeJS.ProcessEnv): Address[] {
  const named = env.DOCKER_HOST
  if (named === undefined || named === '') {
    const sockets = ['/var/run/docker.sock', join(homedir(), '.docker', 'run', 'docker.sock')]
    if (env.XDG_RUNTIME_DIR !== undefined) sockets.push(join(env.XDG_RUNTIME_DIR, 'docker.sock'))
    return sockets.filter((path) => existsSync(path)).map((socketPath) => ({ socketPath }))
  }
  if (named.startsWith('unix://')) return [{ socketPath: named.slice('unix://'.length) }]
  if (!named.startsWith('tcp://') || env.DOCKER_TLS_VERIFY === '1') return []
  if (!URL.canParse(named)) return []
  const { hostname, port } = new URL(named)
  return [{ host: hostname, port: port === '' ? 2375 : Number(port) }]
}

/** The status of a GET; undefined: no answer. */
function statusOf(address: Address, path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const asked = request({ ...address, path, signal: AbortSignal.timeout(patienceMs) }, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
    asked.once('error', () => resolve(undefined))
    asked.end()
  })
}
