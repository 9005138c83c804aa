/**
 * What plan notices of a captured table though no trigger is missing: a part of it whose triggers are disabled, and columns that
 * changed names with each other, which the trigger bodies take for a RENAME for ever.
 */
import { expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { type Comparison, createProject, type Project } from '../../support/project.ts'
import { LogReader } from './log.ts'

const schema = `
  create table venue (id int primary key);
  create table ticket (id int, region text, venue_id int, price int, fee int) partition by list (region);
  create table ticket_north partition of ticket for values in ('n') partition by range (id);
  create table ticket_north_low partition of ticket_north for values from (0) to (100);
  create table ticket_south partition of ticket for values in ('s');
  insert into venue values (1), (2);
  insert into ticket values (1, 'n', 1, 10, 3), (2, 's', 2, 20, 4)`

const definition = `export const venue = defineColumns({
  table: 'venue',
  columns: { taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)\` },
  dependsOn: { ticket: { via: sql\`select venue_id as id from changed\` } },
})`

const comparison: Comparison = {
  stored: 'select id, taken from venue',
  expected:
    'select v.id, coalesce(sum(t.price), 0) from venue v left join ticket t on t.venue_id = v.id group by 1',
}

forEachMajor((major) => {
  test.each([
    ['pgfresh_insert', `insert into ticket values (5, 'n', 2, 50)`],
    ['pgfresh_update', 'update ticket set price = 77'],
    ['pgfresh_delete', 'delete from ticket where id = 1'],
    ['pgfresh_truncate', 'truncate ticket_north_low'],
  ])(
    '%s that is disabled on one partition alone is seen by plan, and repaired by apply',
    async (trigger, write) => {
      const { project, log } = await venues(major)
      await project.query(`alter table ticket_north_low disable trigger ${trigger}`)
      await project.query(write)

      expect(await descriptions(project)).toEqual([
        `capture changes of ticket (price, venue_id): trigger ${trigger} on ticket_north_low is disabled; what went unnoticed is computed again (venue)`,
      ])
      await project.apply()
      await project.drain()
      await project.expectFresh(comparison)

      expect(await descriptions(project)).toEqual([])
      await log.news()
      await project.query(`insert into ticket values (6, 'n', 1, 60); update ticket set price = price + 1 where id = 6;
      delete from ticket where id = 6; truncate ticket_north_low`)
      expect(await log.news()).toEqual(['ticket I 1', 'ticket U 1>1', 'ticket D 1', 'ticket T'])
      await project.drain()
      await project.expectFresh(comparison)
    },
  )

  test.each([
    ['of a column that is read', 'price', 'fee'],
    ['of the logged column', 'venue_id', 'fee'],
  ])('a change of names with another column, %s, counts as a change of all rows', async (_, one, other) => {
    const { project, log } = await venues(major)
    await project.query('update ticket set fee = 2 where id = 1; update ticket set fee = 1 where id = 2')

    await project.query(`begin; alter table ticket rename column ${one} to x; alter table ticket rename column ${other} to ${one};
      alter table ticket rename column x to ${other}; commit`)
    expect(await descriptions(project)).toEqual([
      'capture changes of ticket (price, venue_id): trigger pgfresh_columns is about other columns of these names; what went unnoticed is computed again (venue)',
    ])
    await project.apply()
    await project.drain()
    await project.expectFresh(comparison)

    expect(await descriptions(project)).toEqual([])
    await project.query(
      'update ticket set price = price + 1 where id = 1; update ticket set venue_id = 7 where id = 1',
    )
    expect((await log.news()).map((line) => line.slice(0, 8))).toEqual(['ticket U', 'ticket U'])
    await project.drain()
    await project.expectFresh(comparison)
  })
})

async function descriptions(project: Project): Promise<string[]> {
  return (await project.plan()).steps.map((step) => step.description)
}

async function venues(major: Major): Promise<{ project: Project; log: LogReader }> {
  const project = await createProject(major, schema)
  await project.materialize(definition)
  await project.drain()
  const log = new LogReader(project)
  await log.news()
  return { project, log }
}
