/** writer-unread: what capture costs an update of a column that no definition reads. */
import type { BenchCase } from '../case.ts'
import { compareWriters } from './writer-case.ts'

export const writerUnread: BenchCase = {
  name: 'writer-unread',
  title: 'updates of a column that nobody reads, 8 clients, with capture against without',
  peerName: 'no capture',
  unit: 'tps',
  bar: 0.95,
  usesWriters: true,
  run: (bench) =>
    compareWriters(bench, {
      workload: ({ showtimes }) => ({
        name: 'unread',
        variables: { id: showtimes, plan: 1_000_000 },
        sql: `update showtime set note = 'seat plan ' || :plan where id = :id`,
      }),
    }),
}
