/**
 * pgfresh.refresh() on materialized views, and that what was asked for by SQL is done whoever is there when it is asked.
 */
import { expect, test } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { waitFor } from '../../support/wait-for.ts'
import { expectRenewed, ratedProject, requestsLogged, viewHolds } from './rates.ts'

forEachMajor((major) => {
  test('a view of the schedule is asked for by any name, and refreshed', async () => {
    const project = await ratedProject(major)
    project.start()
    for (const [value, asked] of [
      [2, `select pgfresh.refresh('rated')`],
      [3, `select pgfresh.refresh('public.rated')`],
      // Whatever the caller has set, the row's name is read as daemons read it.
      [4, `set local search_path = sales; select pgfresh.refresh('public.rated')`],
    ] as const) {
      await project.query(`begin; update rate set value = ${value}; ${asked}; commit`)
      await waitFor('the view to hold it', async () => (await viewHolds(project)) === value)
    }

    const [schedule] = await project.query<{ id: string }>(
      'select id::int from pgfresh.materialized_view_refresh_schedule',
    )
    expect(await requestsLogged(project)).toEqual([
      { view: schedule?.id },
      { view: schedule?.id },
      { view: schedule?.id },
    ])
    expect(await project.query('select from pgfresh.view_prompt')).toEqual([])
  })

  test('a view has neither keys nor columns, and one that is in no schedule is refused with what to insert', async () => {
    const project = await ratedProject(major)
    await project.query('create materialized view sales.idle as select 1 as one')
    const refused = async (sql: string) => {
      const error = await project.query(sql).then(
        () => undefined,
        (thrown: { message: string; hint: string; code: string }) => thrown,
      )
      return [error?.code, error?.message, error?.hint]
    }

    expect(await refused(`select pgfresh.refresh('rated', '[[1]]')`)).toEqual([
      '42809',
      'public.rated is a materialized view, which is refreshed as a whole',
      `Leave out keys and columns: select pgfresh.refresh('public.rated').`,
    ])
    expect((await refused(`select pgfresh.refresh('rated', columns => '{value}')`))[0]).toBe('42809')
    const [code, message, hint] = await refused(`select pgfresh.refresh('sales.idle')`)
    expect([code, message]).toEqual([
      '42704',
      'materialized view sales.idle has no row in the refresh schedule',
    ])
    await project.query(String(hint))
    await project.query(`select pgfresh.refresh('sales.idle')`)
    expect((await refused(`select pgfresh.refresh('rate')`))[1]).toContain('nothing is materialized on')
    // A row whose name is no name harms nobody else's.
    await project.query(
      `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name) values ('no name.at all'), ('nowhere.nothing')`,
    )
    await project.query(`select pgfresh.refresh('rated')`)
  })

  test('no name of the schedule is read as the caller would have it', async () => {
    const project = await ratedProject(major)
    const low = await project.database.createRole()
    await project.query(
      `grant usage on schema pgfresh to ${low.name}; create schema evil authorization ${low.name};
       insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name) values ('unseen')`,
    )
    const theirs = await project.database.connect({
      connectionString: low.url,
      options: '-c search_path=evil,pg_catalog,public',
    })
    await theirs.query(`
      create materialized view evil.rated as select 1 as one; create materialized view evil.unseen as select 1 as one;
      create table evil.proof as select current_user::text as who limit 0; grant insert on evil.proof to public;
      create function evil.eq(oid, oid) returns boolean language plpgsql as $$ begin
        insert into evil.proof values (current_user); return $1 operator(pg_catalog.=) $2; end $$;
      create function evil.eq(bigint, bigint) returns boolean language plpgsql as $$ begin
        insert into evil.proof values (current_user); return $1 operator(pg_catalog.=) $2; end $$;
      create operator evil.= (leftarg = oid, rightarg = oid, procedure = evil.eq);
      create operator evil.= (leftarg = bigint, rightarg = bigint, procedure = evil.eq)`)
    for (const view of ['evil.rated', 'evil.unseen']) {
      for (const ask of ['refresh', 'pause', 'resume']) {
        await expect(theirs.query(`select pgfresh.${ask}('${view}'::pg_catalog.regclass)`)).rejects.toThrow(
          ask === 'refresh' ? 'has no row in the refresh schedule' : 'nothing is materialized on',
        )
      }
    }
    await expect(theirs.query(`select pgfresh.pause('public.rated'::pg_catalog.regclass)`)).rejects.toThrow(
      'may not update',
    )
    expect(await project.query('select who from evil.proof')).toEqual([])
    expect(
      await project.query('select from pgfresh.materialized_view_refresh_schedule where enabled'),
    ).toHaveLength(2)
    // Broken: the function that runs as our owner looks up names or operators where the caller says.
  })

  test('a view that is dropped and made again is asked for at once, and all its rows are paused', async () => {
    const project = await ratedProject(major)
    await project.query(`drop materialized view rated; create materialized view rated as select 7 as value;
      insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name) values ('public.rated'), ('sales.rated')`)
    const enabled = async () =>
      (
        await project.query<{ name: string }>(
          'select materialized_view_name as name from pgfresh.materialized_view_refresh_schedule where enabled order by id',
        )
      ).map(({ name }) => name)

    await project.query(`select pgfresh.refresh('rated')`)
    expect(await project.query(`select pgfresh.pause('rated') as paused`)).toEqual([{ paused: true }])
    expect(await enabled()).toEqual(['sales.rated'])
    expect(await project.query(`select pgfresh.pause('rated') as paused`)).toEqual([{ paused: false }])
    expect(await project.query(`select pgfresh.resume('rated') as resumed`)).toEqual([{ resumed: true }])
    expect(await enabled()).toEqual(['rated', 'public.rated', 'sales.rated'])
  })

  test('who may neither update a view nor owns it may not ask', async () => {
    const project = await ratedProject(major)
    const role = await project.database.createRole()
    await project.query(
      `grant usage on schema pgfresh to ${role.name}; grant select on rated to ${role.name}`,
    )
    const theirs = await project.database.connect({ connectionString: role.url })
    const ask = () =>
      theirs.query(`select pgfresh.refresh('rated'), pgfresh.pause('rated'), pgfresh.resume('rated')`)

    await expect(ask()).rejects.toThrow(`role ${role.name} may not update`)
    await expect(theirs.query(`select pgfresh.pause('rated')`)).rejects.toThrow(
      `role ${role.name} may not update`,
    )
    await project.query(`grant update on rated to ${role.name}`)
    await ask()
    await project.query(
      `revoke update on rated from ${role.name}; alter materialized view rated owner to ${role.name}`,
    )
    await ask()
    if (major >= 17) {
      await project.query(`alter materialized view rated owner to postgres`)
      await expect(ask()).rejects.toThrow('may not update')
      await project.query(`grant maintain on rated to ${role.name}`)
      await ask()
    }
  })

  test('what is asked for while no daemon runs is done when one does, also after one was killed', async () => {
    const project = await ratedProject(major)
    const killed = project.startRun(['--poll', '20'])
    await waitFor(
      'it to be there',
      async () => (await project.query('select from pgfresh.daemon')).length > 0,
    )
    killed.child.kill('SIGKILL')
    await killed.exit

    await project.query(`select pgfresh.refresh('venue', '[[42], 43]'), pgfresh.refresh('rated')`)
    await project.query(`select pgfresh.refresh('"Odd:Name"', columns => '{other}')`)
    await project.query(`begin; select pgfresh.refresh('sales."Order"'); rollback`)
    project.start()

    await expectRenewed(project, 'venue', ['42', '43'])
    await expectRenewed(project, '"Odd:Name"', ['42', '43'], 'other')
    await expectRenewed(project, '"Odd:Name"', [])
    await expectRenewed(project, 'sales."Order"', [])
    await waitFor('the view', async () => (await viewHolds(project)) === 2)
  })
})
