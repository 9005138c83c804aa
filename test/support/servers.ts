/**
 * The servers that all database tests of one run share: one per major in PGFRESH_TEST_PG (a comma list, default `14,18`), or the
 * one of TEST_DATABASE_URL. Where they come from is source.ts's choice, and the first line of the run says it.
 *
 * vitest calls this for each project that is about to run (pg, fault) in one process; the servers are started by the first call and
 * stopped by the last teardown. max_prepared_transactions stays 0: above 0 writers don't ring the bell. A test that needs
 * other settings, or wants to break a server, starts its own (postgres.ts).
 */
import type { TestProject } from 'vitest/node'
import { isMajor, type Major, supportedMajors } from './binaries.ts'
import { startPostgres } from './postgres.ts'
import { chooseSource, type Source } from './source.ts'

/** A server of this run, as tests get it: `inject('postgresServers')`. */
export interface ProvidedServer {
  readonly major: Major
  /** `given`: TEST_DATABASE_URL's, whose settings are not ours. */
  readonly origin: 'embedded' | 'container' | 'given'
  readonly host: string
  readonly port: number
  /** URI of its database `postgres` (or whatever TEST_DATABASE_URL names) as superuser, with the password if there is one. */
  readonly url: string
}

/** The same, for who ends it. */
export interface SharedServer extends ProvidedServer {
  stop(): Promise<void>
}

declare module 'vitest' {
  interface ProvidedContext {
    postgresServers: readonly ProvidedServer[]
  }
}

// One server off UTC: what leans on the server's time zone shows there.
const timeZones: Partial<Record<Major, string>> = { 14: 'Asia/Kathmandu' }

let running: Promise<SharedServer[]> | undefined
let users = 0

/** Called by vitest before the tests of one project; returns the teardown. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  users += 1
  running ??= startServers(requestedMajors(process.env.PGFRESH_TEST_PG ?? '14,18'))
  const servers = await running
  project.provide(
    'postgresServers',
    servers.map(({ major, origin, host, port, url }) => ({ major, origin, host, port, url })),
  )
  return async () => {
    users -= 1
    if (users > 0) return
    running = undefined
    await Promise.all(servers.map((server) => server.stop()))
  }
}

async function startServers(majors: readonly Major[]): Promise<SharedServer[]> {
  let source = await chooseSource(majors, process.env)
  const servers = await startAll(source, majors).catch((error: unknown) => {
    // An engine that answers need not be one that works; whoever asked for containers wants to hear of it.
    if (source.kind !== 'containers' || process.env.PGFRESH_TEST_CONTAINERS === '1') throw error
    const why = error instanceof Error ? error.message : String(error)
    source = { kind: 'embedded', why: `containers can't be started: ${why}` }
    return startAll(source, majors)
  })
  const own =
    source.kind === 'embedded' ? '' : '; tests that crash or configure a server start an embedded one'
  const numbers = servers.map((server) => server.major).join(', ')
  process.stderr.write(`PostgreSQL ${numbers}: ${words[source.kind]} (${source.why})${own}\n`)
  return servers
}

const words = { given: 'a server that was given', containers: 'containers', embedded: 'embedded' } as const

async function startAll(source: Source, majors: readonly Major[]): Promise<SharedServer[]> {
  const started = await Promise.allSettled(await starts(source, majors))
  const servers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failed = started.find((result) => result.status === 'rejected')
  if (failed === undefined) return servers
  await Promise.all(servers.map((server) => server.stop()))
  throw failed.reason
}

// The libraries of the other two are loaded only where they are wanted: the embedded way stays as fast as it is.
async function starts(source: Source, majors: readonly Major[]): Promise<Promise<SharedServer>[]> {
  const settings = (major: Major) => ({ max_connections: '200', timezone: timeZones[major] ?? 'UTC' })
  switch (source.kind) {
    case 'given': {
      const { givenServer } = await import('./given.ts')
      return [givenServer(source.url)]
    }
    case 'containers': {
      const { startContainer } = await import('./containers.ts')
      const notDurable = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }
      return majors.map((major) => startContainer(major, { ...notDurable, ...settings(major) }))
    }
    case 'embedded':
      return majors.map((major) => startEmbedded(major, settings(major)))
  }
}

async function startEmbedded(
  major: Major,
  settings: Readonly<Record<string, string>>,
): Promise<SharedServer> {
  const server = await startPostgres({ major, settings })
  const { host, port } = server
  return { major, origin: 'embedded', host, port, url: server.url(), stop: () => server.stop() }
}

/** The majors that a list like `14,18` names. Throws on anything else. */
export function requestedMajors(list: string): Major[] {
  const numbers = list.split(',').map((part) => Number(part.trim()))
  return [...new Set(numbers)].map((number) => {
    if (isMajor(number)) return number
    throw new Error(`PGFRESH_TEST_PG is a comma list of ${supportedMajors.join(', ')}; it is "${list}".`)
  })
}
