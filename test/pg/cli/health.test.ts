/**
 * `pgfresh health` beside a real daemon: healthy while it lives, with a database or without one, and unhealthy once it hangs or is gone.
 */
import { existsSync, mkdtempSync, rmSync, statSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { beatAge, Heartbeat, silenceMs } from '../../../src/daemon/heartbeat.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { forEachMajor, runCli, sharedServer, waitFor } from '../../support/database.ts'
import { startPostgres } from '../../support/postgres.ts'
import { createProject, createProjectOn } from '../../support/project.ts'
import { startProxy } from '../../support/proxy.ts'
import { venueDefinition, venueSchema } from '../invariants/venues.ts'

forEachMajor((major) => {
  test('a daemon is healthy while it runs, unhealthy while it is stopped in its tracks and once it has ended', async () => {
    const project = await createProject(major, venueSchema)
    await project.materialize(venueDefinition)
    const env = { PGFRESH_HEALTH_FILE: beatFile() }
    const run = project.startRun(['--no-listen'], { env })
    await waitFor('the first beat', () => existsSync(env.PGFRESH_HEALTH_FILE))

    expect(await health(env)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^healthy: /) })

    run.child.kill('SIGSTOP')
    setBack(env.PGFRESH_HEALTH_FILE)
    expect(await health(env)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^unhealthy: the last beat was /),
    })

    run.child.kill('SIGCONT')
    await waitFor('it to beat again', async () => (await health(env)).code === 0)

    run.child.kill('SIGTERM')
    expect(await run.exit).toMatchObject({ code: 0 })
    expect(await health(env)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^unhealthy: no daemon beats at /),
    })
  })

  test('a daemon whose database is down is healthy', async () => {
    const server = await startPostgres({ major })
    onTestFinished(() => server.stop())
    const project = await createProjectOn(server, venueSchema)
    await project.materialize(venueDefinition)
    const env = { PGFRESH_HEALTH_FILE: beatFile() }
    const run = project.startRun(['--no-listen'], { env })
    await waitFor('the daemon', () => run.stderr().includes('pgfresh runs'))

    await server.kill()
    await waitFor('it to notice', () => run.stderr().includes('planning failed'))
    setBack(env.PGFRESH_HEALTH_FILE)
    await waitFor('it to beat', () => (beatAge(env.PGFRESH_HEALTH_FILE) ?? Number.NaN) < silenceMs)

    expect(await health(env)).toMatchObject({ code: 0 })
    run.child.kill('SIGTERM')
    expect(await run.exit).toMatchObject({ code: 0 })
  })

  test('a planner that hangs in a turn falls silent, though the process lives', async () => {
    const project = await createProject(major, venueSchema)
    await project.materialize(venueDefinition)
    const proxy = await startProxy({ target: sharedServer(major) })
    onTestFinished(() => proxy.stop())
    const file = beatFile()
    const heartbeat = new Heartbeat({ file, log: silentLog, everyMs: 20, patienceMs: 1_000 })
    onTestFinished(() => heartbeat.stop())
    heartbeat.start()
    project.start({ url: proxy.url(project.database.url), heartbeat })
    await waitFor('the daemon', () => project.hasLogged('pgfresh runs'))
    const last = () => statSync(file).mtimeMs

    // Longer than its patience: what beats now is the planner's doing.
    const begun = last()
    await waitFor('beats', () => last() > begun + 1_500)
    proxy.freeze()
    onTestFinished(() => proxy.cut())

    await waitFor('silence', () => Date.now() - last() > 2_000)
  })
})

function health(env: Readonly<Record<string, string>>) {
  return runCli(['health'], { env })
}

function beatFile(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pgfresh-health-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return join(directory, 'test.beat')
}

/** The last beat was a minute ago. */
function setBack(file: string): void {
  const then = new Date(Date.now() - 60_000)
  utimesSync(file, then, then)
}
