/**
 * The servers that all database tests of one run share: one per major in PGFRESH_TEST_PG (a comma list, default `14,18`).
 *
 * vitest calls this for each project that is about to run (pg, fault) in one process; the servers are started by the first call and
 * stopped by the last teardown. max_prepared_transactions stays 0: above 0 writers don't ring the bell. A test that needs
 * other settings, or wants to break a server, starts its own (postgres.ts).
 */
import type { TestProject } from 'vitest/node'
import { isMajor, type Major, supportedMajors } from './binaries.ts'
import { type PostgresServer, startPostgres } from './postgres.ts'

/** A server of this run, as tests get it: `inject('postgresServers')`. */
export interface ProvidedServer {
  readonly major: Major
  readonly host: string
  readonly port: number
  /** URI of its database `postgres`. */
  readonly url: string
}

declare module 'vitest' {
  interface ProvidedContext {
    postgresServers: readonly ProvidedServer[]
  }
}

// One server off UTC: what leans on the server's time zone shows there.
const timeZones: Partial<Record<Major, string>> = { 14: 'Asia/Kathmandu' }

let running: Promise<PostgresServer[]> | undefined
let users = 0

/** Called by vitest before the tests of one project; returns the teardown. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  users += 1
  running ??= startAll(requestedMajors(process.env.PGFRESH_TEST_PG ?? '14,18'))
  const servers = await running
  const provided = servers.map((server) => {
    const { major, host, port } = server
    return { major, host, port, url: server.url() }
  })
  project.provide('postgresServers', provided)
  return async () => {
    users -= 1
    if (users > 0) return
    running = undefined
    await Promise.all(servers.map((server) => server.stop()))
  }
}

async function startAll(majors: readonly Major[]): Promise<PostgresServer[]> {
  const started = await Promise.allSettled(
    majors.map((major) => {
      const settings = { max_connections: '200', timezone: timeZones[major] ?? 'UTC' }
      return startPostgres({ major, settings })
    }),
  )
  const servers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failed = started.find((result) => result.status === 'rejected')
  if (failed === undefined) return servers
  await Promise.all(servers.map((server) => server.stop()))
  throw failed.reason
}

/** The majors that a list like `14,18` names. Throws on anything else. */
export function requestedMajors(list: string): Major[] {
  const numbers = list.split(',').map((part) => Number(part.trim()))
  return [...new Set(numbers)].map((number) => {
    if (isMajor(number)) return number
    throw new Error(`PGFRESH_TEST_PG is a comma list of ${supportedMajors.join(', ')}; it is "${list}".`)
  })
}
