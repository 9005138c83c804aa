/**
 * A connection as everything in the demo opens it.
 */
import pg from 'pg'

/**
 * Connects to the database at `url` under an application_name. A connection that is lost (the server stops first, when the
 * demo is ended early) fails the query that runs on it, which is where it is dealt with, and not the process.
 */
export async function connect(url: string, applicationName: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: applicationName })
  client.on('error', () => undefined)
  await client.connect()
  return client
}
