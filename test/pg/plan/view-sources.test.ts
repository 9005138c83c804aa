/**
 * Declared views under which people changed what a name means: a table that they read, or the view and its index.
 */
import { expect, it } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { createProject } from '../../support/project.ts'
import { cinemaDatabase } from './cinema-database.ts'
import { applyTo, mistakesOf, planFor, stepLines, views, type WrittenView } from './planning.ts'

const copy: WrittenView = { query: 'select id, v from src', key: ['id'] }

forEachMajor((major) => {
  it('a view whose table was swapped for another one is built anew, and says what the query says', async () => {
    const project = await createProject(
      major,
      'create table src (id int primary key, v int); insert into src values (1, 1)',
    )
    const { url } = project.database
    await applyTo(url, views({ copy }))
    await project.drain()
    expect(stepLines(await planFor(url, views({ copy })))).toEqual([])

    await project.query(`create table src_new (id int primary key, v int)`)
    await project.query('insert into src_new values (1, 2)')
    await project.query('alter table src rename to src_old')
    await project.query('alter table src_new rename to src')

    expect(stepLines(await planFor(url, views({ copy })))).toEqual([
      '~ change materialized view copy: built anew by the daemon, since another relation has the name of one that it reads',
    ])
    await applyTo(url, views({ copy }))
    expect(stepLines(await planFor(url, views({ copy })))).toEqual([])
    await project.drain()
    expect(await project.query('select v from copy')).toEqual([{ v: 2 }])
    expect(stepLines(await planFor(url, views({ copy })))).toEqual([])
  })

  it('so is one whose plain view was made anew with another oid, and one left out while nothing has changed', async () => {
    const database = await cinemaDatabase(major)
    await database.query('create table src (id int primary key, v int)')
    await database.query('create view between_them as select id, v from src')
    const wanted = views({
      through: { query: 'select id, v from between_them' },
      skipping: { ...copy, skipUnchanged: true },
      other: { query: 'select venue_id from showtime' },
    })
    await applyTo(database.url, wanted)
    await database.query('alter view between_them rename to before')
    await database.query('create view between_them as select id, v from src')
    await database.query('alter table src rename to src_old')
    await database.query('create table src (id int primary key, v int)')

    const rebuilt = stepLines(await planFor(database.url, wanted)).filter((line) => /built anew/.test(line))
    expect(rebuilt.map((line) => line.replace(/: built anew.*/, '')).sort()).toEqual([
      '~ change materialized view skipping',
      '~ change materialized view through',
    ])
    await applyTo(database.url, wanted)
    expect(stepLines(await planFor(database.url, wanted))).toEqual([])
  })

  it('an index that a renamed view took along is named, with what frees its name', async () => {
    const database = await cinemaDatabase(major)
    await database.query('create table src (id int primary key, v int)')
    await applyTo(database.url, views({ copy }))
    await database.query('alter materialized view copy rename to copy2')

    expect(await mistakesOf(planFor(database.url, views({ copy })))).toBe(
      `copy.ts:${views({ copy })[0]?.place.line}: key: the name copy_pgfresh_key, which the unique index of copy needs, is taken, by an index of copy2
  Free the name: alter index "public"."copy_pgfresh_key" rename to …;`,
    )

    await database.query('alter index copy_pgfresh_key rename to copy2_key')
    await applyTo(database.url, views({ copy }))
    expect(stepLines(await planFor(database.url, views({ copy })))).toEqual([])
  })
})
