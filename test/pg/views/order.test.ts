/**
 * Views that read views, readers of views, and many views at once.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { migrateSchema } from '../../../src/db/migrate.ts'
import { Session } from '../../../src/db/session.ts'
import { lookAtViews } from '../../../src/views/look.ts'
import { forEachMajor } from '../../support/database.ts'
import { startPostgres } from '../../support/postgres.ts'
import { createProjectOn } from '../../support/project.ts'
import { waitFor } from '../../support/wait-for.ts'
import {
  aloneSql,
  closeGate,
  executions,
  gatedSchema,
  inARefresh,
  schedule,
  shown,
  type ViewProject,
  viewProject,
} from './view-project.ts'

const refreshed = (project: ViewProject, view: string, times = 1, timeoutMs = 20_000) =>
  waitFor(
    `${view} to be refreshed`,
    async () => {
      const rows = (await executions(project, view)).filter((one) => one.outcome === 'refreshed')
      return rows.length >= times ? rows : undefined
    },
    { timeoutMs },
  )

const chain = `
  create table event (id int primary key);
  ${aloneSql}
  create materialized view a as select count(*)::int as n, pg_sleep(0.4)::text as slept from event;
  create view middle as select n from a;
  create view middle2 as select n from middle;
  create materialized view b as select n from middle2;
  create unique index on a (n); create unique index on b (n)`

forEachMajor((major) => {
  describe('a view that reads another one', () => {
    test('is refreshed after it where both are due, with several daemons', async () => {
      const project = await viewProject(major, chain)
      // b first, so that its jitter and its row come first too.
      await schedule(project, 'b', { every: '1 day' })
      await schedule(project, 'a', { every: '1 day' })
      const daemons = Array.from({ length: 4 }, () => project.start())
      await refreshed(project, 'b')
      for (let n = 1; n <= 4; n += 1) {
        await project.query('insert into event values ($1)', [n])
        await project.query(
          'update pgfresh.materialized_view_refresh_schedule set next_refresh_at = clock_timestamp()',
        )
        const [before] = [await executions(project, 'b')]
        await refreshed(project, 'b', before.length + 1)
        await refreshed(project, 'a', n + 1)
        expect(await project.query('select n from b')).toEqual([{ n }])
      }
      await Promise.all(daemons.map((daemon) => daemon.stop()))
      // Broken: between the mark and the refresh, a view is neither due nor being refreshed.
    })

    test('is refreshed after it at each common tick, whatever their jitter', async () => {
      const project = await viewProject(major, chain.replace('0.4', '0.1'))
      const daemons = Array.from({ length: 2 }, () => project.start())
      // Ids whose shares are far apart: b would start 4 ms after its tick, a 198.
      await project.query(`insert into pgfresh.materialized_view_refresh_schedule (id, materialized_view_name, cron)
        values (55, 'b', '*/2 * * * * *'), (34, 'a', '*/2 * * * * *')`)
      await refreshed(project, 'b', 4)
      await Promise.all(daemons.map((daemon) => daemon.stop()))
      const tick = (at: Date) => Math.floor(at.getTime() / 2000)
      const a = new Map((await executions(project, 'a')).map((one) => [tick(one.started_at), one]))
      const pairs = (await refreshed(project, 'b')).map((one) => ({ b: one, a: a.get(tick(one.started_at)) }))
      expect(pairs.filter((pair) => pair.a === undefined || pair.a.ended_at > pair.b.started_at)).toEqual([])
      // Broken: a view whose jitter has not come yet is not due, so nobody waits for it.
    })

    test('is not held up for ever by one that fails', async () => {
      const project = await viewProject(
        major,
        chain.replace('pg_sleep(0.4)::text as slept', '1 / (count(*) - 1) as slept'),
      )
      await schedule(project, 'a', { every: '100 ms' })
      await schedule(project, 'b', { every: '100 ms' })
      await project.query('insert into event values (1)')
      project.start()
      await waitFor('a to have failed', async () => (await shown(project, 'a'))?.last_error)
      await refreshed(project, 'b', (await executions(project, 'b')).length + 3, 4_000)
      expect((await executions(project, 'a')).some((one) => one.outcome === 'refreshed')).toBe(false)
    })

    test('is not held up by one that was cut off and waits for its next attempt', async () => {
      const project = await viewProject(major, chain)
      const a = await schedule(project, 'a', { every: '1 day' })
      await schedule(project, 'b', { every: '1 day' })
      await project.query(
        `insert into pgfresh.view_state (schedule, attempted_at, failures) values ($1, clock_timestamp() - interval '6 s', 9)`,
        [a],
      )
      project.start()
      await refreshed(project, 'b', 1, 3_000)
      expect(await executions(project, 'a')).toEqual([])
    })
  })

  describe('readers', () => {
    test('are never blocked by a view with a unique index, however long its refresh takes', async () => {
      const project = await viewProject(
        major,
        `create table event (id int primary key); insert into event select generate_series(1, 2000);
         create materialized view v as select id, pg_sleep(0.0002)::text as slept from event; create unique index on v (id)`,
      )
      await schedule(project, 'v', { every: '1 ms' })
      project.start()
      const reader = await project.database.connect({ options: '-c statement_timeout=250' })
      let reads = 0
      const until = performance.now() + 4_000
      while (performance.now() < until || (await executions(project, 'v')).length < 3) {
        await reader.query('select count(*) from v where id between 10 and 20')
        reads += 1
      }
      expect(reads).toBeGreaterThan(50)
      expect((await executions(project, 'v')).filter((one) => one.concurrent !== true)).toEqual([])
    })

    test('wait a second or so behind a refresh that waits for another reader', async () => {
      const project = await viewProject(
        major,
        'create table event (id int); create materialized view v as select count(*) as n from event',
      )
      const holder = await project.database.connect()
      await holder.query('begin; select * from v')
      const reader = await project.database.connect()
      await schedule(project, 'v', { every: '1 s' })
      project.start()
      let longest = 0
      await waitFor(
        'two failures',
        async () => {
          const asked = performance.now()
          await reader.query('select * from v')
          longest = Math.max(longest, performance.now() - asked)
          return (await executions(project, 'v')).length >= 2
        },
        { timeoutMs: 20_000 },
      )
      expect(longest).toBeGreaterThan(500)
      expect(longest).toBeLessThan(2_500)
      await holder.query('commit')
      await project.query(`select pgfresh.refresh('v')`)
      await refreshed(project, 'v')
    })

    test('autovacuum on the view gives way, instead of failing refresh after refresh', async () => {
      const server = await startPostgres({ major, settings: { autovacuum_naptime: '1s' } })
      onTestFinished(() => server.stop())
      const project = await createProjectOn(
        server,
        `create table event (id int, t text); insert into event select n, repeat('x', 500) from generate_series(1, 20000) n;
         create materialized view plain as select * from event; create materialized view keyed as select * from event;
         create unique index on keyed (id);
         alter materialized view plain set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_insert_threshold = 0, autovacuum_vacuum_insert_scale_factor = 0);
         alter materialized view keyed set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_insert_threshold = 0, autovacuum_vacuum_insert_scale_factor = 0)`,
      )
      await migrateSchema({ url: project.database.url })
      const vacuumed = () =>
        project.query(
          `select l.relation::regclass::text from pg_locks l join pg_stat_activity a on a.pid = l.pid
           where a.backend_type = 'autovacuum worker' and l.relation in ('plain'::regclass, 'keyed'::regclass) and l.mode = 'ShareUpdateExclusiveLock'`,
        )
      await waitFor('autovacuum of both', async () => (await vacuumed()).length === 2, { timeoutMs: 60_000 })
      for (const view of ['plain', 'keyed']) await schedule(project, view, { every: '1 day' })
      const daemon = project.start()
      for (const view of ['plain', 'keyed']) {
        await refreshed(project, view, 1, 15_000)
        expect((await executions(project, view)).map((one) => one.error)).toEqual([null])
      }
      await daemon.stop()
      // Broken: lock_timeout is as long as deadlock_timeout, at whose end autovacuum is told to go.
    })
  })

  test('two hundred views that are due at once all have their turn, and looking at them is cheap', async () => {
    const project = await viewProject(
      major,
      `create table event (id int primary key); insert into event select generate_series(1, 10);
       do $$ begin for n in 1..200 loop
         execute format('create materialized view v%s as select count(*) as n from event', n);
         execute format('create unique index on v%s (n)', n);
       end loop; end $$`,
    )
    await project.query(
      `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name, refresh_interval) select 'v' || n, '1 hour' from generate_series(1, 200) n`,
    )
    const daemon = project.start()
    await waitFor(
      'all of them',
      async () => {
        const rows = await project.query(
          `select from pgfresh.materialized_view_refresh_schedule_execution having count(distinct materialized_view_refresh_schedule_id) = 200`,
        )
        return rows.length === 1
      },
      { timeoutMs: 40_000 },
    )
    await daemon.stop()
    expect(
      await project.query(
        `select from pgfresh.materialized_view_refresh_schedule_execution where outcome <> 'refreshed' and outcome <> 'cancelled'`,
      ),
    ).toEqual([])
    const session = await Session.open({ url: project.database.url }, 'test')
    try {
      const times: number[] = []
      for (let n = 0; n < 30; n += 1) {
        const asked = performance.now()
        await lookAtViews(session)
        times.push(performance.now() - asked)
      }
      const middle = times.sort((a, b) => a - b)[15] ?? 0
      // Some ms; the limit leaves room for a busy machine, not for a look at each view for each view.
      expect(middle).toBeLessThan(150)
    } finally {
      await session.close()
    }
  })

  test('somebody who asks for two views all the time starves no other', async () => {
    const project = await viewProject(
      major,
      `${gatedSchema}; create table t (id int);
      create materialized view x as select pg_sleep(0.05)::text as n from generate_series(1, 1);
      create materialized view y as select pg_sleep(0.05)::text as n from generate_series(1, 1);
      create materialized view late as select count(*) as n from t`,
    )
    const ids = [
      await schedule(project, 'x', { every: '1 day' }),
      await schedule(project, 'y', { every: '1 day' }),
    ]
    const late = await schedule(project, 'late', { every: '1 day' })
    await project.query(
      `insert into pgfresh.view_state (schedule, next_at, reckoned_for) select id, now() - interval '2 minutes',
         jsonb_build_array(materialized_view_name, refresh_interval, cron, time_zone)::text
       from pgfresh.materialized_view_refresh_schedule where id = $1`,
      [late],
    )
    let asks = true
    const asking = (async () => {
      while (asks)
        await project.query(
          `insert into pgfresh.view_prompt (schedule, reason) select unnest($1::bigint[]), 'request' on conflict do nothing`,
          [ids],
        )
    })()
    project.start()
    await refreshed(project, 'late', 1, 8_000).finally(() => {
      asks = false
    })
    await asking
  })

  test('a refresh by hand at the same time: ours waits for it, and does not fail', async () => {
    const project = await viewProject(major, gatedSchema)
    const open = await closeGate(project)
    const byHand = await project.database.connect({ application_name: 'pgfresh view by hand' })
    const refreshing = byHand.query('refresh materialized view concurrently gated')
    await inARefresh(project)
    await schedule(project, 'gated')
    project.start()
    await waitFor('ours to wait', async () => {
      const rows = await project.query(
        `select from pg_stat_activity where datname = current_database() and application_name like 'pgfresh view%' and wait_event_type = 'Lock'
           and state_change < clock_timestamp() - interval '2 s'`,
      )
      return rows.length === 1
    })
    await open()
    await refreshing
    await refreshed(project, 'gated')
    expect((await executions(project, 'gated')).map((one) => one.error)).toEqual([null])
  })
})
