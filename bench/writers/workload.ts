/**
 * What an application does over and over, in a form that pgbench and our own driver both understand.
 */

/** One statement with random numbers in it. */
export interface Workload {
  /** A short name, for file names and messages. */
  readonly name: string
  /** Each variable is a whole number from 1 to its limit, drawn anew for every statement. */
  readonly variables: Readonly<Record<string, number>>
  /** `:name` stands for a variable. One statement, one transaction. */
  readonly sql: string
}

/** How long and with how many sessions. */
export interface Load {
  readonly clients: number
  readonly seconds: number
}
