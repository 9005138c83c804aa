/**
 * Targets whose values depend on what nobody captures, so that a row is computed anew only when somebody asks for it: a table of a
 * hundred rows, one whose key has two columns, tables with odd names, and a materialized view that is refreshed on request alone.
 */

import type { Major } from '../../support/database.ts'
import { createProject, type Project } from '../../support/project.ts'
import { waitFor } from '../../support/wait-for.ts'

const columns = `columns: { value: sql\`(select r.value from rate r)\`, other: sql\`(select r.value from rate r)\` }, dependsOn: { rate: 'ignore' }`

const definitions = `
  export const venue = defineColumns({ table: 'venue', ${columns} })
  export const pair = defineColumns({ table: 'pair', ${columns} })
  export const odd = defineColumns({ table: '"Odd:Name"', ${columns} })
  export const order = defineColumns({ table: 'sales."Order"', ${columns} })`

/** All is computed, at rate 1; then the rate becomes 2, and nothing of it is known. */
export async function ratedProject(major: Major): Promise<Project> {
  const project = await createProject(
    major,
    `create schema sales;
    create table rate (value int); insert into rate values (1);
    create table venue (id int primary key); insert into venue select generate_series(1, 100);
    create table pair (a int, b text, primary key (a, b)); insert into pair values (1, 'x'), (1, 'y');
    create table "Odd:Name" (id int primary key); insert into "Odd:Name" values (42), (43);
    create table sales."Order" (id int primary key); insert into sales."Order" values (7), (8);
    create materialized view rated as select value from rate`,
  )
  await project.materialize(definitions)
  await project.query(
    `insert into pgfresh.materialized_view_refresh_schedule (materialized_view_name) values ('rated')`,
  )
  await project.drain()
  await project.query('update rate set value = 2')
  // That daemon has ended, and ran.
  project.logged.length = 0
  return project
}

/** Keys of the rows of a table that were computed anew. */
export async function renewed(project: Project, table: string, column = 'value'): Promise<string[]> {
  const rows = await project.query<{ key: string }>(
    `select concat_ws(' ', ${table === 'pair' ? 'a, b' : 'id'}) as key from ${table} where ${column} = 2 order by 1`,
  )
  return rows.map((row) => row.key)
}

/** Waits until just these rows of a table are computed anew, and checks that nothing else is under way. */
export async function expectRenewed(
  project: Project,
  table: string,
  keys: readonly string[],
  column = 'value',
): Promise<void> {
  const wanted = JSON.stringify([...keys].sort())
  await waitFor(
    `${table} ${wanted} to be computed anew`,
    async () => (await renewed(project, table, column)).length >= keys.length,
  )
  await project.settle()
  const found = JSON.stringify((await renewed(project, table, column)).sort())
  if (found !== wanted) throw new Error(`computed anew are ${found}, not ${wanted}`)
}

/** What the view holds. */
export async function viewHolds(project: Project): Promise<number | undefined> {
  return (await project.query<{ value: number }>('select value from rated'))[0]?.value
}

/** What is in the log of requests: the new images, in the order in which they were committed. */
export async function requestsLogged(project: Project): Promise<Record<string, unknown>[]> {
  const rows = await project.query<{ request: Record<string, unknown> }>(
    `select new_row as request from pgfresh.change_log where op = 'R' order by xid`,
  )
  return rows.map((row) => row.request)
}

/** Waits until so many daemons run that were started since `project.logged` was emptied: by then they hear, if they ever will. */
export async function listening(project: Project, count = 1): Promise<void> {
  await waitFor(
    `${count} daemons to run`,
    () => project.logged.filter((line) => line.message === 'pgfresh runs').length >= count,
  )
}
