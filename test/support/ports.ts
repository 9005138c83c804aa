/**
 * Free loopback ports below the range that the system hands out to outgoing connections.
 * A port from that range could be taken by any client while its server restarts, and a client that knocks on a closed one can even
 * connect to itself. Called by whatever listens in tests: servers, poolers, proxies.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const lowest = 20_000
const highest = 32_000

/** A port of 127.0.0.1 that nothing listened on a moment ago. The caller tries again with another if it is taken meanwhile. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(lowest, highest)
    if (await isFree(port)) return port
  }
  throw new Error(`No free port between ${lowest} and ${highest} after 100 attempts.`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
