/**
 * The public door: what a definition file imports from 'pgfresh'.
 *
 * Nothing inside src imports this file; the loader resolves 'pgfresh' to it for every definition file, wherever that lies.
 */
export type {
  ColumnsOptions,
  CommonOptions,
  DependsOn,
  ExpressionsOptions,
  QueryOptions,
  SqlSource,
} from './definition/columns-options.ts'
export type { AnyDatabase } from './definition/compile.ts'
export type { ColumnsDeclaration, ViewDeclaration } from './definition/declaration.ts'
export { defineColumns } from './definition/define-columns.ts'
export { defineView } from './definition/define-view.ts'
export type { LiteralValue } from './definition/literal.ts'
export { sql } from './definition/sql.ts'
export type { ViewOptions, ViewRefresh } from './definition/view-options.ts'
