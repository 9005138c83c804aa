/**
 * A PostgreSQL server in a container (testcontainers), set up as the embedded ones are.
 *
 * Its port may be open to the network (the engine decides), so it has a password that nobody else knows. It is removed by `stop`,
 * and by testcontainers' reaper when this process is killed. Called by servers.ts.
 */
import { randomBytes } from 'node:crypto'
import { GenericContainer, Wait } from 'testcontainers'
import type { Major } from './binaries.ts'
import type { SharedServer } from './servers.ts'
import { postgresImage } from './source.ts'

const startTimeoutMs = 120_000

/** Starts one and returns when it accepts sessions over TCP. Throws what testcontainers throws: no engine, no image, no start. */
export async function startContainer(
  major: Major,
  settings: Readonly<Record<string, string>>,
): Promise<SharedServer> {
  const password = randomBytes(12).toString('hex')
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const container = await new GenericContainer(postgresImage(major))
    .withEnvironment({
      POSTGRES_PASSWORD: password,
      POSTGRES_INITDB_ARGS: '--locale=C.UTF-8 --encoding=UTF8 --lc-messages=C --no-sync',
    })
    .withCommand(['postgres', ...flags])
    .withExposedPorts(5432)
    // Parallel queries keep their tuples there, and 64 MB are soon full.
    .withSharedMemorySize(256 * 1024 * 1024)
    // Over TCP: while the image sets the cluster up, a server answers on its socket alone.
    .withWaitStrategy(Wait.forSuccessfulCommand('pg_isready -h 127.0.0.1 -U postgres'))
    .withStartupTimeout(startTimeoutMs)
    .start()
  const [host, port] = [container.getHost(), container.getMappedPort(5432)]
  return {
    major,
    origin: 'container',
    host,
    port,
    url: `postgres://postgres:${password}@${host}:${port}/postgres`,
    stop: async () => {
      await container.stop({ remove: true, removeVolumes: true })
    },
  }
}
