/**
 * The trigger functions of a capture, as text. They run in people's transactions, so each line of them is paid for by
 * writers: everything that can be constant is.
 *
 * SECURITY DEFINER, so that a writer needs no right on our schema; every name qualified; no EXCEPTION block (a
 * subtransaction a row); nothing in them that can raise: integers are logged as bigint, everything else as jsonb, and
 * before a column is touched the body looks whether it still has the name it had. That look costs nothing at run time
 * (migrations/0002, column_is); after a RENAME the writer goes on and everything counts as changed.
 *
 * They run as our owner on rows whose types belong to whoever owns the table, so nothing of his may be called: no operator, and no
 * cast but of the server's own types. Values of others become text by their type's output function (format), which only a superuser can make.
 *
 * A changed capture has another id, so its functions are others too, and come into force by CREATE OR REPLACE TRIGGER.
 */
import { quoteIdentifier, quoteLiteral } from '../db/identifier.ts'
import type { CaptureShape, Interest, LoggedColumn } from '../materialization/compiled.ts'
import { allBits, interestBit } from './shape.ts'

/** Events with a function of their own; `inserted`: all rows of one INSERT statement at once. */
export const loggedEvents = ['insert', 'inserted', 'update', 'delete'] as const
export type LoggedEvent = (typeof loggedEvents)[number]

/** The name of a capture's function for an event, qualified and not quoted. */
export function logFunction(captureId: string, event: LoggedEvent): string {
  return `pgfresh.capture_${Number(captureId)}_${event}`
}

/** What the functions of a capture are made from. */
export interface LogFunctions {
  readonly captureId: string
  readonly shape: CaptureShape
  /** The source's oid and the numbers of its columns, by which names are checked. */
  readonly oid: string
  readonly numbers: ReadonlyMap<string, number>
  /** Columns whose types may have casts that somebody made. */
  readonly castable: ReadonlySet<string>
  /** Row triggers of a partitioned table are copied to new partitions with the rights of whoever makes these. */
  readonly partitioned: boolean
  /** Virtual generated columns read as NULL in a body: if one is read, the trigger's WHEN has decided already, and all interests are concerned. */
  readonly decidedByWhen: boolean
}

/** Creates the functions of a capture for these events. */
export function logFunctionsDdl(functions: LogFunctions, events: readonly LoggedEvent[]): string[] {
  return events.map((event) => {
    const { shape, captureId } = functions
    const work = event === 'update' ? updateBody(functions) : append(functions, event, String(allBits))
    const body = `${event === 'update' && shape.interests.length > 1 ? 'declare\n  mask pg_catalog.int4 := 0;\n' : ''}begin
${functions.partitioned ? onlyOnParts(functions, event) : ''}  if ${namesHold(functions)} then
${work}
  else
    perform pgfresh.log_key(${Number(captureId)}, ${allBits}::pg_catalog.int2, 'A', null, null);
  end if;
  return null;
end `
    // People's column names are in it, and one of them may hold the quotes.
    const quoted = body.includes('$$') ? quoteLiteral(body) : `$$\n${body}$$`
    return `create or replace function ${logFunction(captureId, event)}() returns trigger
language plpgsql security definer ${fixedSettings(shape.logs)} as ${quoted}`
  })
}

/**
 * EXECUTE is checked when a trigger is made, never when it fires, so writers need no right. Nobody else may make triggers of these
 * functions; but for partitioned tables: whoever makes or attaches a partition makes its triggers, and must not fail for
 * a right that the last apply didn't know of (the table may have another owner since). There the body looks where it is (onlyOnParts).
 */
export function logFunctionsRights(
  captureId: string,
  partitioned: boolean,
  events: readonly LoggedEvent[],
): string[] {
  return events.map((event) => {
    const on = `execute on function ${logFunction(captureId, event)}()`
    return partitioned ? `grant ${on} to public` : `revoke ${on} from public`
  })
}

/** Drops the functions of a capture that no trigger calls any more. */
export function dropLogFunctionsDdl(captureId: string): string[] {
  return loggedEvents.map((event) => `drop function if exists ${logFunction(captureId, event)}()`)
}

/** True when a column that this interest reads has another image [A5]. */
export function changed(interest: Interest): string {
  const image = (row: Image) =>
    `row(${interest.reads.map((name) => `${row}.${quoteIdentifier(name)}`).join(', ')})`
  const differs = `pg_catalog.record_image_ne(${image('old')}, ${image('new')})`
  // Once it was set in a session, a transaction-local setting reads as '' outside, not as null.
  return interest.unlessOurs
    ? `(${differs} and coalesce(pg_catalog.current_setting('pgfresh.batch', true), '') operator(pg_catalog.<>) 'on')`
    : differs
}

/** True if what is logged is nothing or a single integer, which goes into old_key and new_key. */
export function isKey(logs: readonly LoggedColumn[]): boolean {
  return logs.length === 0 || (logs.length === 1 && logs[0]?.integer === true)
}

function updateBody(functions: LogFunctions): string {
  const { interests } = functions.shape
  if (functions.decidedByWhen) return append(functions, 'update', String(allBits))
  const [single] = interests
  if (single !== undefined && interests.length === 1) {
    return `    if ${changed(single)} then\n${append(functions, 'update', String(interestBit(0)))}\n    end if;`
  }
  const marks = interests.map(
    (interest, at) =>
      `    if ${changed(interest)} then\n      mask := mask operator(pg_catalog.|) ${interestBit(at)};\n    end if;`,
  )
  return `${marks.join('\n')}\n    if mask operator(pg_catalog.<>) 0 then\n${append(functions, 'update', 'mask')}\n    end if;`
}

/** Appends to the current slot and rings for a sleeping daemon (migrations/0002). */
function append(functions: LogFunctions, event: LoggedEvent, mask: string): string {
  const { captureId, shape } = functions
  const { logs } = shape
  const field = isKey(logs) ? 'key' : 'row'
  const values = `pg_catalog.pg_current_xact_id(), ${Number(captureId)}, ${mask}::pg_catalog.int2, '${event.slice(0, 1).toUpperCase()}', ${imagesOf(event, functions)}`
  const entry = `(xid, capture, mask, op, old_${field}, new_${field}) ${event === 'inserted' ? `select ${values} from new_rows row_` : `values (${values})`}`
  const slots = [0, 1, 2, 3].map(
    (slot) =>
      `      ${slot === 0 ? 'if' : 'elsif'} pgfresh.log_slot() operator(pg_catalog.=) ${slot} then\n        insert into pgfresh.change_log_${slot} ${entry};`,
  )
  return `${slots.join('\n')}
      end if;
      if ${event === 'inserted' ? 'found and ' : ''}not pg_catalog.pg_try_advisory_xact_lock_shared(7331001, 0) then
        perform pgfresh.ring();
      end if;`
}

/**
 * Every column that the capture is about still has the name that it is known by. Also those that this body doesn't touch: with
 * a column that was dropped by CASCADE went the trigger that keeps the types of the others as they are (triggers.ts).
 */
function namesHold({ oid, numbers, shape }: LogFunctions): string {
  const names = new Set([
    ...shape.logs.map((column) => column.name),
    ...shape.interests.flatMap((interest) => interest.reads),
  ])
  // The oid must be a constant of type regclass: that is what makes the server plan the check again when the table changes.
  return [...names]
    .map(
      (name) =>
        `pgfresh.column_is('${Number(oid)}'::pg_catalog.regclass, ${Number(numbers.get(name))}, ${quoteLiteral(name)})`,
    )
    .join(' and ')
}

/**
 * Leaves on a table that is no part of the source: some stranger made a trigger of this function, and his columns may have any type.
 * The row's own type tells where we are. It is known when the body is planned, once for each trigger, so asking costs nothing at
 * run time (migrations/0002, is_part).
 */
function onlyOnParts({ oid }: LogFunctions, event: LoggedEvent): string {
  const row = event === 'delete' ? 'old' : 'new'
  return `  if not pgfresh.is_part(case when false then ${row} end, '${Number(oid)}'::pg_catalog.regclass) then
    return null;
  end if;
`
}

/**
 * Text forms that depend on the session are made under fixed settings [A13]; only such captures pay for it. Others have no
 * SET clause at all, not even of search_path: entering one costs 3 to 4 % of a small transaction. So every name in the
 * bodies is qualified, types and operators too, and a writer's search_path decides nothing.
 */
function fixedSettings(logs: readonly LoggedColumn[]): string {
  return logs.every((column) => column.json)
    ? ''
    : `set search_path = pg_catalog, pg_temp set DateStyle = 'ISO, MDY' set IntervalStyle = 'postgres' set TimeZone = 'UTC' set bytea_output = 'hex' set extra_float_digits = 1`
}

type Image = 'old' | 'new'

/** The values of an entry's old and new image. */
function imagesOf(event: LoggedEvent, { shape, castable }: LogFunctions): string {
  const { logs } = shape
  const present: readonly Image[] =
    event === 'update' ? ['old', 'new'] : event === 'delete' ? ['old'] : ['new']
  const images = (['old', 'new'] as const).map((image) => {
    if (!present.includes(image) || logs.length === 0) return 'null'
    const values = logs.map((column) => {
      const value = `${rowOf(event, image)}.${quoteIdentifier(column.name)}`
      if (castable.has(column.name)) return textOf(value)
      return column.json ? value : `${value}::pg_catalog.text`
    })
    return isKey(logs) ? `${values[0]}::pg_catalog.int8` : jsonArray(values)
  })
  return images.join(', ')
}

/** A value by its type's output function, whatever casts there are. (IS NULL would be true for a composite of nulls.) */
function textOf(value: string): string {
  return `case when ${value} is distinct from null then pg_catalog.format('%s', ${value}) end`
}

/** The most arguments that a function may have. */
const mostArguments = 100

function jsonArray(values: readonly string[]): string {
  const parts = values.flatMap((_, at) =>
    at % mostArguments === 0
      ? `pg_catalog.jsonb_build_array(${values.slice(at, at + mostArguments).join(', ')})`
      : [],
  )
  return parts.join(' operator(pg_catalog.||) ')
}

/** What a body calls the row: the transition table's alias must differ from plpgsql's own NEW. */
function rowOf(event: LoggedEvent, image: Image): string {
  return event === 'inserted' ? 'row_' : image
}
