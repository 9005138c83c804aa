/**
 * Work that is queued survives what people do to definitions and keys meanwhile, and nobody but apply makes triggers of
 * the functions that log.
 */
import { describe, expect, test } from 'vitest'
import { forEachMajor } from '../../support/database.ts'
import { createProject } from '../../support/project.ts'
import { ByHand } from './by-hand.ts'

const schema = `create table hall (id int primary key, k int);
  create table seat (id int primary key, k int, price int);
  create index on hall (k); create index on seat (k);
  insert into hall select n, n from generate_series(1, 1000) n;
  insert into seat select n, n, n from generate_series(1, 1000) n`

const definition = (options = '') => `export const hall = defineColumns({
  table: 'hall',
  columns: { price: sql\`(select s.price from seat s where s.k = hall.k limit 1)\` },
  dependsOn: { seat: { via: sql\`select h.id from hall h join changed c on c.k = h.k\` } },
  ${options}
})`

const comparison = {
  stored: 'select id::text, price from hall',
  expected: 'select h.id::text, (select s.price from seat s where s.k = h.k limit 1) from hall h',
}

forEachMajor((major) => {
  describe('what is queued', () => {
    test('is done although the priority of its definition was changed meanwhile', async () => {
      const project = await createProject(major, schema)
      await project.materialize(definition('priority: 7'))
      await project.drain()
      const hands = await ByHand.open(project)

      await project.query('update seat set price = price + 1')
      await hands.round()
      await project.materialize(definition('priority: 5'))

      await project.drain()
      await project.expectFresh(comparison)
    })

    test('for a primary key of another type makes way for the walk over the new one', async () => {
      const project = await createProject(major, schema)
      await project.materialize(definition())
      const hands = await ByHand.open(project)
      await hands.round()
      expect(await project.query('select from pgfresh.task')).not.toEqual([])

      await project.query(`select pgfresh.release('hall');
        alter table hall drop constraint hall_pkey, alter id type uuid using md5(id::text)::uuid, add primary key (id)`)
      await project.materialize(definition())

      await project.drain()
      await project.expectFresh(comparison)
    })

    test('behind a huge transaction is waited for by --until-idle, the walk that its TRUNCATE asks for too', async () => {
      const project = await createProject(major, schema)
      await project.materialize(definition())
      await project.drain()

      await project.query(
        `begin; truncate seat; insert into seat select n, n, n + 5 from generate_series(1, 30000) n; commit`,
      )

      await project.drain()
      await project.expectFresh(comparison)
    })
  })

  test('a role that may use our schema can not make a trigger of a function that logs', async () => {
    const project = await createProject(major, schema)
    await project.materialize(definition())
    const { name, url } = await project.database.createRole()
    await project.query(`grant usage on schema pgfresh to ${name}`)
    const functions = await project.query(
      `select oid::regprocedure::text as signature from pg_proc where pronamespace = 'pgfresh'::regnamespace and prorettype = 'trigger'::regtype`,
    )
    expect(functions.length).toBeGreaterThan(3)
    const intruder = await project.database.connect({ connectionString: url })
    await intruder.query('create temp table mine (id int, k int, price int)')

    for (const { signature } of functions) {
      await expect(
        intruder.query(
          `create trigger mine after update on mine for each row execute function ${String(signature)}`,
        ),
      ).rejects.toMatchObject({ code: '42501' })
    }
    await expect(intruder.query(`select pgfresh.release('hall')`)).rejects.toMatchObject({ code: '42501' })
  })
})
