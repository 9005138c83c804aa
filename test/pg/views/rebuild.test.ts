/**
 * A changed query: the new view is built beside the old one and swapped, without anybody missing either, and with all that people gave it.
 */
import { expect, test } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { waitFor } from '../../support/wait-for.ts'
import { closeGate, executions, underWay, type ViewProject, viewProject } from './view-project.ts'

const schema = `
  create table venue (id int primary key, name text);
  create table event (id int primary key, venue_id int);
  insert into venue select n, 'v' || n from generate_series(1, 20) n;
  insert into event select n, 1 + n % 20 from generate_series(1, 500) n;
  create function gate() returns int language plpgsql volatile as $$ begin
    while not pg_try_advisory_xact_lock_shared(4711) loop perform pg_sleep(0.01); end loop; return 0; end $$`

const perVenue = (events: string, more = '') => `export const perVenue = defineView({
  name: 'per_venue', query: sql\`select venue_id, ${events} as events from event group by venue_id\`, key: ['venue_id'],
  refresh: { every: '1 day' }${more} })`

const holds = (project: ViewProject, events: number) =>
  waitFor(
    `the view to say ${events}`,
    async () => {
      const rows = await project.query<{ events: number }>(
        'select events::int as events from per_venue limit 1',
      )
      return rows[0]?.events === events
    },
    { timeoutMs: 20_000 },
  )

const building = (project: ViewProject) =>
  waitFor('it to be built', async () => {
    const rows = await project.query(
      `select from pg_stat_activity where datname = current_database() and application_name like 'pgfresh view%' and query like '%create materialized view%' and wait_event = 'PgSleep'`,
    )
    return rows.length === 1
  })

forEachMajor((major) => {
  test('readers never miss it, and it keeps its owner, grants, comments, indexes and statistics targets', async () => {
    const project = await viewProject(major, schema)
    const [owner, reader] = [await project.database.createRole(), await project.database.createRole()]
    await project.materialize(perVenue('count(*)'))
    const daemons = [project.start(), project.start()]
    await waitFor('the first refresh', async () => (await executions(project, 'per_venue')).length === 1)
    await project.query(`
      grant create on schema public to ${owner.name}; grant select on event to ${owner.name}, postgres;
      alter materialized view per_venue owner to ${owner.name};
      set role ${owner.name}; grant select on per_venue to ${reader.name} with grant option; grant select (events) on per_venue to public; reset role;
      create index "by ""events""" on per_venue (events) where events > 3;
      create index on per_venue ((events * 2)); alter materialized view per_venue cluster on per_venue_pgfresh_key;
      comment on materialized view per_venue is 'it''s ours'; comment on column per_venue.events is 'so many';
      alter materialized view per_venue alter column events set statistics 77;
      alter materialized view per_venue set (fillfactor = 70, autovacuum_enabled = false);
      alter default privileges in schema public grant select on tables to ${owner.name}`)
    const facts = () =>
      project.query(`select c.relowner::regrole::text as owner, obj_description(c.oid, 'pg_class') as said, c.reloptions, c.relacl::text as acl,
          (select a.attstattarget from pg_attribute a where a.attrelid = c.oid and a.attname = 'events') as target,
          (select a.attacl::text from pg_attribute a where a.attrelid = c.oid and a.attname = 'events') as column_acl,
          col_description(c.oid, 2) as column_said,
          (select array_agg(pg_get_indexdef(i.indexrelid) || i.indisclustered order by pg_get_indexdef(i.indexrelid)) from pg_index i where i.indrelid = c.oid) as indexes
        from pg_class c where c.oid = 'per_venue'::regclass`)
    const before = await facts()
    const client = await project.database.connect({
      connectionString: reader.url,
      options: '-c statement_timeout=3000',
    })
    let reads = 0
    let going = true
    const reading = (async () => {
      while (going) {
        const { rows } = await client.query('select count(*)::int as n from per_venue')
        expect(rows).toEqual([{ n: 20 }])
        reads += 1
      }
    })()

    await project.materialize(perVenue('2 * count(*)'))
    await holds(project, 50)
    await project.materialize(perVenue('3 * count(*)'))
    await holds(project, 75)
    going = false
    await reading
    expect(reads).toBeGreaterThan(20)
    expect(await facts()).toEqual(before)
    expect((await project.plan()).steps).toEqual([])
    // And it can be refreshed still, by its owner's rights.
    await project.query(
      `insert into event select 1000 + n, n from generate_series(1, 20) n; select pgfresh.refresh('per_venue')`,
    )
    await holds(project, 78)
    expect(
      (await executions(project, 'per_venue')).map((one) => [one.outcome, one.triggered_by, one.error]),
    ).toEqual([
      ['refreshed', 'schedule', null],
      ['refreshed', 'definition', null],
      ['refreshed', 'definition', null],
      ['refreshed', 'request', null],
    ])
    await Promise.all(daemons.map((daemon) => daemon.stop()))
    // Broken: grants that default privileges made are taken back from the owner too.
  })

  test('another apply in the middle of it: the newest query is what counts', async () => {
    const project = await viewProject(major, schema)
    await project.materialize(perVenue('count(*)'))
    project.start()
    await holds(project, 25)
    const open = await closeGate(project)
    await project.materialize(perVenue('2 * count(*) + max(public.gate())'))
    await building(project)
    await project.materialize(perVenue('4 * count(*)'))
    await open()
    await holds(project, 100)
    expect((await project.plan()).steps).toEqual([])
    await waitFor('no more of it', async () => (await underWay(project)).length === 0)
    expect(await project.query(`select relname from pg_class where relname like 'pgfresh_new%'`)).toEqual([])
    expect((await executions(project, 'per_venue')).filter((one) => one.outcome === 'failed')).toEqual([])
  })

  test('what is in its way is said: an index that no longer fits, a view that reads it; and once it is gone, it is built', async () => {
    const project = await viewProject(major, schema)
    await project.materialize(perVenue('count(*)'))
    const daemon = project.start()
    await holds(project, 25)
    await project.query('create index by_events on per_venue (events)')
    await project.materialize(perVenue('count(*)').replace('as events', 'as seen, 2 * count(*) as doubled'))
    const said = () =>
      waitFor('the failure', async () => {
        const [row] = await project.query<{ last_error: string | null }>(
          'select last_error from pgfresh.materialized_view_refresh_schedule',
        )
        return row?.last_error
      })
    expect(await said()).toMatch(
      /^index by_events can't be made on the new query: .*\. Drop the index, or keep what it needs in the query\.$/,
    )
    await holds(project, 25)
    await project.query(`drop index by_events; create view reader as select events from per_venue;
      update pgfresh.materialized_view_refresh_schedule set next_refresh_at = now()`)
    await waitFor('another failure', async () => /others read it: reader/.test(await said()))
    await project.query(
      `drop view reader; update pgfresh.materialized_view_refresh_schedule set next_refresh_at = now()`,
    )
    await waitFor('the swap', async () => project.query('select doubled from per_venue'))
    await daemon.stop()
  })

  test('columns that read it are computed again after the swap, and after each refresh', async () => {
    const project = await viewProject(major, schema)
    const columns = `
      export const venue = defineColumns({ table: 'venue', columns: { events: sql\`(select p.events from per_venue p where p.venue_id = venue.id)\` },
        dependsOn: { per_venue: 'all' } })`
    await project.materialize(perVenue('count(*)') + columns)
    project.start()
    const fresh = (factor: number) =>
      waitFor('the columns', async () => {
        const rows = await project.query(
          `select from venue v where v.events is distinct from ${factor} * (select count(*) from event e where e.venue_id = v.id)`,
        )
        return rows.length === 0
      })
    await fresh(1)
    await project.materialize(perVenue('2 * count(*)') + columns)
    await fresh(2)
    expect((await project.plan()).steps).toEqual([])
    await project.query(
      `insert into event select 1000 + n, 1 from generate_series(1, 20) n; select pgfresh.refresh('per_venue')`,
    )
    await fresh(2)
  })

  test('another key in the middle of it: it gets the index that is asked for now', async () => {
    const project = await viewProject(major, schema)
    const events = (more: string, key: string) => `export const keyed = defineView({ name: 'keyed',
      query: sql\`select id, venue_id${more} from event\`, key: [${key}] })`
    await project.materialize(events('', `'id'`))
    project.start()
    await waitFor('the first refresh', async () => (await executions(project, 'keyed')).length === 1)
    const open = await closeGate(project)
    await project.materialize(events(', public.gate() as gate', `'id'`))
    await building(project)
    await project.materialize(events(', public.gate() as gate', `'id', 'venue_id'`))
    await open()
    await waitFor('the swap', async () => {
      const rows = await project.query('select from pgfresh.view where not rebuild')
      return rows.length === 1
    })
    expect(
      await project.query(
        `select pg_get_indexdef(indexrelid) as index from pg_index where indrelid = 'keyed'::regclass`,
      ),
    ).toEqual([{ index: 'CREATE UNIQUE INDEX keyed_pgfresh_key ON public.keyed USING btree (id, venue_id)' }])
    expect((await project.plan()).steps).toEqual([])
    const swapped = (key: string) =>
      project.query(
        `select pgfresh.view_swapped(v.schedule, v.fingerprint, v.target, v.target, $1) as swapped from pgfresh.view v`,
        [key],
      )
    expect(await swapped('["id"]')).toEqual([{ swapped: false }])
    expect(await swapped('["id", "venue_id"]')).toEqual([{ swapped: true }])
  })

  test('its row names another view meanwhile: neither is touched, it says so, and apply sets it right', async () => {
    const project = await viewProject(
      major,
      `${schema}; create materialized view other as select 7 as events; create index other_index on other (events)`,
    )
    await project.materialize(perVenue('count(*)'))
    const first = project.start()
    await holds(project, 25)
    await first.stop()
    await project.materialize(perVenue('2 * count(*)'))
    await project.query(
      `update pgfresh.materialized_view_refresh_schedule set materialized_view_name = 'other'`,
    )
    const oids = () =>
      project.query(
        `select indrelid::regclass::text as view, indrelid, indexrelid from pg_index where indrelid in ('other'::regclass, 'per_venue'::regclass) order by 1`,
      )
    const before = await oids()
    project.start()
    await waitFor('the failure', async () => {
      const rows = await project.query(
        `select from pgfresh.materialized_view_refresh_schedule where last_error like 'the schedule''s row names other, but the definition %"per_venue"%'`,
      )
      return rows.length === 1
    })
    expect(await oids()).toEqual(before)
    expect(before).toHaveLength(2)
    await project.materialize(perVenue('2 * count(*)'))
    await holds(project, 50)
  })

  test('who reads the old one for long holds up the swap alone: not rounds, nor other readers', async () => {
    const project = await viewProject(major, schema)
    await project.materialize(perVenue('count(*)'))
    project.start()
    await holds(project, 25)
    const long = await project.database.connect()
    await long.query('begin; select from per_venue')
    await project.materialize(perVenue('2 * count(*)'))
    const other = await project.database.connect({ options: '-c lock_timeout=1s' })
    let going = true
    const reading = (async () => {
      while (going) await other.query('select from per_venue')
    })()
    const waits = new Set<string>()
    await waitFor(
      'three attempts',
      async () => {
        const rows = await project.query<{ since: string; turn: boolean }>(
          `select a.query_start::text as since, exists (select from pg_locks l where l.pid = w.pid and l.relation = 'pgfresh.state'::regclass) as turn
           from pg_locks w join pg_stat_activity a on a.pid = w.pid where not w.granted and w.relation = 'per_venue'::regclass and a.query like '%savepoint swap%'`,
        )
        for (const { since, turn } of rows) {
          expect(turn).toBe(false)
          waits.add(since)
        }
        return waits.size >= 3
      },
      { timeoutMs: 20_000 },
    )
    going = false
    await reading
    await long.query('commit')
    await holds(project, 50)
    // Broken: the state row is taken before the view.
  })

  test("somebody has the planner's turn: the swap gives the view back to its readers, and tries again", async () => {
    const project = await viewProject(major, schema)
    await project.materialize(perVenue('count(*)'))
    project.start()
    await holds(project, 25)
    const open = await closeGate(project)
    await project.materialize(perVenue('2 * count(*) + max(public.gate())'))
    await building(project)
    const holder = await project.database.connect()
    await holder.query('begin; select from pgfresh.state for update')
    await open()
    const hasView = async () =>
      (
        await project.query(
          `select from pg_locks l where l.granted and l.relation = 'per_venue'::regclass and l.mode = 'AccessExclusiveLock'`,
        )
      ).length === 1
    await waitFor('the swap to have the view', hasView)
    const reader = await project.database.connect({ options: '-c lock_timeout=3s' })
    expect((await reader.query('select events::int as events from per_venue limit 1')).rows).toEqual([
      { events: 25 },
    ])
    await holder.query('commit')
    await holds(project, 50)
    expect((await executions(project, 'per_venue')).filter((one) => one.outcome === 'failed')).toEqual([])
    // Broken: it keeps the view while it waits for the state row.
  })
})
