/**
 * A round's word to views that leave out refreshes while nothing has changed: what it read concerns them. Put down in the transaction
 * that moves the watermark, so that a change is either unread or has been told (views/unchanged.ts).
 */
import { type Entries, entriesSql } from '../capture/changed.ts'
import { routeMask } from '../capture/shape.ts'
import type { Catalogue, StoredCapture } from '../materialization/store.ts'

/** Statements for the entries of these captures; none where no view reads them. */
export function viewPromptsSql(
  { views }: Catalogue,
  captures: readonly StoredCapture[],
  entries: Entries,
): string[] {
  return views.flatMap(({ schedule, compiled }) => {
    const news = compiled.routes.flatMap((route) =>
      captures
        .filter((capture) => capture.source === route.sourceOid)
        .map(
          (capture) =>
            `exists (select from ${entriesSql(capture.id, routeMask(capture.shape, route), entries)})`,
        ),
    )
    return news.length === 0 ? [] : [promptSql([schedule], news.join(' or '))]
  })
}

/** The same where nobody has looked which entries there are: every view may be concerned. */
export function promptAllViewsSql({ views }: Catalogue): string[] {
  const concerned = views.filter(({ compiled }) => compiled.routes.length > 0)
  return concerned.length === 0
    ? []
    : [
        promptSql(
          concerned.map(({ schedule }) => schedule),
          'true',
        ),
      ]
}

/** A prompt that is there already will do. */
function promptSql(schedules: readonly string[], condition: string): string {
  return `insert into pgfresh.view_prompt (schedule, reason) select s.id, 'change' from pg_catalog.unnest(array[${schedules.map(Number).join(', ')}]) s(id)
    where not exists (select from pgfresh.view_prompt p where p.schedule = s.id and p.reason = 'change') and (${condition})
    on conflict do nothing`
}
