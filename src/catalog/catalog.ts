/**
 * What the database has, as one immutable snapshot: relations with their columns, keys, constraints, triggers and rights.
 *
 * Read once by read.ts; everything in plan/ works on it without asking again, so that one plan is about one moment.
 * Oids stay text. Types are as format_type prints them with nothing but pg_catalog on the search_path.
 */

import type { TypeFacts } from './scalar.ts'

/** A relation's kind: table, partitioned table, view, materialized view, foreign table. */
export type RelationKind = 'r' | 'p' | 'v' | 'm' | 'f'

/** One column. */
export interface Column {
  readonly name: string
  readonly number: number
  /** With its typmod: `numeric(10,2)`. */
  readonly type: string
  readonly notNull: boolean
  /** `stored`, `virtual` (18 and newer), or null for an ordinary column. */
  readonly generated: 'stored' | 'virtual' | null
  /** GENERATED ALWAYS AS IDENTITY. */
  readonly identityAlways: boolean
  /** See KeyColumn.json. */
  readonly json: boolean
  /** smallint, integer, bigint, or a domain over one. */
  readonly integer: boolean
  /** True: it doesn't exist yet, but the plan under way adds it. */
  readonly planned?: true
}

/** Columns under a name: a unique index, a foreign key. */
export interface NamedColumns {
  readonly name: string
  readonly columns: readonly string[]
}

/** A trigger that somebody made. */
export interface Trigger {
  readonly name: string
  /** `schema.function` */
  readonly function: string
  /** The function lies in schema pgfresh. */
  readonly ours: boolean
  readonly enabled: 'origin' | 'always' | 'replica' | 'disabled'
  readonly beforeUpdate: boolean
  /** First argument, for our TRUNCATE triggers: the capture. */
  readonly argument: string | null
  /** Numbers of the columns that UPDATE OF names, ascending. */
  readonly columns: readonly number[]
  /** On a partition: what its root's row trigger put there. Only ours are listed. */
  readonly cloned: boolean
}

/** A table or view. System schemas, temporary tables and pgfresh's own tables are not in the catalog. */
export interface Relation {
  readonly oid: string
  readonly schema: string
  readonly name: string
  readonly kind: RelationKind
  readonly owner: string
  /** The current role has the owner's rights. */
  readonly owned: boolean
  readonly may: { readonly select: boolean; readonly update: boolean }
  readonly rowSecurity: boolean
  /** A partition of a table in `parents`. */
  readonly isPartition: boolean
  readonly parents: readonly string[]
  /** Oids of direct partitions or inheritance children. */
  readonly children: readonly string[]
  /** 0 where it was never analyzed. */
  readonly estimatedRows: number
  /** The highest attribute number ever given, dropped columns included. */
  readonly lastNumber: number
  readonly columns: readonly Column[]
  /** Primary key columns in the key's order; empty without a primary key. */
  readonly key: readonly string[]
  readonly uniques: readonly NamedColumns[]
  readonly replicaIdentity: readonly string[]
  readonly partitionKey: readonly string[]
  readonly foreignKeys: readonly NamedColumns[]
  readonly triggers: readonly Trigger[]
  readonly publications: readonly string[]
  /** Logical replication writes to it. */
  readonly subscribed: boolean
}

/** The whole snapshot. */
export interface Catalog {
  readonly database: string
  readonly role: string
  readonly superuser: boolean
  /** The current role may create schemas in the database. */
  readonly mayCreateSchema: boolean
  /** The current role may create temporary views, which is how the server is asked what a query reads. */
  readonly mayCreateTemporary: boolean
  /** As the session has it, unexpanded. */
  readonly searchPath: string
  readonly timeZone: string
  readonly relations: ReadonlyMap<string, Relation>
  /** By oid. */
  readonly types: ReadonlyMap<string, TypeFacts>
}

/** A column by its name. */
export function columnOf(relation: Relation, name: string): Column | undefined {
  return relation.columns.find((column) => column.name === name)
}

/** All partitions or inheritance children below a relation, at any depth, without itself. */
export function descendants(catalog: Catalog, relation: Relation): Relation[] {
  return relation.children.flatMap((oid) => {
    const child = catalog.relations.get(oid)
    return child === undefined ? [] : [child, ...descendants(catalog, child)]
  })
}

/** The partitioned table at the top, whose row triggers reach this partition; the relation itself if it is no partition. */
export function partitionRoot(catalog: Catalog, relation: Relation): Relation {
  const parent = relation.isPartition ? catalog.relations.get(relation.parents[0] ?? '') : undefined
  return parent === undefined ? relation : partitionRoot(catalog, parent)
}
