/**
 * A loop's session, opened when it is needed and opened anew after it was lost.
 */
import { type DatabaseAddress, Session } from '../db/session.ts'

/** Holds at most one session. */
export class Connection {
  readonly #address: DatabaseAddress
  readonly #duty: string
  #session: Session | undefined

  /** `duty` shows in application_name. */
  constructor(address: DatabaseAddress, duty: string) {
    this.#address = address
    this.#duty = duty
  }

  /**
   * Gives the session to `work`, opened anew if it was lost; after an error it is rolled back, so that it can be used again.
   * Throws what `work` throws, or an OperatorError when the database can't be reached.
   */
  async use<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    if (this.#session === undefined || this.#session.lost) {
      await this.close()
      this.#session = await Session.open(this.#address, this.#duty)
    }
    const session = this.#session
    try {
      return await work(session)
    } catch (error) {
      await session.rollback()
      throw error
    }
  }

  /** Cuts the session off in the middle of whatever it runs. */
  destroy(): void {
    this.#session?.destroy()
  }

  /** Closes the session, if there is one. */
  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.close()
  }
}
