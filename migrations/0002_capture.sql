-- 0002: what writers run, and what people ask for.
--
-- Locks taken: none on people's tables. Breaking: no.
--
-- apply makes trigger functions for each capture (src/capture/log-functions.ts); what they share is here. They run as
-- their owner with every name qualified: a writer needs no right on this schema. Nothing in them can raise.

-- Does a column still have this name? With constant arguments the answer is folded into the caller's plan, and a constant of
-- type regclass there makes the server plan again whenever that table changes: so asking costs nothing at run time, and a
-- RENAME can't break a writer. (Reads the server's caches, which are right under old snapshots too.)
create function pgfresh.column_is(relation regclass, number integer, name text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return (pg_identify_object_as_address(1259, relation, number)).object_names[3] is not distinct from name;
end $$;

-- Is the table whose rows have this type a part of a partitioned table? Asked the same way, with a row that is constantly null; an answer of
-- the server's caches too, since a row may be written under a snapshot that is older than its partition. By name, because
-- nothing else leads from the type to its table there; a schema that is renamed just then has its new name at the second try.
create function pgfresh.is_part(one anyelement, root regclass) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return root in (select pg_partition_ancestors(coalesce(to_regclass(pg_typeof(one)::text), to_regclass(pg_typeof(one)::text))));
end $$;

-- Rings for a sleeping daemon: while it sleeps its listener holds the bell's lock (7331001, 0), so a writer's try to share it
-- fails. A try that succeeds is kept to the transaction's end: a daemon that gets the lock knows that nobody is open who didn't ring.
-- A transaction that NOTIFYed can't be PREPAREd, and a full notification queue fails the commit: no bell in either case.
create function pgfresh.ring() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if current_setting('max_prepared_transactions') = '0' and pg_notification_queue_usage() < 0.5 then
    perform pg_notify('pgfresh_bell', '');
  end if;
end $$;

-- Logs an entry that has at most an integer: what TRUNCATE and a release say of a source.
create function pgfresh.log_key(capture integer, mask smallint, op "char", old_key bigint, new_key bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  slot constant integer := pgfresh.log_slot();
begin
  if slot = 0 then
    insert into pgfresh.change_log_0 (xid, capture, mask, op, old_key, new_key) values (pg_current_xact_id(), capture, mask, op, old_key, new_key);
  elsif slot = 1 then
    insert into pgfresh.change_log_1 (xid, capture, mask, op, old_key, new_key) values (pg_current_xact_id(), capture, mask, op, old_key, new_key);
  elsif slot = 2 then
    insert into pgfresh.change_log_2 (xid, capture, mask, op, old_key, new_key) values (pg_current_xact_id(), capture, mask, op, old_key, new_key);
  elsif slot = 3 then
    insert into pgfresh.change_log_3 (xid, capture, mask, op, old_key, new_key) values (pg_current_xact_id(), capture, mask, op, old_key, new_key);
  end if;
  if not pg_try_advisory_xact_lock_shared(7331001, 0) then
    perform pgfresh.ring();
  end if;
  return false;
end $$;

-- Logs an entry with jsonb images: requests.
create function pgfresh.log_row(capture integer, mask smallint, op "char", old_row jsonb, new_row jsonb) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  slot constant integer := pgfresh.log_slot();
begin
  if slot = 0 then
    insert into pgfresh.change_log_0 (xid, capture, mask, op, old_row, new_row) values (pg_current_xact_id(), capture, mask, op, old_row, new_row);
  elsif slot = 1 then
    insert into pgfresh.change_log_1 (xid, capture, mask, op, old_row, new_row) values (pg_current_xact_id(), capture, mask, op, old_row, new_row);
  elsif slot = 2 then
    insert into pgfresh.change_log_2 (xid, capture, mask, op, old_row, new_row) values (pg_current_xact_id(), capture, mask, op, old_row, new_row);
  elsif slot = 3 then
    insert into pgfresh.change_log_3 (xid, capture, mask, op, old_row, new_row) values (pg_current_xact_id(), capture, mask, op, old_row, new_row);
  end if;
  if not pg_try_advisory_xact_lock_shared(7331001, 0) then
    perform pgfresh.ring();
  end if;
  return false;
end $$;

-- For a trigger that never runs.
create function pgfresh.captured() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return null;
end $$;

-- TRUNCATE of a source (argument: the capture): everything that reads it is stale.
create function pgfresh.log_truncate() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pgfresh.log_key(tg_argv[0]::integer, 32767::smallint, 'T', null, null);
  return null;
end $$;

revoke execute on function pgfresh.log_key, pgfresh.log_row, pgfresh.turn_log, pgfresh.log_truncate, pgfresh.captured from public;

-- Takes our triggers off a table inside somebody's migration, and logs that everything of it may have changed. The next
-- `pgfresh apply` puts them back and computes again what was missed in between. Run by the table's owner.
create function pgfresh.release(source regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  relation regclass;
  name text;
begin
  for relation, name in
    with recursive below (oid) as (
      select source::oid union select i.inhrelid from below b join pg_inherits i on i.inhparent = b.oid)
    select t.tgrelid::regclass, t.tgname from below b
    join pg_trigger t on t.tgrelid = b.oid
    join pg_proc p on p.oid = t.tgfoid
    where t.tgparentid = 0 and p.pronamespace = 'pgfresh'::regnamespace and t.tgname like 'pgfresh\_%'
  loop
    execute format('drop trigger %I on %s', name, relation);
  end loop;
  perform pgfresh.log_release(source);
end $$;

-- A table's rows are those of all tables that it inherits from, and its triggers may be there for one of them.
create function pgfresh.log_release(source regclass) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  caller constant text := case when current_setting('role') in ('', 'none') then session_user::text else current_setting('role') end;
begin
  if not pg_has_role(caller, (select c.relowner from pg_class c where c.oid = source), 'USAGE') then
    raise exception 'role % does not own %', caller, source using errcode = 'insufficient_privilege';
  end if;
  perform pgfresh.log_key(c.id, 32767::smallint, 'A', null, null)
  from pgfresh.capture c
  where c.retired_at is null and c.source in (
    with recursive below (oid) as (
      select log_release.source::oid union select i.inhrelid from below b join pg_inherits i on i.inhparent = b.oid),
    above (oid) as (
      select log_release.source::oid union select i.inhparent from above a join pg_inherits i on i.inhrelid = a.oid)
    select b.oid from below b union select a.oid from above a);
end $$;

-- Stops a batch: a definition's query gave a key twice, so there is no one value to store.
create function pgfresh.duplicate_key(key text) returns boolean
language plpgsql as $$
begin
  raise exception 'the query returned more than one row for key %', key using errcode = 'cardinality_violation',
    hint = 'Group by the key, or choose one row per key.';
end $$;
