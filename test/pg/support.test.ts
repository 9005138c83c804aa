/** The ground that all other tests stand on: servers, databases, the proxy, the pooler, and what waits and cleans up. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { forEachMajor, freshDatabase, sharedServer, testDatabase, waitFor } from '../support/database.ts'
import { findPgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { startPostgres } from '../support/postgres.ts'
import { startProxy, type TcpProxy } from '../support/proxy.ts'

forEachMajor((major) => {
  describe('the shared server', () => {
    const db = testDatabase(major)

    test('is of the major that it is said to be, and leaves prepared transactions off', async () => {
      const [row] = await db.query<{ version: string; prepared: string; clients: string; name: string }>(
        `select current_setting('server_version_num') as version, current_setting('max_prepared_transactions') as prepared,
                current_setting('max_connections') as clients, current_database() as name`,
      )

      expect(Math.floor(Number(row?.version) / 10_000)).toBe(major)
      expect(row).toMatchObject({ prepared: '0', name: db.name })
      if (sharedServer(major).origin !== 'given') expect(row?.clients).toBe('200')
    })

    test('a client is closed at the end of its test, with its open transaction', async () => {
      const client = await db.connect({ application_name: 'left open' })
      await client.query('create table held ()')
      await client.query('begin; lock held')
    })

    test('so the next test finds nothing held', async () => {
      await waitFor('the session to be gone', async () => (await sessions('left open')) === 0)
      await db.query('drop table held')
    })

    test('a role can log in, has no rights of its own, and may own things when it is dropped', async () => {
      await db.query('create table secret (id int)')
      const role = await db.createRole('nocreatedb')
      await db.query(`create schema own authorization ${role.name}`)

      const client = await db.connect({ connectionString: role.url })

      await expect(client.query('select * from secret')).rejects.toMatchObject({ code: '42501' })
      await client.query('create table own.thing ()')
    })

    async function sessions(application: string): Promise<number> {
      const rows = await db.query('select from pg_stat_activity where application_name = $1', [application])
      return rows.length
    }
  })

  test('every test can have a database of its own', async () => {
    const databases = [await freshDatabase(major), await freshDatabase(major)]

    await Promise.all(
      databases.map((db) => db.query('create table same_name as select current_database() as name')),
    )

    for (const db of databases)
      expect(await db.query('select name from same_name')).toEqual([{ name: db.name }])
  })

  test('a server of its own restarts, crashes, recovers, and is gone after stop', async () => {
    const server = await startPostgres({
      major,
      settings: { max_prepared_transactions: '7', log_line_prefix: "it's %p " },
    })
    try {
      await server.createDatabase('it is "quoted"')
      const ask = (sql: string) => answer(server.url('it is "quoted"'), sql)
      expect(await ask('show max_prepared_transactions')).toBe('7')
      expect(await ask('show fsync')).toBe('off')
      await ask('create table kept as select 1 as n')
      const { port, pid } = server

      await server.restart('fast')
      expect(await ask('select n from kept')).toBe(1)
      await server.restart('immediate')
      expect(await ask('select n from kept')).toBe(1)
      await server.kill()
      await expect(ask('select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
      expect(() => server.pid).toThrow('is not running')
      await server.restart('fast')

      expect(await ask('select n from kept')).toBe(1)
      expect(server.port).toBe(port)
      expect(server.pid).not.toBe(pid)
      expect(server.log()).toContain("it's ")
      const dataDir = await ask('show data_directory')
      expect(existsSync(String(dataDir))).toBe(true)
      await server.stop()
      expect(existsSync(String(dataDir))).toBe(false)
      await expect(ask('select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    } finally {
      await server.stop()
    }
  })

  test('a durable server keeps its promises to the disk', async () => {
    const server = await startPostgres({ major, durable: true })
    try {
      for (const setting of ['fsync', 'full_page_writes', 'synchronous_commit']) {
        expect(await answer(server.url(), `show ${setting}`)).toBe('on')
      }
    } finally {
      await server.stop()
    }
  })

  describe('the proxy', () => {
    const db = testDatabase(major)

    test('delays each direction', async () => {
      await withProxy(async (proxy) => {
        const client = await db.connect({ connectionString: proxy.url(db.url) })
        proxy.delayMs = 100
        const delayed = await timeOf(() => client.query('select 1'))

        expect(delayed).toBeGreaterThanOrEqual(200)
        expect(await answer(proxy.url(db.url), `select repeat('x', 1000000)`)).toHaveLength(1_000_000)
      })
    })

    test('frozen, answers nothing and closes nothing; thawed, nothing was lost', async () => {
      await withProxy(async (proxy) => {
        const client = await db.connect({ connectionString: proxy.url(db.url) })
        proxy.freeze()
        let answered = false
        const late = client.query('select 42 as n').then((result) => {
          answered = true
          return result.rows
        })

        await db.query(`select pg_sleep(0.2)`)
        expect(answered).toBe(false)
        expect(proxy.connections).toBe(1)

        proxy.thaw()
        expect(await late).toEqual([{ n: 42 }])
      })
    })

    test('cut, ends what is open and lets new connections in', async () => {
      await withProxy(async (proxy) => {
        const client = await db.connect({ connectionString: proxy.url(db.url) })
        const ended = new Promise((resolve) => client.once('end', resolve))

        proxy.cut()
        await ended
        expect(proxy.connections).toBe(0)

        expect(await answer(proxy.url(db.url), 'select 1')).toBe(1)
      })
    })

    async function withProxy(body: (proxy: TcpProxy) => Promise<void>): Promise<void> {
      const proxy = await startProxy({ target: sharedServer(major) })
      try {
        await body(proxy)
      } finally {
        await proxy.stop()
      }
    }
  })

  test.skipIf(findPgbouncer() === undefined)(
    'pgbouncer pools by transaction (skipped without one)',
    async () => {
      const db = await freshDatabase(major)
      const pooler = await startPgbouncer({ server: sharedServer(major), poolSize: 1 })
      if (pooler === undefined) throw new Error('it was there a moment ago')
      try {
        const [one, two] = [pooler.url(db.url), pooler.url(db.url)].map((connectionString) => ({
          connectionString,
        }))
        const [first, second] = [await db.connect(one), await db.connect(two)]
        const pids = []
        for (const client of [first, second])
          pids.push((await client.query('select pg_backend_pid() as pid')).rows[0].pid)

        expect(pids[0]).toBe(pids[1])
        await expect(db.connect({ ...one, options: '-c jit=off' })).rejects.toThrow(
          'unsupported startup parameter',
        )
      } finally {
        await pooler.stop()
      }
      await expect(answer(pooler.url(db.url), 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    },
  )
})

test.each(['ends', 'SIGINT', 'SIGKILL'])('a server does not outlive its process that %s', async (way) => {
  const program = `
    import { startPostgres } from ${JSON.stringify(fileURLToPath(new URL('../support/postgres.ts', import.meta.url)))}
    const server = await startPostgres()
    process.stdout.write(server.url())
    if (${JSON.stringify(way)} !== 'ends') setInterval(() => {}, 1000)
  `
  const temporary = mkdtempSync(join(tmpdir(), 'pgfresh-support-'))
  chmodSync(temporary, 0o755)
  onTestFinished(() => rmSync(temporary, { recursive: true }))
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  const [url] = await once(child.stdout.setEncoding('utf8'), 'data')
  if (way !== 'ends') {
    expect(await answer(url, 'select 1')).toBe(1)
    expect(readdirSync(temporary)).toHaveLength(1)
    child.kill(way as NodeJS.Signals)
  }
  await exit

  await waitFor('its directory to go', () => readdirSync(temporary).length === 0)
  await expect(answer(url, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('a server that does not start says what its log says', async () => {
  await expect(startPostgres({ settings: { shared_buffers: 'as many as you like' } })).rejects.toThrow(
    /did not start.*invalid value for parameter "shared_buffers"/s,
  )
})

test('waiting in vain says for what, and what was seen last', async () => {
  const wait = waitFor('pigs to fly', () => [].length, { timeoutMs: 50 })
  await expect(wait).rejects.toThrow('Waited 50 ms for pigs to fly; last, it was 0.')

  const broken = waitFor('an answer', () => Promise.reject(new Error('no such table')), { timeoutMs: 50 })
  await expect(broken).rejects.toThrow('no such table')
})

async function answer(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' })
    return rows[0]?.[0]
  } finally {
    await client.end()
  }
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}
