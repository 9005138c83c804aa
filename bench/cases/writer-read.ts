/** writer-read: what capture costs an update of a column that a definition reads. */
import type { BenchCase } from '../case.ts'
import { compareWriters } from './writer-case.ts'

export const writerRead: BenchCase = {
  name: 'writer-read',
  title: 'updates of a column that a definition reads, 8 clients, with capture against without',
  peerName: 'no capture',
  unit: 'tps',
  bar: 0.85,
  usesWriters: true,
  run: (bench) =>
    compareWriters(bench, {
      workload: ({ showtimes }) => ({
        name: 'read',
        variables: { id: showtimes },
        sql: 'update showtime set sold = sold + 1 where id = :id',
      }),
      besideDaemon: true,
    }),
}
