/**
 * Requests by NOTIFY that the database itself can't read: the others are none the worse for them.
 */
import { expect, test } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { createProject } from '../../support/project.ts'
import { waitFor } from '../../support/wait-for.ts'

forEachMajor((major) => {
  test('what no database can read is told once, and what was asked for beside it is done', async () => {
    const project = await createProject(
      major,
      `create table venue (id int primary key, name text); insert into venue select n, 'v' || n from generate_series(1, 3) n`,
    )
    await project.materialize(
      `export const venue = defineColumns({ table: 'venue', columns: { shout: sql\`upper(venue.name)\` } })`,
    )
    await project.drain()
    await project.query(`update venue set materialized_at = now() - interval '1 day'`)
    await project.drain()
    await project.query(
      `alter table venue disable trigger user; update venue set shout = 'x'; alter table venue enable trigger user`,
    )
    project.start({ listen: true })
    await waitFor('the listener', () => project.logged.some((line) => line.fields.bell === true))

    // Half a character in the target, in a key, and a key that is no number: in one transaction, so that they are heard at once.
    const halves = ['{"target":"\\"\\ud800\\""}', '{"target":"venue","keys":[["\\ud800"]]}', 'venue:no']
    await project.query(
      `begin; ${halves.map((payload) => `notify pgfresh, '${payload}'`).join('; ')}; notify pgfresh, 'venue:2'; commit`,
    )

    await waitFor('the row that was asked for', async () => {
      const [row] = await project.query<{ shout: string }>('select shout from venue where id = 2')
      return row?.shout === 'V2'
    })
    const told = () =>
      project.logged
        .filter((line) => line.message === 'a request by NOTIFY can not be carried out')
        .map((line) => line.fields.payload)
        .sort()
    await waitFor('the others to be told', () => told().length === halves.length)
    expect(told()).toEqual([...halves].sort())
    expect(project.hasLogged('what was asked for by NOTIFY could not be stored')).toBe(false)
  })
})
