/**
 * Two-phase commit: who prepares a transaction and goes is captured when somebody else commits it, however far the watermark is by
 * then. Where transactions can be prepared no writer rings the bell: one that NOTIFYed can't be.
 */
import { expect, test } from 'vitest'
import { rotate } from '../../../src/capture/rotation.ts'
import { Session } from '../../../src/db/session.ts'
import { forEachMajor } from '../../support/database.ts'
import { Project } from '../../support/project.ts'
import { LogReader } from './log.ts'
import { ownServer } from './own-server.ts'
import { salesComparison, salesDefinition, salesRows, salesSchema } from './sales.ts'

forEachMajor((major) => {
  const database = ownServer(major, { max_prepared_transactions: '10' })

  const sales = async () => {
    const project = new Project(await database())
    await project.query(salesSchema)
    await project.query(salesRows)
    await project.materialize(salesDefinition)
    await project.drain()
    return project
  }

  test('a prepared transaction is captured when another session commits it, and one that is rolled back never was', async () => {
    const project = await sales()
    const log = new LogReader(project)
    await log.news()
    const prepare = async (name: string, sql: string) => {
      const writer = await project.database.connect()
      await writer.query(`begin; ${sql}; prepare transaction '${name}'`)
      await writer.end()
    }
    await prepare(
      `a ${project.database.name}`,
      'insert into ticket values (10, 3, 1); update ticket set venue_id = 3 where id = 1',
    )
    await prepare(
      `b ${project.database.name}`,
      'insert into ticket values (11, 2, 1); delete from ticket where id = 2; savepoint s; insert into ticket values (12, 2, 1)',
    )
    await prepare(`c ${project.database.name}`, 'insert into ticket values (13, 1, 100)')

    // The watermark passes all three, again and again.
    for (const id of [20, 21, 22]) {
      await project.query(`insert into promotion values (${id}, 1, 1)`)
      await project.drain()
      expect(await log.news()).toEqual(['promotion I 1'])
    }
    await project.query(`commit prepared 'b ${project.database.name}'`)
    expect(await log.news()).toEqual(['ticket I 2', 'ticket D 1', 'ticket I 2'])
    await project.drain()
    await project.expectFresh(salesComparison)
    await project.query(`rollback prepared 'c ${project.database.name}'`)
    await project.query(`commit prepared 'a ${project.database.name}'`)
    await project.drain()

    await project.expectFresh(salesComparison)
  })

  test('a slot that a prepared transaction wrote to is kept, and nobody waits for it', async () => {
    const project = await sales()
    const name = `d ${project.database.name}`
    const writer = await project.database.connect()
    await writer.query(`begin; update ticket set price = 77 where id = 1; prepare transaction '${name}'`)
    await project.query('select pgfresh.turn_log(1)')
    const session = await Session.open({ url: project.database.url }, 'housekeeping')
    try {
      await project.drain()
      await rotate(session)
      await project.query(`commit prepared '${name}'`)
      await rotate(session)
      await project.drain()
      await project.expectFresh(salesComparison)
      expect((await project.query('select from pgfresh.change_log_0')).length).toBeGreaterThan(0)
      await rotate(session)
    } finally {
      await session.close()
    }

    expect(await project.query('select from pgfresh.change_log_0')).toEqual([])
  })

  test('no writer rings, so that it can prepare, though somebody sleeps', async () => {
    const project = await sales()
    const name = `e ${project.database.name}`
    const sleeper = await project.database.connect()
    let rings = 0
    sleeper.on('notification', () => {
      rings += 1
    })
    await sleeper.query('listen pgfresh_bell; select pg_advisory_lock(7331001, 0)')

    await project.query(`begin; insert into ticket values (10, 3, 1); update ticket set price = 9 where id = 1; delete from ticket where id = 2;
      truncate promotion; select pgfresh.refresh('venue'); prepare transaction '${name}'`)
    await project.query(`commit prepared '${name}'`)
    await project.query('insert into ticket values (11, 3, 1)')

    await sleeper.query('select pg_advisory_unlock(7331001, 0)')
    expect(rings).toBe(0)
    await project.drain()
    await project.expectFresh(salesComparison)
  })
})
