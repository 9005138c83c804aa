/**
 * What people gave a view besides its query: grants on it and on its columns, comments, statistics targets. As statements for the one
 * that takes its place.
 */

/**
 * One query ($1: the old view's oid, $2: the new one's quoted name) whose rows are statements (`sql`), in order. Default privileges
 * may have granted something on the new one, so its own grants are taken back first. Columns are told by name.
 */
export const carryOverSql = `
  with old as (select * from pg_catalog.pg_class c where c.oid = $1::oid), new as (select * from pg_catalog.pg_class c where c.oid = $2::regclass),
  role (oid, name) as (select 0::oid, 'public' union all select r.oid, pg_catalog.quote_ident(r.rolname) from pg_catalog.pg_roles r),
  column_of as (
    select o.attname as name, o.attacl as acl, o.attstattarget as target, pg_catalog.col_description(o.attrelid, o.attnum) as comment
    from old, new, pg_catalog.pg_attribute o, pg_catalog.pg_attribute n
    where o.attrelid = old.oid and n.attrelid = new.oid and o.attname = n.attname and o.attnum > 0 and n.attnum > 0 and not o.attisdropped),
  statement (step, sql) as (
    select 1, pg_catalog.format('revoke all on %s from %s', $2::text, role.name)
    from new, pg_catalog.aclexplode(new.relacl) a join role on role.oid = a.grantee where a.grantee <> new.relowner
    union
    select 2, pg_catalog.format('grant %s on %s to %s%s', a.privilege_type, $2::text, role.name, case when a.is_grantable then ' with grant option' else '' end)
    from old, pg_catalog.aclexplode(old.relacl) a join role on role.oid = a.grantee where a.grantee <> old.relowner
    union
    select 2, pg_catalog.format('grant %s (%I) on %s to %s%s', a.privilege_type, c.name, $2::text, role.name, case when a.is_grantable then ' with grant option' else '' end)
    from column_of c, pg_catalog.aclexplode(c.acl) a join role on role.oid = a.grantee
    union all
    select 3, pg_catalog.format('comment on materialized view %s is %L', $2::text, pg_catalog.obj_description(old.oid, 'pg_class'))
    from old where pg_catalog.obj_description(old.oid, 'pg_class') is not null
    union all
    select 3, pg_catalog.format('comment on column %s.%I is %L', $2::text, c.name, c.comment) from column_of c where c.comment is not null
    union all
    select 3, pg_catalog.format('alter materialized view %s alter column %I set statistics %s', $2::text, c.name, c.target)
    from column_of c where c.target is not null and c.target >= 0)
  select sql from statement order by step, sql`
