/**
 * Fingerprints of what people wrote (invariant 9): of their own tokens, of the options that matter to values and of the bodies of the
 * functions they call, never of SQL that the catalog prints back. Comments and layout change nothing. Pure, once the parser is loaded.
 */
import { createHash } from 'node:crypto'
import type { Compiled, Route } from '../materialization/compiled.ts'
import type { CompiledView } from '../materialization/compiled-view.ts'
import { tokensOf } from './parser.ts'
import type { CalledFunction } from './reads.ts'

/** All that decides a column's values. */
export interface ColumnIngredients {
  /** The parts of people's SQL that the column comes from, in order. */
  readonly tokens: readonly string[]
  readonly type: string
  readonly default: string | null
  readonly settings: Readonly<Record<string, string>>
  readonly functions: readonly CalledFunction[]
}

/** The fingerprint of one column. */
export function columnFingerprint(ingredients: ColumnIngredients): string {
  return digest([
    'column 1',
    ingredients.tokens,
    ingredients.type,
    ingredients.default === null ? null : normalizedSql(ingredients.default),
    valueSettings(ingredients.settings),
    ingredients.functions.map(({ name, body }) => [name, body]),
  ])
}

/**
 * The fingerprint of a whole compiled definition: differs if and only if running daemons have to do something else.
 * `isView`: the source of that oid is a materialized view, which has another oid after each change of its query.
 */
export function compiledFingerprint(
  compiled: Compiled,
  isView: (oid: string) => boolean = () => false,
): string {
  const { form, routes, ...rest } = compiled
  return digest([
    'compiled 1',
    rest,
    form.kind === 'columns'
      ? {
          ...form,
          expressions: Object.entries(form.expressions).map(([name, sql]) => [name, normalizedSql(sql)]),
        }
      : { ...form, sql: normalizedSql(form.sql) },
    routes.map((route) => routeIngredients(route, isView)),
  ])
}

/** The fingerprint of what a view holds: differs if it has to be built anew. */
export function viewFingerprint(ingredients: {
  readonly query: string
  readonly settings: Readonly<Record<string, string>>
  readonly functions: readonly CalledFunction[]
}): string {
  return digest([
    'view 1',
    normalizedSql(ingredients.query),
    valueSettings(ingredients.settings),
    ingredients.functions.map(({ name, body }) => [name, body]),
  ])
}

/** The fingerprint of a whole compiled view, as compiledFingerprint. */
export function compiledViewFingerprint(compiled: CompiledView, isView: (oid: string) => boolean): string {
  const { kind, project, name, view, query, key, schedule, settings, skipUnchanged, routes } = compiled
  return digest([
    'compiled view 1',
    { kind, project, name, view, key, schedule, settings, skipUnchanged },
    normalizedSql(query),
    routes.map((route) => routeIngredients(route, isView)),
  ])
}

function routeIngredients(route: Route, isView: (oid: string) => boolean): unknown {
  return {
    ...route,
    ...(isView(route.sourceOid) ? { sourceOid: 'view' } : {}),
    via: route.via === null ? null : normalizedSql(route.via),
  }
}

/** Those that may change a value, in order. */
function valueSettings(settings: Readonly<Record<string, string>>): (readonly [string, string])[] {
  return Object.entries(settings)
    .filter(([name]) => !onlySpeed.test(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/** The tokens of a text in one line: the same for every layout. */
export function normalizedSql(sql: string): string {
  return tokensOf(sql)
    .map((token) => token.text)
    .join(' ')
}

/** Settings that change how fast a value is found, and never the value. */
const onlySpeed =
  /^(work_mem|hash_mem_multiplier|maintenance_work_mem|temp_buffers|temp_file_limit|.*_timeout|jit.*|enable_.*|.*_cost|.*_collapse_limit|geqo.*|effective_.*|max_parallel_.*|min_parallel_.*|parallel_.*|cursor_tuple_fraction|plan_cache_mode|constraint_exclusion|log_.*|application_name)$/i

function digest(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest('hex')
    .slice(0, 32)
}

/** Objects with their keys in order, so that what is equal prints equal. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  )
}
