/**
 * What scratch views read: exactly the (table, column) pairs and functions, through views and SQL-standard function bodies.
 *
 * pg_depend names columns; the query tree adds what pg_depend leaves out (rule-tree.ts). Where a view stands between, all
 * that it reads counts: never too little. Called inside a scratch transaction.
 */
import { quoteIdentifier } from '../db/identifier.ts'
import type { Row } from '../db/session.ts'
import { type TreeFacts, treeFacts } from './rule-tree.ts'
import type { Scratch } from './scratch.ts'

/** What one scratch view reads of one table. */
export interface TableReads {
  readonly oid: string
  /** Attribute numbers; `all` where a whole row is used as a value. Empty for count(*) alone. */
  readonly columns: ReadonlySet<number> | 'all'
  /** The outermost view that it is read through, or null: it is read directly. */
  readonly through: string | null
  /** How often the scratch view itself names it in a FROM; a view between counts once. */
  readonly mentions: number
}

/** A function that isn't PostgreSQL's own. */
export interface CalledFunction {
  readonly name: string
  /** What it does, as text: its body for a fingerprint. */
  readonly body: string
  /** Its body is a text that PostgreSQL looks into only when it runs: nobody can tell what it reads. */
  readonly opaque: boolean
}

/** What one scratch view reads. */
export interface Reads {
  readonly tables: ReadonlyMap<string, TableReads>
  /** System tables: no trigger can be put on them. */
  readonly systemTables: readonly string[]
  readonly functions: readonly CalledFunction[]
  /** What makes its result depend on when it is computed: `now()`, `current_date`. */
  readonly clock: readonly string[]
  /** Functions whose result differs from call to call: `random()`. */
  readonly volatile: readonly string[]
  /** Of the scratch view's own tree. */
  readonly tree: TreeFacts
}

/** Answers for each of these scratch views. */
export async function readsOf(
  scratch: Scratch,
  views: readonly string[],
): Promise<ReadonlyMap<string, Reads>> {
  const names = `{${views.map(quoteIdentifier).join(',')}}`
  const nodes = (await scratch.session.rows(reachQuery, [names])).map((row) => nodeOf(row, scratch))
  const oids = new Set(nodes.flatMap((node) => [...node.tree.functions, ...node.functions]))
  const system = new Set(nodes.flatMap((node) => node.tree.relations.filter(isSystem)))
  const functions = await describeFunctions(scratch, [...oids])
  const systemNames = await describeSystemTables(scratch, [...system])
  return new Map(
    views.map((view) => [
      view,
      gather(
        nodes.filter((node) => node.root === view),
        functions,
        systemNames,
      ),
    ]),
  )
}

/** A scratch view, or a view or SQL-standard function below one. */
interface ReachedNode {
  readonly root: string
  readonly oid: string
  readonly isRoot: boolean
  readonly through: string | null
  readonly tree: TreeFacts
  /** Table oid to attribute numbers; 0 is the table as a whole. */
  readonly columns: ReadonlyMap<string, ReadonlySet<number>>
  readonly functions: readonly string[]
}

/** Views and functions have their dependencies recorded in different places; both keep a tree. */
const reachQuery = `
  with recursive reach(root, of_class, oid, through) as (
    select c.relname, 'pg_class'::regclass::oid, c.oid, null::oid
    from pg_class c where c.relnamespace = pg_my_temp_schema() and c.relname = any($1::text[])
    union
    select r.root, d.refclassid, d.refobjid,
      coalesce(r.through, case when d.refclassid = 'pg_class'::regclass then d.refobjid end)
    from reach r
    cross join lateral (
      select 'pg_rewrite'::regclass::oid as of_class, w.oid from pg_rewrite w
      where r.of_class = 'pg_class'::regclass and w.ev_class = r.oid and w.ev_type = '1'
      union all select r.of_class, r.oid where r.of_class = 'pg_proc'::regclass
    ) o
    join pg_depend d on d.classid = o.of_class and d.objid = o.oid
    where (d.refclassid = 'pg_proc'::regclass and d.refobjid <> r.oid)
       or (d.refclassid = 'pg_class'::regclass and d.refobjid <> r.oid
           and (select c.relkind from pg_class c where c.oid = d.refobjid) = 'v')
  ), node as (
    select r.root, r.oid, r.through, r.of_class, w.ev_action::text as tree, 'pg_rewrite'::regclass::oid as dependent_class, w.oid as dependent
    from reach r join pg_rewrite w on w.ev_class = r.oid and w.ev_type = '1' where r.of_class = 'pg_class'::regclass
    union all
    select r.root, r.oid, r.through, r.of_class, coalesce(p.prosqlbody::text, ''), r.of_class, r.oid
    from reach r join pg_proc p on p.oid = r.oid where r.of_class = 'pg_proc'::regclass
  )
  select n.root, n.oid, n.through is null and n.of_class = 'pg_class'::regclass as is_root, n.tree,
    (select quote_ident(s.nspname) || '.' || quote_ident(v.relname) from pg_class v join pg_namespace s on s.oid = v.relnamespace
     where v.oid = n.through) as through,
    (select coalesce(json_agg(json_build_array(d.refobjid::text, d.refobjsubid)), '[]') from pg_depend d
     join pg_class c on c.oid = d.refobjid and c.relkind in ('r', 'p', 'm', 'f')
     where d.classid = n.dependent_class and d.objid = n.dependent and d.refclassid = 'pg_class'::regclass) as columns,
    (select coalesce(json_agg(d.refobjid::text), '[]') from pg_depend d
     where d.classid = n.dependent_class and d.objid = n.dependent and d.refclassid = 'pg_proc'::regclass) as functions
  from node n`

function nodeOf(row: Row, scratch: Scratch): ReachedNode {
  const columns = new Map<string, Set<number>>()
  for (const [shown, number] of JSON.parse(row.columns ?? '[]') as [string, number][]) {
    const real = scratch.realOf(shown)
    columns.set(real.oid, (columns.get(real.oid) ?? new Set()).add(real.number(number)))
  }
  return {
    root: row.root ?? '',
    oid: row.oid ?? '',
    isRoot: row.is_root === 't',
    through: row.through ?? null,
    tree: inRealTables(treeFacts(row.tree ?? ''), scratch),
    columns,
    functions: JSON.parse(row.functions ?? '[]') as string[],
  }
}

/** A tree that names what stands in for a table is about that table. */
function inRealTables(tree: TreeFacts, scratch: Scratch): TreeFacts {
  const real = (oid: string) => scratch.realOf(oid).oid
  return {
    ...tree,
    relations: tree.relations.map(real),
    wholeRows: new Set([...tree.wholeRows].map(real)),
    origins: new Map(
      [...tree.origins].map(([name, { relation, column }]) => [
        name,
        { relation: real(relation), column: scratch.realOf(relation).number(column) },
      ]),
    ),
  }
}

function gather(
  nodes: readonly ReachedNode[],
  functions: ReadonlyMap<string, FunctionFacts>,
  systemNames: ReadonlyMap<string, string>,
): Reads {
  const tables = new Map<string, TableReads>()
  for (const node of nodes) {
    for (const [oid, numbers] of node.columns) tables.set(oid, merged(tables.get(oid), node, oid, numbers))
  }
  const called = [...new Set(nodes.flatMap((node) => [...node.tree.functions, ...node.functions]))]
    .map((oid) => functions.get(oid))
    .filter((one) => one !== undefined)
  const root = nodes.find((node) => node.isRoot)
  if (root === undefined) throw new RangeError('a scratch view is gone')
  const clock = called.filter((one) => one.clock).map((one) => one.name)
  if (nodes.some((node) => node.tree.readsClock)) clock.push('current_date or the like')
  return {
    tables,
    systemTables: [...new Set(nodes.flatMap((node) => node.tree.relations))].flatMap(
      (oid) => systemNames.get(oid) ?? [],
    ),
    functions: called.filter((one) => !one.builtIn).sort((a, b) => (a.name < b.name ? -1 : 1)),
    clock,
    volatile: called.filter((one) => one.volatile && !one.clock).map((one) => one.name),
    tree: root.tree,
  }
}

function merged(
  known: TableReads | undefined,
  node: ReachedNode,
  oid: string,
  numbers: ReadonlySet<number>,
): TableReads {
  const columns = [...numbers].filter((number) => number > 0)
  const whole = known?.columns === 'all' || node.tree.wholeRows.has(oid)
  return {
    oid,
    columns: whole ? 'all' : new Set([...((known?.columns ?? []) as Iterable<number>), ...columns]),
    through: known === undefined ? node.through : known.through === null ? null : node.through,
    mentions:
      (known?.mentions ?? 0) + (node.isRoot ? node.tree.relations.filter((one) => one === oid).length : 1),
  }
}

interface FunctionFacts extends CalledFunction {
  readonly builtIn: boolean
  readonly volatile: boolean
  readonly clock: boolean
}

const clockFunctions = new Set([
  'now',
  'transaction_timestamp',
  'statement_timestamp',
  'clock_timestamp',
  'timeofday',
])

async function describeFunctions(
  scratch: Scratch,
  oids: readonly string[],
): Promise<Map<string, FunctionFacts>> {
  const rows = await scratch.session.rows(
    `select p.oid, p.oid < 16384 as built_in, p.proname as plain, p.provolatile as volatility, p.pronargs as arguments,
       quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')' as name,
       concat_ws(E'\\n', l.lanname, p.prosrc, pg_get_function_sqlbody(p.oid), p.proconfig::text) as body,
       p.prosqlbody is null and p.provolatile <> 'i' and p.prokind = 'f' and l.lanname not in ('internal', 'c') as opaque
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
     where p.oid = any($1::oid[])`,
    [`{${oids.join(',')}}`],
  )
  return new Map(
    rows.map((row) => {
      const plain = row.plain ?? ''
      const builtIn = row.built_in === 't'
      return [
        row.oid ?? '',
        {
          name: builtIn ? `${plain}()` : (row.name ?? ''),
          body: row.body ?? '',
          opaque: !builtIn && row.opaque === 't',
          builtIn,
          volatile: row.volatility === 'v',
          // age(x) counts from today, age(x, y) doesn't.
          clock: builtIn && (clockFunctions.has(plain) || (plain === 'age' && row.arguments === '1')),
        },
      ]
    }),
  )
}

/** Below the first oid that initdb leaves to people. */
function isSystem(oid: string): boolean {
  return Number(oid) > 0 && Number(oid) < 16384
}

async function describeSystemTables(scratch: Scratch, oids: readonly string[]): Promise<Map<string, string>> {
  if (oids.length === 0) return new Map()
  const rows = await scratch.session.rows(
    `select c.oid, n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = any($1::oid[])`,
    [`{${oids.join(',')}}`],
  )
  return new Map(rows.map((row) => [row.oid ?? '', row.name ?? '']))
}
