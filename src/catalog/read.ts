/**
 * Reads the snapshot: a handful of questions in one message. Called by plan/, once per plan.
 */
import type { Row, Session } from '../db/session.ts'
import type {
  Catalog,
  Column,
  Dependent,
  NamedColumns,
  Relation,
  RelationKind,
  Trigger,
  UniqueIndex,
} from './catalog.ts'
import { isBuiltIn, isExactInJson, isInteger, type TypeFacts } from './scalar.ts'
import { settledSearchPath } from './search-path.ts'

/**
 * Reads the catalog as the session's role sees it, in the caller's transaction: repeatable read, so that all of it is about one
 * moment. Changes the transaction's search_path.
 */
export async function readCatalog(session: Session): Promise<Catalog> {
  const answers = await session.run(`
    ${questions.session};
    set local search_path = pg_catalog;
    ${questions.relations};
    ${questions.columns};
    ${questions.types};
    ${questions.indexes};
    ${questions.foreignKeys};
    ${questions.triggers};
    ${questions.inheritance};
    ${questions.publications};
    ${questions.subscriptions};
    ${questions.schemas};
    ${questions.dependents}`)
  const [
    about,
    ,
    relations,
    columns,
    types,
    indexes,
    foreignKeys,
    triggers,
    inheritance,
    publications,
    subscriptions,
    schemas,
    dependents,
  ] = answers
  const typeFacts = new Map((types ?? []).map((row) => [text(row, 'oid'), typeOf(row)]))
  const parts: Parts = {
    columns: grouped(columns, (row) => columnOf(row, typeFacts)),
    indexes: grouped(indexes, (row) => row),
    foreignKeys: grouped(foreignKeys, namedColumns),
    triggers: grouped(triggers, triggerOf),
    parents: grouped(inheritance, (row) => text(row, 'parent')),
    children: grouped(inheritance, (row) => text(row, 'relation'), 'parent'),
    publications: grouped(publications, (row) => text(row, 'name')),
    dependents: grouped(dependents, dependentOf),
    subscribed: new Set((subscriptions ?? []).map((row) => text(row, 'relation'))),
  }
  const session0 = about?.[0] ?? {}
  const rights = new Map(
    (schemas ?? []).map((row) => [
      text(row, 'name'),
      { create: flag(row, 'may_create'), use: flag(row, 'may_use') },
    ]),
  )
  const role = text(session0, 'role')
  return {
    database: text(session0, 'database'),
    role,
    superuser: flag(session0, 'superuser'),
    mayCreateTemporary: flag(session0, 'may_create_temporary'),
    mayCreateSchema: flag(session0, 'may_create'),
    searchPath: settledSearchPath(text(session0, 'search_path'), role, (schema) => rights.has(schema)),
    path: list(session0, 'path').filter((schema) => schema !== 'pgfresh'),
    schemas: rights,
    timeZone: text(session0, 'time_zone'),
    relations: new Map((relations ?? []).map((row) => [text(row, 'oid'), relationOf(row, parts)])),
    types: typeFacts,
  }
}

interface Parts {
  readonly columns: ReadonlyMap<string, readonly Column[]>
  readonly indexes: ReadonlyMap<string, readonly Row[]>
  readonly foreignKeys: ReadonlyMap<string, readonly NamedColumns[]>
  readonly triggers: ReadonlyMap<string, readonly Trigger[]>
  readonly parents: ReadonlyMap<string, readonly string[]>
  readonly children: ReadonlyMap<string, readonly string[]>
  readonly publications: ReadonlyMap<string, readonly string[]>
  readonly dependents: ReadonlyMap<string, readonly Dependent[]>
  readonly subscribed: ReadonlySet<string>
}

/** Relations of people: no system schema, nothing temporary, nothing of ours. */
const people = `c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
  and c.relnamespace not in (select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema', 'pg_toast', 'pgfresh'))`

/** Names of these attribute numbers (an int2vector) of a relation as a JSON array, in order. */
const names = (relation: string, numbers: string, limit = '32767') => `
  (select coalesce(json_agg(a.attname order by k.at), '[]') from unnest(${numbers}::int2[]) with ordinality k(number, at)
   join pg_attribute a on a.attrelid = ${relation} and a.attnum = k.number where k.at <= ${limit})`

const questions = {
  session: `
    select current_database() as database, current_user as role,
      (select rolsuper from pg_catalog.pg_roles where rolname = current_user) as superuser,
      pg_catalog.has_database_privilege(current_database(), 'CREATE') as may_create,
      pg_catalog.has_database_privilege(current_database(), 'TEMPORARY') as may_create_temporary,
      pg_catalog.current_setting('search_path') as search_path,
      pg_catalog.to_json(pg_catalog.current_schemas(false)) as path, pg_catalog.current_setting('TimeZone') as time_zone`,
  relations: `
    select c.oid, n.nspname as schema, c.relname as name, c.relkind as kind, pg_get_userbyid(c.relowner) as owner,
      pg_has_role(c.relowner, 'USAGE') as owned, c.relrowsecurity as row_security, c.relispartition as is_partition,
      has_table_privilege(c.oid, 'SELECT') as may_select, has_table_privilege(c.oid, 'UPDATE') as may_update, greatest(c.reltuples, 0)::bigint as estimated_rows, c.relnatts as last_number,
      ${names('c.oid', "coalesce((select p.partattrs::text from pg_partitioned_table p where p.partrelid = c.oid), '')::int2vector")} as partition_key
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${people}`,
  columns: `
    select a.attrelid as relation, a.attname as name, a.attnum as number, format_type(a.atttypid, a.atttypmod) as type,
      a.atttypid as type_oid, a.attnotnull as not_null, a.attgenerated as generated, a.attidentity as identity,
      (select d.oid from pg_attrdef d where a.attgenerated <> '' and d.adrelid = a.attrelid and d.adnum = a.attnum) as expression
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where ${people} and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum`,
  types: `
    select t.oid, t.typname as name, n.nspname as schema, t.typtype as kind, t.typbasetype as base
    from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typtype in ('b', 'd', 'e') and t.typcategory <> 'A'`,
  indexes: `
    select i.indrelid as relation, x.relname as name, i.indisprimary as is_primary, i.indisreplident as is_identity,
      i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null as whole,
      ${names('i.indrelid', 'i.indkey', 'i.indnkeyatts')} as columns
    from pg_index i join pg_class x on x.oid = i.indexrelid join pg_class c on c.oid = i.indrelid
    where ${people} and i.indisunique and i.indislive order by x.relname`,
  foreignKeys: `
    select o.conrelid as relation, o.conname as name, ${names('o.conrelid', 'o.conkey')} as columns
    from pg_constraint o join pg_class c on c.oid = o.conrelid
    where ${people} and o.contype = 'f' and o.conparentid = 0 order by o.conname`,
  triggers: `
    select t.tgrelid as relation, t.tgname as name, n.nspname as schema, p.proname as function, t.tgenabled as enabled,
      (t.tgtype & 2) <> 0 and (t.tgtype & 16) <> 0 as before_update, encode(t.tgargs, 'escape') as arguments,
      (select coalesce(json_agg(a order by a), '[]') from unnest(t.tgattr::int2[]) a) as columns, t.tgparentid <> 0 as cloned
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
    join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace
    where ${people} and (not t.tgisinternal and t.tgparentid = 0 or n.nspname = 'pgfresh') order by t.tgname`,
  inheritance: `
    select i.inhrelid as relation, i.inhparent as parent from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where ${people} order by i.inhseqno, i.inhrelid`,
  publications: `
    select c.oid as relation, p.pubname as name from pg_publication_tables p
    join pg_namespace n on n.nspname = p.schemaname join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
    where ${people} order by p.pubname`,
  subscriptions: 'select distinct srrelid as relation from pg_subscription_rel',
  schemas: `
    select nspname as name, has_schema_privilege(oid, 'CREATE') as may_create, has_schema_privilege(oid, 'USAGE') as may_use
    from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'`,
  // Of its own rule, type and indexes it depends the other way round, or automatically.
  dependents: `
    select distinct c.oid as relation, v.oid, case when v.oid is null then pg_describe_object(d.classid, d.objid, 0)
      else case v.relkind when 'v' then 'view ' when 'm' then 'materialized view ' else 'a rule of ' end || quote_ident(n.nspname) || '.' || quote_ident(v.relname) end as text
    from pg_class c join pg_depend d on d.deptype = 'n'
      and ((d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid) or (d.refclassid = 'pg_type'::regclass and d.refobjid = c.reltype))
    left join pg_rewrite w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
    left join pg_class v on v.oid = w.ev_class left join pg_namespace n on n.oid = v.relnamespace
    where ${people} and c.relkind = 'm' and v.oid is distinct from c.oid order by 3`,
}

function relationOf(row: Row, parts: Parts): Relation {
  const oid = text(row, 'oid')
  const indexes = parts.indexes.get(oid) ?? []
  const columnsOf = (index: Row | undefined) => (index === undefined ? [] : list(index, 'columns'))
  return {
    oid,
    schema: text(row, 'schema'),
    name: text(row, 'name'),
    kind: text(row, 'kind') as RelationKind,
    owner: text(row, 'owner'),
    owned: flag(row, 'owned'),
    may: {
      select: flag(row, 'may_select'),
      update: flag(row, 'may_update'),
    },
    rowSecurity: flag(row, 'row_security'),
    isPartition: flag(row, 'is_partition'),
    parents: parts.parents.get(oid) ?? [],
    children: parts.children.get(oid) ?? [],
    estimatedRows: Number(text(row, 'estimated_rows')),
    lastNumber: Number(text(row, 'last_number')),
    columns: parts.columns.get(oid) ?? [],
    key: columnsOf(indexes.find((index) => flag(index, 'is_primary'))),
    uniques: indexes.filter((index) => !flag(index, 'is_primary')).map(uniqueIndex),
    replicaIdentity: columnsOf(indexes.find((index) => flag(index, 'is_identity'))),
    partitionKey: list(row, 'partition_key'),
    foreignKeys: parts.foreignKeys.get(oid) ?? [],
    triggers: parts.triggers.get(oid) ?? [],
    publications: parts.publications.get(oid) ?? [],
    subscribed: parts.subscribed.has(oid),
    dependents: parts.dependents.get(oid) ?? [],
  }
}

function columnOf(row: Row, types: ReadonlyMap<string, TypeFacts>): Column {
  const type = text(row, 'type_oid')
  const generated = text(row, 'generated')
  return {
    name: text(row, 'name'),
    number: Number(text(row, 'number')),
    type: text(row, 'type'),
    notNull: flag(row, 'not_null'),
    generated: generated === 's' ? 'stored' : generated === 'v' ? 'virtual' : null,
    expression: row.expression ?? null,
    identityAlways: text(row, 'identity') === 'a',
    json: isExactInJson(type, types),
    builtIn: isBuiltIn(type, types),
    integer: isInteger(type, types),
  }
}

const enabledWords: Readonly<Record<string, Trigger['enabled']>> = {
  O: 'origin',
  A: 'always',
  R: 'replica',
  D: 'disabled',
}

function triggerOf(row: Row): Trigger {
  const [argument] = text(row, 'arguments').split('\\000')
  return {
    name: text(row, 'name'),
    function: `${text(row, 'schema')}.${text(row, 'function')}`,
    ours: text(row, 'schema') === 'pgfresh',
    enabled: enabledWords[text(row, 'enabled')] ?? 'disabled',
    beforeUpdate: flag(row, 'before_update'),
    argument: argument === undefined || argument === '' ? null : argument,
    columns: JSON.parse(text(row, 'columns')) as number[],
    cloned: flag(row, 'cloned'),
  }
}

function typeOf(row: Row): TypeFacts {
  return {
    name: text(row, 'name'),
    schema: text(row, 'schema'),
    kind: text(row, 'kind'),
    base: text(row, 'base'),
  }
}

function namedColumns(row: Row): NamedColumns {
  return { name: text(row, 'name'), columns: list(row, 'columns') }
}

function uniqueIndex(row: Row): UniqueIndex {
  return { ...namedColumns(row), whole: flag(row, 'whole') }
}

function dependentOf(row: Row): Dependent {
  return { oid: row.oid ?? null, text: text(row, 'text') }
}

function grouped<T>(
  rows: readonly Row[] | undefined,
  of: (row: Row) => T,
  by = 'relation',
): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const row of rows ?? []) {
    const group = groups.get(text(row, by))
    if (group === undefined) groups.set(text(row, by), [of(row)])
    else group.push(of(row))
  }
  return groups
}

function text(row: Row, column: string): string {
  const value = row[column]
  if (value === null || value === undefined) throw new RangeError(`the catalog's answer has no ${column}`)
  return value
}

function flag(row: Row, column: string): boolean {
  return text(row, column) === 't'
}

function list(row: Row, column: string): string[] {
  return JSON.parse(text(row, column)) as string[]
}
