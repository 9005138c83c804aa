/**
 * The version of this pgfresh, from its package.json: one level above src/ and dist/ alike.
 */
import { readFileSync } from 'node:fs'

/** `0.1.0`, as npm knows it. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { readonly version: string }
  return version
}
