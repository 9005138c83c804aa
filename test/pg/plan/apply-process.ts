/**
 * Applies the cinema's definitions to the database in argv[2], to be killed in the middle. Says `begin` when it begins.
 */
import { cinemaDefinitions } from './cinema.ts'
import { applyTo } from './planning.ts'

process.stdout.write('begin\n')
await applyTo(process.argv[2] ?? '', cinemaDefinitions)
process.stdout.write('done\n')
