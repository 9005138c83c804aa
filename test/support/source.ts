/**
 * Where the servers that tests share come from: one that the environment names, containers, or the binaries that npm installed.
 *
 * TEST_DATABASE_URL wins. Then containers, where a Docker engine answers and has every image that is needed, so that a machine
 * with Docker and without a registry runs its tests as if there were no Docker. PGFRESH_TEST_CONTAINERS=1 insists on containers, and
 * lets images be pulled; 0 does without. A test that crashes or configures a server always starts an embedded one (postgres.ts).
 * Called by servers.ts, once per run.
 */
import { createRequire } from 'node:module'
import type { Major } from './binaries.ts'
import { findDockerEngine } from './docker.ts'

/** A choice, with its reason in words for the line at the start of the run. */
export type Source =
  | { readonly kind: 'given'; readonly url: string; readonly why: string }
  | { readonly kind: 'containers'; readonly why: string }
  | { readonly kind: 'embedded'; readonly why: string }

/** The image of a major's server. */
export function postgresImage(major: Major): string {
  return `postgres:${major}`
}

/** Decides. Throws only if PGFRESH_TEST_CONTAINERS is something else than yes or no. */
export async function chooseSource(majors: readonly Major[], env: NodeJS.ProcessEnv): Promise<Source> {
  const url = env.TEST_DATABASE_URL
  if (url !== undefined && url !== '') return { kind: 'given', url, why: 'TEST_DATABASE_URL' }
  const { can, why } = await canRunContainers(majors.map(postgresImage), env)
  return { kind: can ? 'containers' : 'embedded', why }
}

/**
 * Whether tests may start containers of these images, and why (not). Throws only if PGFRESH_TEST_CONTAINERS is something else than yes
 * or no.
 */
export async function canRunContainers(
  images: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly can: boolean; readonly why: string }> {
  const asked = env.PGFRESH_TEST_CONTAINERS ?? ''
  if (asked === '1' || asked === '0') return { can: asked === '1', why: `PGFRESH_TEST_CONTAINERS=${asked}` }
  if (asked !== '') throw new Error(`PGFRESH_TEST_CONTAINERS is 1 or 0, not "${asked}".`)
  const engine = await findDockerEngine(env)
  if (engine === undefined) return { can: false, why: 'no Docker engine answers' }
  const missing: string[] = []
  for (const image of images) if (!(await engine.hasImage(image))) missing.push(image)
  // Looked for last: its name costs the time to load the library.
  if (missing.length === 0 && env.TESTCONTAINERS_RYUK_DISABLED !== 'true') {
    if (!(await engine.hasImage(reaperImage()))) missing.push(reaperImage())
  }
  if (missing.length === 0) return { can: true, why: 'a Docker engine answers and has the images' }
  const why = `the Docker engine has no ${missing.join(', ')}; PGFRESH_TEST_CONTAINERS=1 pulls`
  return { can: false, why }
}

// testcontainers starts this one too, so that containers go when we are killed. It keeps the name to itself, and changes it with versions.
function reaperImage(): string {
  const require = createRequire(import.meta.url)
  const { getReaperImage }: { getReaperImage: () => string } = require('testcontainers/build/reaper/reaper')
  return getReaperImage()
}
