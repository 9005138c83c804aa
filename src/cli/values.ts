/**
 * From the text of a flag or a variable to the value a command reads. Pure.
 * Every refusal names the flag or variable, what was found, and what is allowed.
 */
import type { Takes } from '../config.ts'
import { OperatorError } from '../kernel/errors.ts'

const yes = new Set(['true', 'on', 'yes', '1'])
const no = new Set(['false', 'off', 'no', '0'])

/**
 * Reads `text`, which `origin` (`--workers`, `PGFRESH_WORKERS`) was set to. An OperatorError if it isn't what the option takes.
 */
export function readValue(
  takes: Takes,
  text: string,
  origin: string,
): string | number | boolean | readonly string[] {
  const refuse = (allowed: string) =>
    new OperatorError({ message: `${origin} takes ${allowed}, not "${text}"` })
  switch (takes.kind) {
    case 'flag': {
      const word = text.trim().toLowerCase()
      if (yes.has(word)) return true
      if (no.has(word)) return false
      throw refuse('true or false')
    }
    case 'integer': {
      const value = Number(text)
      if (/^\d+$/.test(text.trim()) && value >= takes.min && value <= takes.max) return value
      throw refuse(`a whole number from ${takes.min} to ${takes.max}`)
    }
    case 'choice':
      if (takes.of.includes(text)) return text
      throw refuse(`one of ${takes.of.join(', ')}`)
    case 'names': {
      const names = text.split(',').map((name) => name.trim())
      if (names.every((name) => name !== '')) return names
      throw refuse(takes.what)
    }
    case 'text':
      if (text.trim() !== '') return text
      throw refuse(takes.what)
    default:
      return takes satisfies never
  }
}
