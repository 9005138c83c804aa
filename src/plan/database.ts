/**
 * What a plan starts from: the catalog and what is stored, both as of one moment.
 */
import type { Catalog } from '../catalog/catalog.ts'
import { readCatalog } from '../catalog/read.ts'
import { quoteIdentifier } from '../db/identifier.ts'
import type { Session } from '../db/session.ts'
import { OperatorError } from '../kernel/errors.ts'
import { readStored, type StoredState } from './stored.ts'

/** Something was made or dropped while a plan was made: read again. */
export class StaleCatalog extends Error {
  override readonly name = 'StaleCatalog'
}

/** Reads both. An OperatorError if the role may not do what every plan needs. */
export async function readDatabase(
  session: Session,
): Promise<{ readonly catalog: Catalog; readonly state: StoredState }> {
  const { catalog, stored } = await readBoth(session)
  requireDatabaseRights(catalog, stored)
  return { catalog, state: relocated(catalog, stored) }
}

function requireDatabaseRights(catalog: Catalog, stored: StoredState): void {
  const refuse = (what: string, privilege: string) => {
    const [database, role] = [quoteIdentifier(catalog.database), quoteIdentifier(catalog.role)]
    return new OperatorError({
      message: `role ${catalog.role} may not create ${what} in database ${catalog.database}`,
      hint: `Run as somebody who may: grant ${privilege} on database ${database} to ${role};`,
    })
  }
  if (stored.schema.found === null && !catalog.mayCreateSchema) throw refuse("pgfresh's schema", 'create')
  if (!catalog.mayCreateTemporary) {
    throw refuse('temporary views, by which a plan asks what a query reads,', 'temporary')
  }
}

/** Both as of one moment: what another apply does in between would look like damage. */
async function readBoth(session: Session): Promise<{ catalog: Catalog; stored: StoredState }> {
  try {
    await session.run('begin isolation level repeatable read read only')
    const stored = await readStored(session)
    return { stored, catalog: await readCatalog(session) }
  } finally {
    await session.rollback()
  }
}

/** Oids mean nothing after a restore or when a table was swapped for another one: names are what was meant. */
function relocated(catalog: Catalog, state: StoredState): StoredState {
  const byName = new Map(
    [...catalog.relations.values()].map((relation) => [
      JSON.stringify([relation.schema, relation.name]),
      relation,
    ]),
  )
  return {
    ...state,
    materializations: state.materializations.map((one) => {
      const { schema, name } = one.compiled.target
      const oid = byName.get(JSON.stringify([schema, name]))?.oid
      // Where its oid is another one's, nothing that is stored was computed for this table.
      return oid === undefined || oid === one.targetOid
        ? one
        : { ...one, targetOid: oid, moved: true as const }
    }),
    views: state.views.map((one) => {
      const { schema, name } = one.compiled.view
      const found = byName.get(JSON.stringify([schema, name]))
      // One that lives under another name was renamed, and its old name is anybody's.
      const lives = catalog.relations.get(one.targetOid)?.kind === 'm'
      return lives || found?.kind !== 'm' ? one : { ...one, targetOid: found.oid, moved: true as const }
    }),
  }
}
