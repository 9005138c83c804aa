/**
 * What views may not do to each other, and to what reads them: one name twice, or changing under a reader. Pure.
 */
import type { Catalog } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import { OperatorError } from '../kernel/errors.ts'
import type { Wanted } from './compile.ts'
import type { WantedView } from './compile-view.ts'
import type { Mistakes } from './mistakes.ts'
import type { StoredMaterialization } from './stored.ts'
import { displayTable } from './target.ts'

/** All that reads views. */
export interface ViewReaders {
  readonly catalog: Catalog
  readonly views: readonly WantedView[]
  readonly columns: readonly Wanted[]
  /** Of other projects, or in no file any more. */
  readonly staying: readonly StoredMaterialization[]
}

/** Notes every view that two definitions declare. */
export function refuseSharedViews(views: readonly WantedView[], mistakes: Mistakes): void {
  for (const [name, same] of Map.groupBy(views, ({ relation }) => displayTable(relation))) {
    const [first, second] = same
    if (first === undefined || second === undefined) continue
    mistakes.add(
      second.definition.place,
      `${second.definition.name} declares materialized view ${name}, and so does ${first.definition.name}`,
      'Take one of them away, or give it another name.',
    )
  }
}

/** Notes what reads a view that is yet to be built anew, where the new one would not be what it reads. */
export function refuseUnsettledViews(
  { catalog, views, columns, staying }: ViewReaders,
  mistakes: Mistakes,
): void {
  for (const view of views) {
    if (!view.unbuilt) continue
    const name = displayTable(view.relation)
    const { oid } = view.relation
    const later = `Take it out, apply, and put it back once ${name} was built.`
    for (const reader of views) {
      if (!reader.reads.tables.has(oid) || !(reader.rebuild || reader.relation.planned)) continue
      mistakes.add(
        reader.definition.place,
        `${reader.definition.name} reads ${name}, which is yet to be built anew, and can't be once a new view reads it`,
        later,
      )
    }
    const lost = (names: readonly string[]) =>
      names.filter((one) => !view.outputs.some((output) => output.name === one)).map(displayIdentifier)
    for (const reader of columns) {
      const read = reader.reads.flatMap((reads) => reads.tables.get(oid) ?? [])
      const names = (catalog.relations.get(oid)?.columns ?? [])
        .filter((column) => read.some((one) => one.columns !== 'all' && one.columns.has(column.number)))
        .map((column) => column.name)
      if (lost(names).length === 0) continue
      mistakes.add(
        reader.definition.place,
        `${reader.definition.name} reads ${lost(names).join(', ')} of ${name}, which its new query does not return`,
        `Keep it in the query of ${view.definition.name}, or read something else.`,
      )
    }
    for (const { compiled } of staying) {
      const names = compiled.routes.filter((route) => route.sourceOid === oid).flatMap((route) => route.reads)
      if (lost(names).length === 0) continue
      mistakes.add(
        view.definition.place,
        `the new query of ${view.definition.name} does not return ${lost(names).join(', ')}, which ${compiled.name} of project ${compiled.project} reads`,
        'Keep it in the query, or change that definition first.',
      )
    }
  }
}

/** What is said beside a column that isn't there: a view that will have it. */
export function explainUnbuilt(error: unknown, views: readonly WantedView[]): unknown {
  const waiting = views.filter((view) => view.unbuilt)
  if (waiting.length === 0 || !(error instanceof OperatorError)) return error
  const names = waiting.map((view) => displayTable(view.relation)).join(', ')
  const more = `If it is a new column of ${names}: that is yet to be built anew. Take this definition out, apply, and put it back once that was done.`
  return new OperatorError({
    message: error.message,
    hint: error.hint === undefined ? more : `${error.hint}\n${more}`,
    place: error.place,
    cause: error.cause,
  })
}
