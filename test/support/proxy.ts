/**
 * A misbehaving network in front of a server: a TCP proxy on loopback that delays, freezes and cuts.
 *
 * Frozen, it is a half-open connection: nothing is forwarded, not even the end of a side, yet nothing is closed, as when a cable is
 * pulled. Bytes are never lost or reordered by delay or thaw. Used by fault tests, and by the bench for a server that is far away.
 */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './ports.ts'

/** What the proxy stands in front of, and how it begins. */
export interface ProxyOptions {
  /** The server behind it. */
  readonly target: { readonly host: string; readonly port: number }
  /** Delay of each direction, so a round trip takes twice that. Default 0. */
  readonly delayMs?: number
}

/** A proxy that listens. */
export interface TcpProxy {
  readonly host: string
  readonly port: number
  /** Delay of each direction; may be changed at any time, and then holds for what arrives from then on. */
  delayMs: number
  /** How many connections are open now. */
  readonly connections: number
  /** The same URI with this proxy's host and port. */
  url(serverUrl: string): string
  /** Destroys every connection. New ones are accepted. */
  cut(): void
  /** Stops forwarding, in new connections too, without closing anything. */
  freeze(): void
  /** Forwards again, beginning with what was held back. */
  thaw(): void
  /** Cuts, and listens no more. Safe to call twice. */
  stop(): Promise<void>
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startProxy(options: ProxyOptions): Promise<TcpProxy> {
  const proxy = new LoopbackProxy(options)
  await proxy.listen()
  return proxy
}

class LoopbackProxy implements TcpProxy {
  readonly host = '127.0.0.1'
  delayMs: number
  readonly #target: ProxyOptions['target']
  readonly #server: Server
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #port = 0
  #frozen: { readonly thawed: Promise<void>; readonly thaw: () => void } | undefined

  constructor({ target, delayMs = 0 }: ProxyOptions) {
    this.delayMs = delayMs
    this.#target = target
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => this.#accept(client))
  }

  async listen(): Promise<void> {
    this.#port = await freePort()
    this.#server.listen(this.#port, this.host)
    await once(this.#server, 'listening')
  }

  get port(): number {
    return this.#port
  }

  get connections(): number {
    return this.#pairs.size
  }

  url(serverUrl: string): string {
    const url = new URL(serverUrl)
    url.hostname = this.host
    url.port = String(this.#port)
    return url.href
  }

  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy()
    this.#pairs.clear()
  }

  freeze(): void {
    let thaw = () => {}
    const thawed = new Promise<void>((resolve) => {
      thaw = resolve
    })
    this.#frozen ??= { thawed, thaw }
  }

  thaw(): void {
    this.#frozen?.thaw()
    this.#frozen = undefined
  }

  async stop(): Promise<void> {
    this.cut()
    this.thaw()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    const server = connect({ ...this.#target, noDelay: true, allowHalfOpen: true })
    const pair = [client, server] as const
    this.#pairs.add(pair)
    this.#forward(client, server, pair)
    this.#forward(server, client, pair)
  }

  // One promise chain per direction keeps the order; each step waits until its own bytes are due.
  #forward(from: Socket, to: Socket, pair: readonly [Socket, Socket]): void {
    let last: Promise<void> = Promise.resolve()
    const inOrder = (act: () => void) => {
      const due = performance.now() + this.delayMs
      last = last.then(async () => {
        // Timers may fire a little early, and then it would be a little less than the delay.
        for (let rest = due - performance.now(); rest > 0; rest = due - performance.now()) await sleep(rest)
        while (this.#frozen !== undefined) await this.#frozen.thawed
        if (this.#pairs.has(pair)) act()
      })
    }
    from.on('data', (bytes) => inOrder(() => to.write(bytes)))
    from.on('end', () => inOrder(() => to.end()))
    // 'close' follows. A lost side is told to the other one, unless frozen.
    from.on('error', () => {})
    from.on('close', () =>
      inOrder(() => {
        this.#pairs.delete(pair)
        to.destroySoon()
      }),
    )
  }
}
