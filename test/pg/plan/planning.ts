/**
 * What tests of plan and apply share: definitions without files, a plan and an apply over a test database, and mistakes as text.
 */
import { Session } from '../../../src/db/session.ts'
import type {
  ColumnsDefinition,
  DeclaredRoute,
  Definition,
  ViewDefinition,
} from '../../../src/definition/definition.ts'
import {
  describeOperatorError,
  OperatorError,
  OperatorErrors,
  type Place,
} from '../../../src/kernel/errors.ts'
import { type Applied, type ApplyArguments, apply } from '../../../src/plan/apply.ts'
import { makePlan, type Plan, type PlanOptions } from '../../../src/plan/plan.ts'
import { stepLine } from '../../../src/plan/render.ts'

/** The line that a definition begins at; its columns follow from line 20 on, its query at 30, its vias from 40 on. */
const lines = { definition: 10, columns: 20, query: 30, vias: 40 }

/** A definition as people would write it, but for its name. */
export interface Written {
  readonly table: string
  readonly columns?: Readonly<Record<string, string>>
  readonly query?: string
  readonly dependsOn?: Readonly<Record<string, string>>
  readonly stamp?: string
  readonly defaults?: Readonly<Record<string, string>>
  readonly expires?: string
  readonly freshness?: string
  readonly adopt?: readonly string[]
  readonly settings?: Readonly<Record<string, string>>
  readonly priority?: number
  readonly batch?: number
}

/** The facts of a definition. In dependsOn, `all` and `ignore` are what they are, anything else is a via. */
export function definition(name: string, written: Written): ColumnsDefinition {
  const place = (line: number): Place => ({ file: `${name}.ts`, line })
  const { table, columns = {}, query } = written
  return {
    kind: 'columns',
    name,
    place: place(lines.definition),
    table,
    stamp: written.stamp ?? 'materialized_at',
    form:
      query === undefined
        ? {
            kind: 'columns',
            columns: Object.entries(columns).map(([column, sql], at) => ({
              name: column,
              sql,
              place: place(lines.columns + at),
            })),
          }
        : { kind: 'query', sql: query, place: place(lines.query) },
    defaults: written.defaults ?? {},
    dependsOn: Object.fromEntries(
      Object.entries(written.dependsOn ?? {}).map(([source, route], at): [string, DeclaredRoute] => [
        source,
        route === 'all' || route === 'ignore'
          ? { kind: route }
          : { kind: 'via', sql: route, place: place(lines.vias + at) },
      ]),
    ),
    expires: written.expires ?? null,
    adopt: written.adopt ?? [],
    settings: written.settings ?? {},
    batch: written.batch ?? null,
    priority: written.priority ?? 5,
    freshness: written.freshness ?? null,
  }
}

/** Several definitions by name. */
export function definitions(written: Readonly<Record<string, Written>>): ColumnsDefinition[] {
  return Object.entries(written).map(([name, one]) => definition(name, one))
}

/** The definition of a view as people would write it, but for its name. */
export interface WrittenView {
  /** Default: as the definition. */
  readonly view?: string
  readonly query: string
  readonly key?: readonly string[]
  readonly every?: string
  readonly cron?: string
  readonly timeZone?: string
  readonly maximumExecutionDuration?: string
  readonly skipUnchanged?: boolean
  readonly adopt?: boolean
  readonly settings?: Readonly<Record<string, string>>
}

/** Several definitions of views by name. */
export function views(written: Readonly<Record<string, WrittenView>>): ViewDefinition[] {
  return Object.entries(written).map(([name, one]) => ({
    kind: 'view',
    name,
    place: { file: `${name}.ts`, line: lines.definition },
    view: one.view ?? name,
    query: { sql: one.query, place: { file: `${name}.ts`, line: lines.query } },
    key: one.key ?? [],
    schedule:
      one.every !== undefined
        ? { kind: 'every', every: one.every }
        : one.cron === undefined
          ? { kind: 'request' }
          : { kind: 'cron', cron: one.cron, timeZone: one.timeZone ?? 'UTC' },
    maximumExecutionDuration: one.maximumExecutionDuration ?? '30 minutes',
    skipUnchanged: one.skipUnchanged ?? false,
    adopt: one.adopt ?? false,
    settings: one.settings ?? {},
  }))
}

type Options = Partial<Omit<PlanOptions, 'definitions'>>

/** The plan for these definitions. */
export async function planFor(
  url: string,
  wanted: readonly Definition[],
  options: Options = {},
): Promise<Plan> {
  const session = await Session.open({ url }, 'test plan')
  try {
    return await makePlan(session, {
      definitions: wanted,
      project: 'default',
      prune: false,
      drop: false,
      ...options,
    })
  } finally {
    await session.close()
  }
}

/** The steps of a plan as lines; their ids and numbers are not in them. */
export function stepLines(plan: Plan): string[] {
  return plan.steps.map(stepLine)
}

/** Applies without asking. */
export function applyTo(
  url: string,
  wanted: readonly Definition[],
  options: Options & Partial<Pick<ApplyArguments, 'progress' | 'patienceMs' | 'approve'>> = {},
): Promise<Applied> {
  return apply({
    definitions: wanted,
    project: 'default',
    prune: false,
    drop: false,
    address: { url },
    approve: async () => true,
    progress: () => {},
    ...options,
  })
}

/** What people would read if this failed; fails itself if it doesn't. */
export async function mistakesOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    if (error instanceof OperatorError) return describeOperatorError(error)
    if (error instanceof OperatorErrors) return error.errors.map(describeOperatorError).join('\n')
    throw error
  }
  throw new Error('It was accepted, and should not have been.')
}
