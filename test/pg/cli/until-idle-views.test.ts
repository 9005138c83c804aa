/**
 * `pgfresh run --until-idle` beside another daemon that is in the middle of a refresh.
 */
import { expect, test } from 'vitest'
import { forEachMajor, type Major, waitFor } from '../../support/database.ts'
import {
  closeGate,
  executions,
  gatedSchema,
  refreshing,
  schedule,
  viewProject,
} from '../views/view-project.ts'
import { on } from './command.ts'

forEachMajor((major) => {
  test('a refresh that is under way is waited for, and no later one', async () => {
    const { project, openGate, untilIdle } = await inTheMiddle(major)

    const running = untilIdle()
    await waitFor(
      'until-idle to wait, or to end',
      async () => running.hasEnded() || (await isWaiting(project)),
    )
    expect(running.hasEnded()).toBe(false)
    await openGate()

    expect((await running.result).code).toBe(0)
    expect(await executions(project, 'gated')).toMatchObject([{ outcome: 'refreshed' }])
  })

  test('one that was asked for while another one is under way comes after it, and is waited for', async () => {
    const { project, openGate, untilIdle } = await inTheMiddle(major)
    await project.query(`insert into event values (101, 1)`)
    await project.query(`select pgfresh.refresh('gated')`)

    const running = untilIdle()
    await waitFor(
      'until-idle to wait, or to end',
      async () => running.hasEnded() || (await isWaiting(project)),
    )
    expect(running.hasEnded()).toBe(false)
    await openGate()

    expect((await running.result).code).toBe(0)
    expect(await project.query('select events from gated')).toEqual([{ events: 101 }])
    expect(await executions(project, 'gated')).toMatchObject([
      { outcome: 'refreshed' },
      { outcome: 'refreshed', triggered_by: 'request' },
    ])
  })
})

/** A daemon that refreshes a view, until the gate is opened. */
async function inTheMiddle(major: Major) {
  const project = await viewProject(major, gatedSchema)
  await schedule(project, 'gated')
  const openGate = await closeGate(project)
  // A new row is due at once, and after that in an hour.
  project.start()
  await waitFor('the refresh', async () => (await refreshing(project)).length === 1)
  const untilIdle = () => {
    let ended = false
    const result = on(project.database, 'run', '--until-idle', '--log-level', 'error').finally(() => {
      ended = true
    })
    return { result, hasEnded: () => ended }
  }
  return { project, openGate, untilIdle }
}

/** It has looked at the views, and asks whether they are done. */
async function isWaiting(project: Awaited<ReturnType<typeof viewProject>>): Promise<boolean> {
  const rows = await project.query(
    `select from pg_stat_activity where datname = current_database() and application_name like 'pgfresh %'
       and query like 'select exists (select from pgfresh.view_schedule()%'`,
  )
  return rows.length > 0
}
