/**
 * How every transaction of ours begins.
 *
 * READ COMMITTED whatever the role's default [A2]; settings are local to the transaction, so that pgbouncer can hand the
 * server to others in between; text forms are fixed, because keys travel as text; timeouts and connection checks bound
 * how long anything of ours can be in a writer's way when this process or its machine is gone.
 */
import { quoteLiteral } from './identifier.ts'

/** Settings of all our transactions. */
const base = {
  // A policy would make a sum smaller without a word: better an error [A14].
  row_security: 'off',
  jit: 'off',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  client_connection_check_interval: '500ms',
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '20s',
  idle_in_transaction_session_timeout: '5s',
  lock_timeout: '1s',
  statement_timeout: '60s',
} as const

/** `begin` alone, with its semicolon: what follows sets `baseSettings`. */
export const beginBare = 'begin isolation level read committed read write;'

/** `begin` and the settings, as SQL that ends in a semicolon. What is given overrides or adds. */
export function begin(settings: Readonly<Record<string, string>> = {}): string {
  return `${beginBare} ${setLocal({ ...base, ...settings })};`
}

/** Settings of all our transactions as a literal, for functions of ours that begin one. */
export const baseSettings = settingsLiteral(base)

/** Settings as a jsonb literal. */
export function settingsLiteral(settings: Readonly<Record<string, string>>): string {
  return `${quoteLiteral(JSON.stringify(settings))}::jsonb`
}

/** One statement (no semicolon) that sets these for the rest of the transaction. */
export function setLocal(settings: Readonly<Record<string, string>>): string {
  const calls = Object.entries(settings).map(
    ([name, value]) => `pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, true)`,
  )
  return `select ${calls.join(', ')}`
}

/** A comment that names what a statement is for. It goes first: pg_stat_activity shows the first 1,024 bytes of a message. */
export function tag(name: string): string {
  return `/* pgfresh: ${name.replaceAll('*/', '* /').replaceAll('/*', '/ *')} */`
}
