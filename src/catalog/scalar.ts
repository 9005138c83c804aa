/**
 * Which types survive a trip through jsonb exactly, whatever the session's settings are [A13]. Pure.
 * Domains count as what they are over. What isn't named here travels as text made under fixed settings.
 */

/** A row of pg_type. */
export interface TypeFacts {
  readonly name: string
  readonly schema: string
  /** pg_type.typtype: `b` base, `d` domain, `e` enum, … */
  readonly kind: string
  /** Oid of a domain's base type; 0 for none. */
  readonly base: string
}

const integers = new Set(['int2', 'int4', 'int8'])

const exactInJson = new Set([
  ...integers,
  ...['numeric', 'bool', 'text', 'varchar', 'bpchar', 'name', 'uuid', 'oid'],
  ...['date', 'timestamp', 'timestamptz', 'time', 'timetz', 'inet', 'cidr', 'macaddr'],
])

/** True for types that jsonb keeps exactly. */
export function isExactInJson(oid: string, types: ReadonlyMap<string, TypeFacts>): boolean {
  const type = baseType(oid, types)
  if (type === undefined) return false
  return (
    type.kind === 'e' ||
    type.name === 'citext' ||
    (type.schema === 'pg_catalog' && exactInJson.has(type.name))
  )
}

/** True if the type, or what a domain is over, is the server's own: nobody but a superuser can have made casts of it. */
export function isBuiltIn(oid: string, types: ReadonlyMap<string, TypeFacts>): boolean {
  return baseType(oid, types)?.schema === 'pg_catalog'
}

/** True for smallint, integer, bigint. */
export function isInteger(oid: string, types: ReadonlyMap<string, TypeFacts>): boolean {
  const type = baseType(oid, types)
  return type?.schema === 'pg_catalog' && integers.has(type.name)
}

function baseType(oid: string, types: ReadonlyMap<string, TypeFacts>): TypeFacts | undefined {
  const type = types.get(oid)
  return type?.kind === 'd' ? baseType(type.base, types) : type
}
