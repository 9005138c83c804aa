/**
 * One batch as one message: fence, lock, compute and write, put aside, settle, commit.
 *
 * Invariant 3: rows are locked in one statement and computed in the next, whose snapshot is then at least as new as the
 * locks; only rows that the lock statement returned are computed. Everything after the claim goes to the server at
 * once, so that no pause of this process holds row locks.
 */
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../db/identifier.ts'
import { settingsLiteral, tag } from '../db/transaction.ts'
import type { Compiled, ValueColumn } from '../materialization/compiled.ts'
import type { Stored } from '../materialization/store.ts'
import { patience, settle } from '../queue/defer.ts'
import { isTask, type Task } from '../queue/task.ts'
import { stampIsDue } from './due.ts'
import { differs, freshSelect } from './fresh-sql.ts'
import {
  type KeyLimit,
  keyColumns,
  keyJson,
  keyRow,
  keysFromJson,
  limitToKeys,
  limitToLocked,
  setLocked,
} from './key.ts'

/** What a batch says of itself: the one row of its summary statement. */
export interface BatchSummary {
  readonly locked: number
  readonly missed: number
  readonly written: number
  readonly refused: number
}

/** The columns a task is about, in the definition's order. Unknown names (a column removed meanwhile) are left out. */
export function taskColumns(compiled: Compiled, task: Task): readonly ValueColumn[] {
  return compiled.columns.filter((column) => task.columns === null || task.columns.includes(column.name))
}

/** The message that runs a claimed keys or range task to its end; its last rows but one are the summary. */
export function batchSql(stored: Stored, task: Task): string {
  const { compiled } = stored
  const columns = taskColumns(compiled, task)
  const label = tag(`${compiled.target.schema}.${compiled.target.name} ${task.why}`)
  const settings = {
    ...compiled.settings,
    'pgfresh.batch': 'on',
    'pgfresh.missed': '[]',
    'pgfresh.refused': '[]',
    'pgfresh.written': '0',
    // A key that is waited for alone must not keep the worker from everybody else's; but one that is hardly ever free has to be
    // waited for in line, so the wait grows with each attempt.
    ...(task.misses >= patience ? { lock_timeout: `${Math.min(10 * 2 ** task.attempts, 200)}ms` } : {}),
  }
  return [
    `select pgfresh.enter(${Number(stored.id)}, ${settingsLiteral(settings)})`,
    lockSql(stored, task),
    ...(columns.length === 0 ? [] : [writeSql(compiled, task, columns)]),
    ...(task.freesQuarantine ? [freeSql(compiled, task, stored.id)] : []),
    settle(task),
    'commit',
  ]
    .map((statement) => `${label} ${statement}`)
    .join(';\n')
}

/** The keys of a task that exist now, as a jsonb array: for splitting a range that failed. */
export function existingKeysSql(compiled: Compiled, task: Task): string {
  const limit = candidates(compiled, task)
  return `(select coalesce(pg_catalog.jsonb_agg(${keyJson(compiled.key, keyParts(compiled))} order by ${keyColumns(compiled.key, 't')}), '[]')
    from ${target(compiled)} t ${limit.join} where ${limit.where})`
}

/**
 * Locks what the task names, in key order, and says in settings what it got. Keys that exist but are held by somebody
 * are missed: that somebody's snapshot may be older than the change [A9]. Keys that don't exist are done.
 */
function lockSql(stored: Stored, task: Task): string {
  const { compiled } = stored
  const fence = `exists (select from pgfresh.materialization m where m.id = ${Number(stored.id)} and m.fingerprint = ${quoteLiteral(stored.fingerprint)}
    and m.paused_at is null)`
  const limit = candidates(compiled, task)
  const rows = `${target(compiled)} t ${limit.join}`
  const waiting = task.misses >= patience ? '' : ' skip locked'
  const places = compiled.key.map((_, at) => `k${at + 1}`)
  return `with fence as materialized (select ${fence} as held),
    present as materialized (
      select ${keyColumns(compiled.key, 't', true)} from ${rows} where (select held from fence) and ${limit.where}),
    locked as materialized (
      select ${keyColumns(compiled.key, 't', true)} from ${rows} where (select held from fence) and ${limit.where}
      order by ${keyColumns(compiled.key, 't')} for no key update of t${waiting})
    select ${setLocked(compiled.key, 'locked')},
      pg_catalog.set_config('pgfresh.fence', case when (select held from fence) then 'held' else '' end, true),
      pg_catalog.set_config('pgfresh.locked', (select pg_catalog.count(*) from locked)::text, true),
      pg_catalog.set_config('pgfresh.missed', coalesce((
        select pg_catalog.jsonb_agg(${keyJson(compiled.key, places)}) from (select * from present except select * from locked) m), '[]')::text, true)`
}

/** Computes the locked rows in a snapshot of its own and writes those that differ, or whose stamp is what is due. */
function writeSql(compiled: Compiled, task: Task, columns: readonly ValueColumn[]): string {
  const whole = columns.length === compiled.columns.length
  const places = compiled.key.map((_, at) => `k${at + 1}`)
  // Only a compute of all columns sets the stamp. What has expired is asked again here: it may have been computed meanwhile.
  const due = [
    differs(columns, 'f'),
    ...(whole
      ? [
          stampIsDue(
            compiled,
            'f.s',
            places.map((place) => `f.${place}`),
          ),
        ]
      : []),
    ...(whole && task.stampDue ? ['true'] : []),
  ].join(' or ')
  const sets = [
    ...columns.map((column, at) => `${quoteIdentifier(column.name)} = f.v${at + 1}`),
    ...(whole ? [`${quoteIdentifier(compiled.stamp)} = pg_catalog.now()`] : []),
  ]
  const same = compiled.key
    .map((column, at) => `t.${quoteIdentifier(column.name)} = f.k${at + 1}`)
    .join(' and ')
  return `with computed as materialized (${freshSelect(compiled, columns)}),
    fresh as materialized (select f.*, (${due}) as due from computed f),
    written as (update ${target(compiled)} t set ${sets.join(', ')} from fresh f where f.due and ${same}
      returning ${places.map((place) => `f.${place}`).join(', ')})
    select pg_catalog.set_config('pgfresh.written', (select pg_catalog.count(*) from written)::text, true),
      pg_catalog.set_config('pgfresh.refused', coalesce((select pg_catalog.jsonb_agg(${keyJson(compiled.key, places)})
        from (select ${places.join(', ')} from fresh where due except select ${places.join(', ')} from written) r), '[]')::text, true)`
}

/**
 * What was computed without an error leaves quarantine: rows by their key, and the task's own keys as they were written (a row
 * may be gone). A task of some columns frees what is there for those alone, else one that fails would be forgotten.
 */
function freeSql(compiled: Compiled, task: Task, id: string): string {
  const some =
    taskColumns(compiled, task).length === compiled.columns.length
      ? ''
      : `and q.columns <@ array[${(task.columns ?? []).map(quoteLiteral).join(', ')}]::text[]`
  const names = keyParts(compiled)
  const limit = limitToLocked(compiled.key, 't')
  const asWritten =
    task.kind === 'keys'
      ? `or q.key in (select e.key from pgfresh.task t, pg_catalog.jsonb_array_elements(t.keys) e(key) where ${isTask(task)})`
      : ''
  return `delete from pgfresh.quarantine q where q.materialization = ${Number(id)} and pg_catalog.current_setting('pgfresh.fence') = 'held' ${some}
    and not exists (select from pg_catalog.jsonb_array_elements(
      pg_catalog.current_setting('pgfresh.refused')::jsonb || pg_catalog.current_setting('pgfresh.missed')::jsonb) r(key) where r.key = q.key)
    and (q.key in (select ${keyJson(compiled.key, names)} from ${target(compiled)} t ${limit.join} where ${limit.where}) ${asWritten})`
}

/** Which rows of `t` a task is about. */
function candidates(compiled: Compiled, task: Task): KeyLimit {
  const { key } = compiled
  if (task.kind === 'keys') {
    const keys = keysFromJson(key, `(select t.keys from pgfresh.task t where ${isTask(task)})`)
    return limitToKeys(key, 't', keys)
  }
  const bound = (side: string, json: string | null) =>
    json === null
      ? []
      : [`row(${keyColumns(key, 't')}) ${side} ${keyRow(key, `${quoteLiteral(json)}::jsonb`)}`]
  return {
    join: '',
    where: ['true', ...bound('>', task.rangeFrom), ...bound('<=', task.rangeTo)].join(' and '),
  }
}

function keyParts(compiled: Compiled): string[] {
  return compiled.key.map((column) => `t.${quoteIdentifier(column.name)}`)
}

function target(compiled: Compiled): string {
  return quoteQualified(compiled.target.schema, compiled.target.name)
}
