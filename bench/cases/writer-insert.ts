/** writer-insert: what capture costs single-row inserts. */
import type { BenchCase } from '../case.ts'
import { compareWriters } from './writer-case.ts'

export const writerInsert: BenchCase = {
  name: 'writer-insert',
  title: 'single-row inserts, 8 clients, with capture against without',
  peerName: 'no capture',
  unit: 'tps',
  bar: 0.85,
  usesWriters: true,
  run: (bench) =>
    compareWriters(bench, {
      workload: ({ venues }) => ({
        name: 'insert',
        variables: { venue: venues, film: 500 },
        sql: `insert into showtime (venue_id, film_id, starts_at, note) values (:venue, :film, now(), 'late show')`,
      }),
      besideDaemon: true,
    }),
}
