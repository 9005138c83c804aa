/**
 * The forms of --keys.
 */
import { expect, test } from 'vitest'
import { checkKeys } from '../../../src/cli/keys.ts'
import { describeOperatorError, OperatorError } from '../../../src/kernel/errors.ts'

const single = [{ name: 'id', type: 'bigint', json: true }]
const composite = [
  { name: 'starts_at', type: 'timestamp with time zone', json: true },
  { name: 'Code', type: 'text', json: true },
]

function refusal(keys: string, key = single): string {
  try {
    checkKeys(keys, key)
  } catch (error) {
    if (error instanceof OperatorError) return describeOperatorError(error)
    throw error
  }
  return 'fine'
}

test.each(['[[42], [43]]', '[42, "43"]', '[{"id": 42}]', '[9007199254740993]'])(
  '%s names keys of one column',
  (keys) => {
    expect(refusal(keys)).toBe('fine')
  },
)

test('keys of several columns are arrays in the order of the key, or objects in any', () => {
  expect(refusal('[["2026-01-31 20:15:00", "A"]]', composite)).toBe('fine')
  expect(refusal('[{"Code": "A", "starts_at": "2026-01-31 20:15:00"}]', composite)).toBe('fine')
})

const mistakes: readonly (readonly [what: string, keys: string, key: typeof single])[] = [
  ['not JSON', '[42', single],
  ['not an array', '42', single],
  ['no keys', '[]', single],
  ['too many values', '[[1, 2]]', single],
  ['NULL in a key', '[[null]]', single],
  ['a missing column', '[{"Code": "A"}]', composite],
  ['a surplus column', '[{"id": 1, "name": "x"}]', single],
  ['a bare value for a key of two columns', '["A"]', composite],
]

test('every mistake is refused with the form to write', async () => {
  const refused = mistakes.map(([what, keys, key]) => `# ${what}\n--keys '${keys}'\n${refusal(keys, key)}\n`)

  await expect(refused.join('\n')).toMatchFileSnapshot('expected/refused-keys.txt')
})
