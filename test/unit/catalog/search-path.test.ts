import { expect, test } from 'vitest'
import { settledSearchPath } from '../../../src/catalog/search-path.ts'

test.each([
  ['"$user", public', 'app', ['public'], 'public'],
  ['"$user", public', 'app', ['public', 'app'], 'app, public'],
  ['$user,public', 'Odd Role', ['Odd Role'], '"Odd Role", public'],
  ['"$user", public', 'pgfresh', ['public', 'pgfresh'], 'public'],
  ['sales, pgfresh, "Some, where", public', 'app', [], 'sales, "Some, where", public'],
  ['"$user"', 'pgfresh', ['pgfresh'], '""'],
  ['', 'app', ['public'], '""'],
  ['"a""b", public', 'app', [], '"a""b", public'],
])('%s for role %s where there are %j is %s', (setting, role, schemas, settled) => {
  expect(settledSearchPath(setting, role, (schema) => schemas.includes(schema))).toBe(settled)
})
