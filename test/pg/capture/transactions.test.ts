/**
 * Writers in every kind of transaction: isolation levels, deferred constraints, and the one way to write that nothing logs.
 */
import { expect, test } from 'vitest'
import { forEachMajor, type Major } from '../../support/database.ts'
import { createProject, type Project } from '../../support/project.ts'
import { LogReader } from './log.ts'
import { salesComparison, salesDefinition, salesRows, salesSchema } from './sales.ts'

forEachMajor((major) => {
  test.each(['repeatable read', 'serializable'])(
    'a %s writer is captured whose snapshot is older than what others wrote',
    async (level) => {
      const project = await sales(major)
      const writer = await project.database.connect()
      await writer.query(`begin isolation level ${level}; select * from ticket`)
      await project.query('insert into ticket values (4, 1, 40)')
      await project.drain()

      await writer.query('insert into ticket values (5, 1, 50)')
      await project.query('insert into ticket values (6, 2, 60)')
      await project.drain()
      await writer.query('update ticket set venue_id = 3 where id = 3; commit')
      await project.drain()

      await project.expectFresh(salesComparison)
    },
  )

  test('serializable writers that do not meet in a table of their own do not meet in the log either', async () => {
    const project = await sales(major)
    const daemon = project.start()
    const writers = [await project.database.connect(), await project.database.connect()] as const
    const both = async (one: string, other: string) => {
      await Promise.all([writers[0].query(one), writers[1].query(other)])
    }

    // Neither reads what the other writes, so none of them may fail; were the log read by a trigger, one would.
    for (let n = 0; n < 20; n += 1) {
      await both('begin isolation level serializable', 'begin isolation level serializable')
      await both(
        `insert into ticket values (${n + 100}, 1, 1)`,
        `insert into promotion values (${n + 100}, 2, 1)`,
      )
      await both(
        `update ticket set price = 2 where id = ${n + 100}`,
        `update promotion set venue_id = 3 where id = ${n + 100}`,
      )
      await both('commit', 'commit')
    }
    await project.settle()

    await project.expectFresh(salesComparison)
    await daemon.stop()
  })

  test('rows that break a deferred foreign key until the COMMIT are captured', async () => {
    const project = await sales(major)
    await project.query(
      `alter table ticket alter constraint ticket_venue_id_fkey deferrable initially deferred`,
    )
    const log = new LogReader(project)
    await log.news()

    await project.query(`begin; insert into ticket values (4, 9, 40); update ticket set venue_id = 9 where id = 1;
      insert into venue values (9, 'z'); commit`)

    expect(await log.sortedNews()).toEqual(['ticket I 9', 'ticket U 1>9', 'venue I 9'])
    await project.drain()
    await project.expectFresh(salesComparison)
  })

  test('with session_replication_role = replica no trigger fires: nothing is logged, until somebody asks', async () => {
    const project = await sales(major)
    const log = new LogReader(project)
    await log.news()
    const writer = await project.database.connect()

    await writer.query('set session_replication_role = replica')
    await writer.query('update ticket set price = 1000; delete from promotion; truncate ticket')
    await writer.query('insert into ticket values (1, 1, 3)')

    expect(await log.news()).toEqual([])
    await project.drain()
    expect(await project.query('select taken::int from venue order by id')).toEqual([
      { taken: 30 },
      { taken: 30 },
      { taken: 0 },
    ])
    await project.query(`select pgfresh.refresh('venue')`)
    await project.drain()
    await project.expectFresh(salesComparison)
  })
})

async function sales(major: Major): Promise<Project> {
  const project = await createProject(major, salesSchema)
  await project.query(salesRows)
  await project.materialize(salesDefinition)
  await project.drain()
  return project
}
