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
  /** Oid of what a generated column is made by: another one after SET EXPRESSION. */
  readonly expression: string | null
  /** GENERATED ALWAYS AS IDENTITY. */
  readonly identityAlways: boolean
  /** See KeyColumn.json. */
  readonly json: boolean
  /** See isBuiltIn. */
  readonly builtIn: boolean
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

/** A unique index. */
export interface UniqueIndex extends NamedColumns {
  /** It is valid, has no WHERE, and is about plain columns: its columns tell all rows apart. */
  readonly whole: boolean
}

/** What would be dropped or broken with a relation. */
export interface Dependent {
  /** The view that reads it; null: something else. */
  readonly oid: string | null
  /** In words, with its qualified name: `view reporting.weekly`. */
  readonly text: string
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
  /** Without the primary key. */
  readonly uniques: readonly UniqueIndex[]
  readonly replicaIdentity: readonly string[]
  readonly partitionKey: readonly string[]
  readonly foreignKeys: readonly NamedColumns[]
  readonly triggers: readonly Trigger[]
  readonly publications: readonly string[]
  /** Logical replication writes to it. */
  readonly subscribed: boolean
  /** Of a materialized view; of anything else none are listed. */
  readonly dependents: readonly Dependent[]
  /** True: a view that doesn't exist yet, but the plan under way makes it. Its oid is none. */
  readonly planned?: true
}

/** What the current role may do in a schema. */
export interface SchemaRights {
  readonly create: boolean
  readonly use: boolean
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
  /** See search-path.ts. */
  readonly searchPath: string
  /** The schemas that names without one are looked up in, in order, pg_catalog and temporary ones aside. */
  readonly path: readonly string[]
  readonly timeZone: string
  /** By name, PostgreSQL's own aside. */
  readonly schemas: ReadonlyMap<string, SchemaRights>
  readonly relations: ReadonlyMap<string, Relation>
  /** By oid. */
  readonly types: ReadonlyMap<string, TypeFacts>
}

/** A column by its name. */
export function columnOf(relation: Relation, name: string): Column | undefined {
  return relation.columns.find((column) => column.name === name)
}

/** The relation of this name as an SQL statement would find it, temporary and system tables aside; undefined: there is none. */
export function relationNamed(
  catalog: Catalog,
  { schema, name }: { readonly schema: string | null; readonly name: string },
): Relation | undefined {
  const all = [...catalog.relations.values()].filter((relation) => relation.name === name)
  const schemas = schema === null ? catalog.path : [schema]
  return schemas.flatMap((one) => all.filter((relation) => relation.schema === one))[0]
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
