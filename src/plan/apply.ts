/**
 * Executes a plan, step by step, each in a short transaction under a short lock_timeout, retried until it gets through.
 *
 * Whatever happens in between (a kill, a lost connection, another apply) the database is in a state from which a new plan leads
 * on: so after a conflict it is planned again, and goes on as long as what remains was part of the plan that people agreed to.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { migrateSchema } from '../db/migrate.ts'
import { type DatabaseAddress, Session } from '../db/session.ts'
import { sqlstate, sqlstateOf } from '../db/sqlstate.ts'
import { OperatorError } from '../kernel/errors.ts'
import { lockHolders } from './lock-holders.ts'
import { makePlan, type Plan, type PlanOptions } from './plan.ts'
import type { Step } from './steps.ts'
import { epochMoved, stepTransaction } from './transaction.ts'

/** What apply works with. */
export interface ApplyArguments extends PlanOptions {
  readonly address: DatabaseAddress
  /** Shows the plan; false: nothing is to be done. */
  readonly approve: (plan: Plan) => Promise<boolean>
  /** Hears of each step that was done or has to wait: one line, without its end. */
  readonly progress: (line: string) => void
  /** How long a step is retried in all before it is given up, in milliseconds. Default 60,000. */
  readonly patienceMs?: number
}

/** How it ended. */
export interface Applied {
  readonly plan: Plan
  readonly approved: boolean
  readonly stepsDone: number
}

/** Plans, asks, executes. Throws OperatorError or OperatorErrors; can be called again after any failure. */
export async function apply(args: ApplyArguments): Promise<Applied> {
  const run = new ApplyRun(args)
  try {
    return await run.execute()
  } finally {
    await run.close()
  }
}

/** Plans in a row that may bring nothing to its end. */
const mostConflicts = 20

class ApplyRun {
  readonly #args: ApplyArguments
  #session: Session | null = null
  #done = 0

  constructor(args: ApplyArguments) {
    this.#args = args
  }

  async execute(): Promise<Applied> {
    const plan = await this.#plan()
    if (plan.steps.length === 0) return { plan, approved: true, stepsDone: 0 }
    if (!(await this.#args.approve(plan))) return { plan, approved: false, stepsDone: 0 }
    const approved = new Set(plan.steps.map((step) => step.id))
    let current = plan
    let conflicts = 0
    while (current.steps.length > 0) {
      const surprise = current.steps.find((step) => !approved.has(step.id))
      if (surprise !== undefined) throw appliedMeanwhile(`${surprise.sign} ${surprise.description}`)
      const before = this.#done
      const conflict = await this.#steps(current)
      conflicts = this.#done > before ? 0 : conflicts + 1
      if (conflict !== null && conflicts > mostConflicts) throw conflict
      if (conflict !== null) await sleep(jittered(50 * Math.min(conflicts + 1, 10)))
      current = await this.#plan()
    }
    return { plan, approved: true, stepsDone: this.#done }
  }

  async close(): Promise<void> {
    await this.#session?.close()
  }

  async #plan(): Promise<Plan> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await makePlan(await this.#open(), this.#args)
      } catch (error) {
        // Other applies create the schema at the same moment, or the connection is gone.
        if (error instanceof OperatorError || !(this.#session?.lost || isConflict(error)) || attempt === 5)
          throw error
        await sleep(jittered(200 * attempt))
      }
    }
  }

  /** Executes steps up to the first one after which the rest has to be planned again. Returns the conflict that stopped it, if one did. */
  async #steps(plan: Plan): Promise<unknown> {
    let { epoch } = plan
    for (const [at, step] of plan.steps.entries()) {
      const started = performance.now()
      try {
        if (step.kind === 'migrate') await migrateSchema(this.#args.address)
        else await this.#step(step, epoch)
      } catch (error) {
        if (!isConflict(error) && !this.#session?.lost) throw error
        return failed(step, error)
      }
      this.#done += 1
      this.#args.progress(`${step.sign} ${step.description}  (${Math.round(performance.now() - started)} ms)`)
      if (step.countsEpoch && epoch !== null) epoch = String(BigInt(epoch) + 1n)
      // What was planned around columns, views or a schema that didn't exist yet is planned again with them.
      const isLast = plan.steps[at + 1]?.kind !== step.kind
      if (step.kind === 'migrate' || (isLast && (step.kind === 'add-columns' || step.kind === 'create-view')))
        return null
    }
    return null
  }

  async #step(step: Step, epoch: string | null): Promise<void> {
    if (epoch === null) throw new RangeError('a step needs the schema')
    const session = await this.#open()
    const { patienceMs = 60_000, progress } = this.#args
    const deadline = Date.now() + patienceMs
    for (let attempt = 1; ; attempt++) {
      try {
        await session.run(stepTransaction(step, epoch))
        return
      } catch (error) {
        await session.rollback()
        if (!isBusy(error)) {
          const heals = session.lost || (isConflict(error) && !hasDuplicates(step, error))
          throw heals ? error : failed(step, error)
        }
        const pauseMs = jittered(Math.min(100 * 2 ** (attempt - 1), 3_000))
        if (Date.now() + pauseMs > deadline) throw await stillLocked(session, step, patienceMs, error)
        if (attempt === 1 && step.lock !== null) progress(`  waiting for a lock on ${step.lock.on} …`)
        await sleep(pauseMs)
      }
    }
  }

  async #open(): Promise<Session> {
    if (this.#session === null || this.#session.lost)
      this.#session = await Session.open(this.#args.address, 'apply')
    return this.#session
  }
}

/** Half to all of it, so that applies that started together don't meet again and again. */
function jittered(milliseconds: number): number {
  return milliseconds * (0.5 + Math.random() / 2)
}

/** A lock could not be had, or somebody was faster: the very same step may work in a moment. */
function isBusy(error: unknown): boolean {
  const state = sqlstateOf(error)
  return (
    state === sqlstate.lockNotAvailable ||
    state === sqlstate.deadlockDetected ||
    state === sqlstate.serializationFailure
  )
}

/** Another apply did something that this plan didn't know of. */
function isConflict(error: unknown): boolean {
  const state = sqlstateOf(error)
  return (
    state === epochMoved ||
    state === sqlstate.uniqueViolation ||
    state === sqlstate.duplicateColumn ||
    state === sqlstate.duplicateTable ||
    state === sqlstate.duplicateObject ||
    state === sqlstate.undefinedTable
  )
}

/** The view has rows with one key: nothing that planning again would mend. */
function hasDuplicates(step: Step, error: unknown): boolean {
  return step.kind === 'index-view' && sqlstateOf(error) === sqlstate.uniqueViolation
}

function appliedMeanwhile(what: string): OperatorError {
  return new OperatorError({
    message: `somebody else applied meanwhile, and now there is more to do than what was agreed to: ${what}`,
    hint: 'Run plan again, then apply. What was done so far stays.',
  })
}

function failed(step: Step, error: unknown): unknown {
  if (sqlstateOf(error) === null || !(error instanceof Error)) return error
  const more = [Reflect.get(error, 'detail'), Reflect.get(error, 'hint')].filter(
    (text) => typeof text === 'string' && text !== '',
  )
  return new OperatorError({
    message: `${step.sign} ${step.description}: ${error.message}`,
    hint: [
      ...more,
      'Nothing of this step was done, and what came before it stays: mend this and run apply again.',
    ].join('\n'),
    cause: error,
  })
}

async function stillLocked(
  session: Session,
  step: Step,
  patienceMs: number,
  cause: unknown,
): Promise<OperatorError> {
  const holders = await lockHolders(session, step)
  const what =
    step.lock === null ? (step.waitsFor?.what ?? 'a batch to end') : `${step.lock.mode} on ${step.lock.on}`
  return new OperatorError({
    message: `${step.sign} ${step.description}: waited ${Math.round(patienceMs / 1000)} s for ${what} in vain`,
    hint: [
      ...(holders.length === 0 ? [] : ['Held by:', ...holders.map((holder) => `  ${holder}`)]),
      'Nothing of this step was done, and what came before it stays: run apply again when that is over.',
    ].join('\n'),
    cause,
  })
}
