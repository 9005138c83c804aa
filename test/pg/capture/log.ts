/**
 * The change log as tests read it: what was logged since the last look, one short line per entry.
 *
 * `ticket I 3`, `ticket D 3`, `ticket U 3>4` (old and new image of what is logged), `ticket T` (truncated), `ticket A`
 * (everything may have changed). Several logged columns are a JSON array. The table's name is as the search_path shows it.
 */
import type { Project } from '../../support/project.ts'

/** Reads the log of one database, from its begin. Not for a log that is truncated in between. */
export class LogReader {
  readonly #project: Project
  /** By slot: the places that were read. Who commits late appears at a place before others. */
  readonly #read = new Map<number, string[]>()

  constructor(project: Project) {
    this.#project = project
  }

  /** All entries that were committed since the last call, in the order in which they were written to their slot. */
  async news(): Promise<string[]> {
    const lines: string[] = []
    for (const slot of [0, 1, 2, 3]) {
      const rows = await this.#project.query<{ place: string; line: string }>(
        `select l.ctid::text as place, concat_ws(' ', coalesce(c.source::regclass::text, 'request'), l.op,
           nullif(concat_ws('>', case when l.op in ('U', 'D') then coalesce(l.old_key::text, l.old_row::text, 'null') end,
             case when l.op in ('U', 'I') then coalesce(l.new_key::text, l.new_row::text, 'null') end), '')) as line
         from pgfresh.change_log_${slot} l left join pgfresh.capture c on c.id = l.capture
         where l.ctid <> all ($1::tid[]) order by l.ctid`,
        [this.#read.get(slot) ?? []],
      )
      this.#read.set(slot, [...(this.#read.get(slot) ?? []), ...rows.map((row) => row.place)])
      lines.push(...rows.map((row) => row.line))
    }
    return lines
  }

  /** The same, sorted: for writes whose order of events is nobody's promise. */
  async sortedNews(): Promise<string[]> {
    return (await this.news()).sort()
  }
}
