/**
 * The report, read and put together. Called by the commands.
 */
import type { Session } from '../db/session.ts'
import { assemble } from './assemble.ts'
import { readFacts } from './facts.ts'
import type { Report } from './report.ts'

/** Reports on one project, or on all (null). The session needs to read pgfresh's schema. */
export async function report(session: Session, project: string | null): Promise<Report> {
  return assemble(await readFacts(session, project))
}
