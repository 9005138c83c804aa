/**
 * What `import … from 'kysely'` means in a definition file: kysely itself, with the `sql` that remembers its line.
 * Nothing inside src imports this file; module-hooks.ts resolves to it.
 */
export * from 'kysely'
export { sql } from './sql.ts'
