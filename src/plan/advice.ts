/**
 * What isn't wrong but worth knowing before it is applied: shown below the steps, and of no weight for the exit code. Pure, once the parser is loaded.
 */
import { type Catalog, descendants, type Relation } from '../catalog/catalog.ts'
import { displayIdentifier } from '../db/identifier.ts'
import type { ColumnsDefinition } from '../definition/definition.ts'
import type { Reads } from '../lineage/reads.ts'
import { clockWords } from './clock-words.ts'
import { displayTable } from './target.ts'

/** What advice is about. */
export interface AdviceArguments {
  readonly catalog: Catalog
  readonly definition: ColumnsDefinition
  readonly target: Relation
  /** Materialized columns and the stamp. */
  readonly written: readonly string[]
  readonly added: readonly string[]
  readonly reads: readonly Reads[]
  /** Somebody refreshes this materialized view through pgfresh. */
  readonly isRefreshed: (relation: Relation) => boolean
}

/** Sentences, each about one thing. */
export function adviceFor(args: AdviceArguments): string[] {
  return [...aboutTime(args), ...aboutFunctions(args), ...aboutViews(args), ...aboutTarget(args)]
}

function aboutTime({ definition, reads }: AdviceArguments): string[] {
  const { form } = definition
  const texts = form.kind === 'query' ? [form.sql] : form.columns.map((column) => column.sql)
  const clock = [...new Set([...reads.flatMap((one) => one.clock), ...clockWords(texts)])]
  const volatile = [...new Set(reads.flatMap((one) => one.volatile))]
  return [
    ...(clock.length > 0 && definition.expires === null
      ? [
          `${definition.name} reads the clock (${clock.join(', ')}) and no change is captured when time passes: add expires: '15 minutes', or the like`,
        ]
      : []),
    ...(volatile.length > 0
      ? [
          `${definition.name} calls ${volatile.join(', ')}, declared volatile: if its result differs each time, verify will find drift`,
        ]
      : []),
  ]
}

function aboutFunctions({ definition, reads }: AdviceArguments): string[] {
  const opaque = new Set(
    reads.flatMap((one) => one.functions.filter((called) => called.opaque).map((called) => called.name)),
  )
  return [...opaque].map(
    (name) =>
      `${definition.name} calls ${name}, whose body PostgreSQL doesn't look into before it runs: tables that it reads need a dependsOn of their own`,
  )
}

function aboutViews({ catalog, definition, reads, isRefreshed }: AdviceArguments): string[] {
  const oids = new Set(reads.flatMap((one) => [...one.tables.keys()]))
  return [...oids]
    .flatMap((oid) => catalog.relations.get(oid) ?? [])
    .filter((relation) => relation.kind === 'm' && !isRefreshed(relation))
    .map(
      (relation) =>
        `${definition.name} reads materialized view ${displayTable(relation)}, which has no definition and no row in the refresh schedule: refreshes that others make aren't seen`,
    )
}

function aboutTarget({ catalog, definition, target, written, added }: AdviceArguments): string[] {
  const name = displayTable(target)
  const keys = target.foreignKeys.filter((key) => key.columns.some((column) => written.includes(column)))
  const triggers = [target, ...descendants(catalog, target)].flatMap((table) =>
    table.triggers.filter(
      (trigger) => trigger.beforeUpdate && !trigger.ours && trigger.enabled !== 'disabled',
    ),
  )
  const names = [...new Set(triggers.map((trigger) => displayIdentifier(trigger.name)))]
  const publications = new Set(
    [target, ...descendants(catalog, target)].flatMap((table) => table.publications),
  )
  return [
    ...keys.map(
      (key) =>
        `foreign key ${displayIdentifier(key.name)} on a column that ${definition.name} writes: a batch locks the rows it refers to, and may deadlock with writers of them`,
    ),
    ...(names.length === 0
      ? []
      : [
          `${names.length === 1 ? 'trigger' : 'triggers'} ${names.join(', ')} of ${name} will run before each of pgfresh's updates, as role ${catalog.role}`,
        ]),
    ...(added.length === 0 || publications.size === 0
      ? []
      : [
          `${name} is published by ${[...publications].map(displayIdentifier).join(', ')}: add ${added.map(displayIdentifier).join(', ')} to the subscribers' tables first, or replication stops`,
        ]),
  ]
}
