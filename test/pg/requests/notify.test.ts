/**
 * NOTIFY pgfresh: every form, once for all daemons, and what can't be understood harms nothing.
 */
import { expect, onTestFinished, test } from 'vitest'
import { forEachMajor, sharedServer } from '../../support/database.ts'
import { findPgbouncer, startPgbouncer } from '../../support/pgbouncer.ts'
import { startPostgres } from '../../support/postgres.ts'
import { createProjectOn, type Project } from '../../support/project.ts'
import { waitFor } from '../../support/wait-for.ts'
import { expectRenewed, listening, ratedProject, renewed, requestsLogged, viewHolds } from './rates.ts'

/** What the daemons warned of. */
function warnings(project: Project): Record<string, unknown>[] {
  return project.logged.filter((line) => line.level === 'warn').map((line) => line.fields)
}

/** Who holds the lock of requests: its process's application_name and pid. */
async function leaders(project: Project): Promise<number[]> {
  const rows = await project.query<{ pid: number }>(
    `select l.pid from pg_locks l join pg_database d on d.oid = l.database
     where l.locktype = 'advisory' and l.classid = 7331004 and l.granted and d.datname = current_database()`,
  )
  return rows.map((row) => row.pid)
}

forEachMajor((major) => {
  test('each form asks for just what it names', async () => {
    const project = await ratedProject(major)
    project.start({ listen: true })
    await listening(project)

    await project.query(`notify pgfresh, 'venue:42'`)
    await expectRenewed(project, 'venue', ['42'])
    await project.query(`notify pgfresh, '"Odd:Name":42'`)
    await expectRenewed(project, '"Odd:Name"', ['42'])
    await project.query(`notify pgfresh, 'sales."Order":7'`)
    await expectRenewed(project, 'sales."Order"', ['7'])
    await project.query(`notify pgfresh, '{"target":"venue","keys":[[41],40,{"id":39}],"columns":["value"]}'`)
    await expectRenewed(project, 'venue', ['39', '40', '41', '42'])
    await expectRenewed(project, 'venue', ['42'], 'other')
    await project.query(`notify pgfresh, '{"target":"pair","keys":[[1,"y"]]}'`)
    await expectRenewed(project, 'pair', ['1 y'])
    await project.query(`notify pgfresh, '{"target":"sales.\\"Order\\"","columns":["other"]}'`)
    await expectRenewed(project, 'sales."Order"', ['7', '8'], 'other')
    await expectRenewed(project, 'sales."Order"', ['7'])
    await project.query(`notify pgfresh, 'venue'`)
    await waitFor('all venues', async () => (await renewed(project, 'venue')).length === 100)
    expect(await viewHolds(project)).toBe(1)
    await project.query(`notify pgfresh, 'rated'`)
    await waitFor('the view', async () => (await viewHolds(project)) === 2)

    expect(warnings(project)).toEqual([])
  })

  test('twenty requests for one target, heard by five daemons, are asked for once each and make one walk', async () => {
    const project = await ratedProject(major)
    Array.from({ length: 5 }, () => project.start({ listen: true }))
    await listening(project, 5)
    // So that the walk can't end before the last of them came.
    const holder = await project.database.connect()
    await holder.query('begin; update venue set id = id where id = 1')
    const sender = await project.database.connect()

    for (let n = 1; n <= 20; n += 1) await sender.query(`notify pgfresh, 'venue'`)
    for (let n = 1; n <= 20; n += 1) await sender.query(`notify pgfresh, 'sales."Order":${n}'`)
    await waitFor('the last of them', async () =>
      (await requestsLogged(project)).some((one) => JSON.stringify(one.keys) === '[["20"]]'),
    )

    const logged = await requestsLogged(project)
    const whole = logged.filter((one) => one.keys === null)
    expect(whole.length).toBeGreaterThan(0)
    expect(whole.length, 'requests for the whole target').toBeLessThanOrEqual(20)
    expect(logged.filter((one) => one.keys !== null).map((one) => JSON.stringify(one.keys))).toEqual(
      Array.from({ length: 20 }, (_, at) => `[["${at + 1}"]]`),
    )
    expect(await leaders(project)).toHaveLength(1)
    await holder.query('commit')
    await project.settle()
    expect(await project.query(`select from pgfresh.walk where why = 'request'`)).toHaveLength(1)
    expect(await renewed(project, 'venue')).toHaveLength(100)
    expect(await requestsLogged(project)).toHaveLength(logged.length)
  })

  test('what can not be understood is told once, with what was expected, and harms nothing', async () => {
    const project = await ratedProject(major)
    await project.query(
      'create table plain (id int); create materialized view unscheduled as select 1 as one',
    )
    project.start({ listen: true })
    await listening(project)
    const bad: [payload: string, problem: string, expected: string][] = [
      ['veneu', 'there is no table or materialized view "veneu"', `NOTIFY pgfresh, 'venue'`],
      ['a b', '"a b" is not a name as SQL writes it', 'double quotes'],
      ['', 'it is empty', `NOTIFY pgfresh, 'venue'`],
      ['{"target": "venue"', 'it is no JSON', '{"target": "venue"'],
      ['{"target": "venue", "key": [42]}', 'there is no field "key"', '"keys"'],
      ['{"target": "venue", "keys": [["\\u0000"]]}', 'unsupported Unicode escape sequence', '"keys"'],
      ['{"target": "venue", "columns": ["vlaue"]}', 'has no materialized column vlaue', 'value, other'],
      ['venue:forty-two', 'invalid input syntax for type integer: "forty-two"', `'venue:42'`],
      ['venue:99999999999999', 'out of range', `'venue:42'`],
      ['pair:1', 'is no key of', 'A key is an array of 2: a, b. Only a key of one column may follow a colon'],
      ['rated:1', 'refreshed as a whole', 'Leave out keys and columns'],
      ['plain', 'nothing is materialized on', 'pgfresh apply'],
      [
        'unscheduled',
        'has no row in the refresh schedule',
        'insert into pgfresh.materialized_view_refresh_schedule',
      ],
    ]

    const sender = await project.database.connect()
    for (let times = 0; times < 3; times += 1) {
      for (const [payload] of bad) await sender.query(`select pg_notify('pgfresh', $1)`, [payload])
    }
    await sender.query(`notify pgfresh, 'venue:42'`)
    await expectRenewed(project, 'venue', ['42'])

    const warned = project.logged.filter(
      (line) => line.message === 'a request by NOTIFY can not be carried out',
    )
    expect(warned.map((line) => line.fields.payload).sort()).toEqual(bad.map(([payload]) => payload).sort())
    for (const [payload, problem, expected] of bad) {
      const told = warned.find((line) => line.fields.payload === payload)?.fields
      expect(told?.problem).toContain(problem)
      expect(told?.expected).toContain(expected)
    }
    expect(warnings(project)).toHaveLength(bad.length)
    expect(await requestsLogged(project)).toHaveLength(1)
  })

  test('a flood of what can not be understood is no flood in the log, and what can is done', async () => {
    const project = await ratedProject(major)
    project.start({ listen: true })
    await listening(project)

    await project.query(`select pg_notify('pgfresh', repeat('x', 5000) || n) from generate_series(1, 500) n`)
    await project.query(`notify pgfresh, 'venue:42'`)
    await expectRenewed(project, 'venue', ['42'])

    expect(warnings(project)).toHaveLength(21)
  })

  test('a daemon that may not update the target says so', async () => {
    const project = await ratedProject(major)
    const role = await project.database.createRole()
    await project.query(`grant usage on schema pgfresh to ${role.name}; grant all on all tables in schema pgfresh to ${role.name};
      grant all on all sequences in schema pgfresh to ${role.name}; grant execute on all functions in schema pgfresh to ${role.name};
      grant execute on function pg_control_system to ${role.name}`)
    project.start({ listen: true, url: role.url })
    await listening(project)

    await project.query(`notify pgfresh, 'venue:42'`)
    await waitFor('the warning', () => warnings(project).length > 0)

    expect(warnings(project)).toMatchObject([
      { payload: 'venue:42', problem: `role ${role.name} may not update public.venue` },
    ])
  })

  test('a request is heard after the daemon that takes them up was killed, and while it hangs', async () => {
    const project = await ratedProject(major)
    const first = project.startRun(['--poll', '20'])
    await waitFor('it to run', () => first.stderr().includes('pgfresh runs'))
    await project.query(`notify pgfresh, 'venue:1'`)
    await expectRenewed(project, 'venue', ['1'])
    const heirs = [project.start({ listen: true }), project.start({ listen: true })]
    await listening(project, 2)
    const [lead] = await leaders(project)
    // This one the heirs have heard too, and that it was taken up.
    await project.query(`notify pgfresh, 'venue:4'`)
    await expectRenewed(project, 'venue', ['1', '4'])

    // It holds the lock and hears nothing.
    first.child.kill('SIGSTOP')
    await project.query(`notify pgfresh, 'sales."Order":7'`)
    await waitFor(
      'somebody else to take it up',
      async () => (await renewed(project, 'sales."Order"')).length > 0,
      {
        timeoutMs: 25_000,
      },
    )
    expect(await leaders(project)).toEqual([lead])
    first.child.kill('SIGKILL')
    await project.query(`notify pgfresh, 'venue:2'`)
    await first.exit
    await project.query(`notify pgfresh, 'venue:3'`)

    await expectRenewed(project, 'venue', ['1', '2', '3', '4'])
    expect(await leaders(project)).toHaveLength(1)
    expect(await leaders(project)).not.toEqual([lead])
    // Two that lose patience at the same moment may both have asked for what the hanging one didn't: harmless, and rare.
    const asked = (await requestsLogged(project)).map((one) => JSON.stringify(one.keys))
    expect([...new Set(asked)].sort()).toEqual(['[["1"]]', '[["2"]]', '[["3"]]', '[["4"]]', '[["7"]]'])
    expect(asked.filter((keys) => keys !== '[["7"]]')).toHaveLength(4)
    await Promise.all(heirs.map((heir) => heir.stop()))
  })

  test('a listener that is cut off hears again, and one daemon takes requests up with its other connections gone', async () => {
    const project = await ratedProject(major)
    project.start({ listen: true })
    await listening(project)
    const cut = (session: string) =>
      project.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = $1',
        [session],
      )
    const listens = async () =>
      (
        await project.query(
          `select from pg_stat_activity where datname = current_database() and application_name = 'pgfresh listener' and query ilike 'listen%' and state = 'idle'`,
        )
      ).length === 1

    await project.query(`notify pgfresh, 'venue:1'`)
    await expectRenewed(project, 'venue', ['1'])
    await cut('pgfresh requests')
    await project.query(`notify pgfresh, 'venue:2'`)
    await expectRenewed(project, 'venue', ['1', '2'])
    await cut('pgfresh listener')
    await waitFor(
      'it to listen again',
      async () => project.hasLogged('the listener lost its connection') && (await listens()),
    )
    // Each of its channels is listened to by a statement of its own: the last of them shows there, and the others came before.
    await waitFor('a request to be heard', async () => {
      await project.query(`notify pgfresh, 'venue:3'`)
      return (await renewed(project, 'venue')).includes('3')
    })
  })

  test('where writers do not ring because transactions may be prepared, requests by NOTIFY are heard', async () => {
    const server = await startPostgres({ major, settings: { max_prepared_transactions: '10' } })
    onTestFinished(() => server.stop())
    const project = await createProjectOn(
      server,
      'create table rate (value int); insert into rate values (1); create table venue (id int primary key); insert into venue values (42), (43)',
    )
    await project.materialize(
      `export const venue = defineColumns({ table: 'venue', columns: { value: sql\`(select r.value from rate r)\` }, dependsOn: { rate: 'ignore' } })`,
    )
    await project.drain()
    await project.query('update rate set value = 2')
    project.logged.length = 0
    const daemon = project.start({ listen: true })
    await listening(project)

    await project.query(`notify pgfresh, 'venue:42'`)
    await waitFor('it to be computed', async () => (await renewed(project, 'venue')).length > 0)

    expect(
      project.hasLogged('prepared transactions are allowed here, so writers do not ring: polling instead'),
    ).toBe(true)
    await daemon.stop()
  })

  test.runIf(findPgbouncer() !== undefined)(
    'where listening is not possible or not wanted, one line says so',
    async () => {
      const project = await ratedProject(major)
      const bouncer = await startPgbouncer({ server: sharedServer(major) })
      if (bouncer === undefined) throw new Error('no pgbouncer')
      onTestFinished(() => bouncer.stop())
      const pooled = project.start({ listen: true, url: bouncer.url(project.database.url) })
      const deaf = project.start({ listen: false })
      await listening(project, 2)

      const said = project.logged.filter((line) => line.message.startsWith('NOTIFY pgfresh is not heard'))
      expect(said.map((line) => line.level).sort()).toEqual(['info', 'warn'])
      await project.query(`select pgfresh.refresh('venue', '[42]')`)
      await expectRenewed(project, 'venue', ['42'])
      await Promise.all([pooled.stop(), deaf.stop()])
    },
  )
})
