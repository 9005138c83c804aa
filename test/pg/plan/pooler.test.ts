/**
 * Plan and apply need no session of their own: they work through pgbouncer in transaction mode.
 */
import { expect, it, onTestFinished } from 'vitest'
import { forEachMajor, sharedServer } from '../../support/database.ts'
import { startPgbouncer } from '../../support/pgbouncer.ts'
import { cinemaDefinitions } from './cinema.ts'
import { cinemaDatabase } from './cinema-database.ts'
import { applyTo, definitions, planFor, stepLines } from './planning.ts'

forEachMajor((major) => {
  it('definitions come and go through a pooler', async ({ skip }) => {
    const database = await cinemaDatabase(major)
    const pooler = await startPgbouncer({ server: sharedServer(major), poolSize: 4 })
    if (pooler === undefined) return skip('pgbouncer is not installed')
    onTestFinished(() => pooler.stop())
    const url = pooler.url(database.url)
    const one = definitions({ country: { table: 'country', columns: { one: '1' } } })
    const options = { prune: true, drop: true }

    await Promise.all([applyTo(url, cinemaDefinitions), applyTo(url, cinemaDefinitions)])
    expect(stepLines(await planFor(url, cinemaDefinitions))).toEqual([])

    await applyTo(url, one, { ...options })
    expect(stepLines(await planFor(url, one, options))).toEqual([])
    // Nothing that was set for a transaction is left in the pooled sessions.
    await applyTo(database.url, cinemaDefinitions, options)
    expect(stepLines(await planFor(url, cinemaDefinitions, options))).toEqual([])
  })
})
