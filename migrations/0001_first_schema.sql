-- The first schema: change log, queue, bookkeeping.
--
-- Locks taken: none on people's tables. Breaking: no (there is nothing before it).
-- Names are qualified everywhere, because the schema must not depend on anybody's search_path.

-- The one row whose lock makes a planner round the only one (design: no session locks), and that apply changes
-- when what is stored changes. It is updated by apply alone, so a held xmin horizon can't make it slow to read.
create table pgfresh.state (
  one               boolean primary key default true check (one),
  epoch             bigint not null default 1,
  -- Where the watermark is worth something. After a restore into another cluster, xids mean nothing [A12].
  system_identifier bigint not null,
  database_oid      oid not null,
  state_oid         oid not null
);
comment on table pgfresh.state is 'One row: its lock is the planner''s turn; epoch counts what apply stored.';

insert into pgfresh.state (system_identifier, database_oid, state_oid)
select s.system_identifier, d.oid, 'pgfresh.state'::regclass
from pg_control_system() s, pg_database d where d.datname = current_database();

-- The change log: a ring of four slots, insert-only, one index each. No sequence, no timestamp: what is new is told
-- by snapshot alone. A slot is emptied by TRUNCATE, so nothing here is ever dead and vacuum has nothing to do.
--   op: I U D one row of a source; T truncated; A everything of the source may have changed; R a request
--   old_key/new_key: the one integer column that is logged; old_row/new_row: a jsonb array of several or other columns.
create table pgfresh.change_log_0 (
  xid     xid8 not null,
  capture integer not null,
  mask    smallint not null,
  op      "char" not null,
  old_key bigint,
  new_key bigint,
  old_row jsonb,
  new_row jsonb
) with (autovacuum_enabled = off, toast.autovacuum_enabled = off);
create table pgfresh.change_log_1 (like pgfresh.change_log_0) with (autovacuum_enabled = off, toast.autovacuum_enabled = off);
create table pgfresh.change_log_2 (like pgfresh.change_log_0) with (autovacuum_enabled = off, toast.autovacuum_enabled = off);
create table pgfresh.change_log_3 (like pgfresh.change_log_0) with (autovacuum_enabled = off, toast.autovacuum_enabled = off);
create index change_log_0_xid on pgfresh.change_log_0 (xid);
create index change_log_1_xid on pgfresh.change_log_1 (xid);
create index change_log_2_xid on pgfresh.change_log_2 (xid);
create index change_log_3_xid on pgfresh.change_log_3 (xid);

-- Which slot writers append to. Inlined into the log functions' plans; turn_log() replaces it. A writer that still
-- sees the old answer does no harm: a slot is truncated only after its lock shows that all of it was consumed.
create function pgfresh.log_slot() returns integer language sql immutable parallel safe as 'select 0';

create function pgfresh.turn_log(slot integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if slot not between 0 and 3 then
    raise exception 'there is no slot % in the change log', slot;
  end if;
  execute pg_catalog.format(
    'create or replace function pgfresh.log_slot() returns integer language sql immutable parallel safe as %L',
    'select ' || slot);
end $$;

-- All four slots as the reader sees them.
create view pgfresh.change_log as
  select 0 as slot, * from pgfresh.change_log_0 union all select 1, * from pgfresh.change_log_1 union all
  select 2, * from pgfresh.change_log_2 union all select 3, * from pgfresh.change_log_3;

-- The xids that `upto` covers and `seen` does not, as half-open ranges: what came after, cut at what `upto` calls in
-- progress, and late committers. Two index conditions, never OR [B1]; an open bulk writer is not read again [B2].
create function pgfresh.unread(seen pg_snapshot, upto pg_snapshot) returns table (lo xid8, hi xid8)
language sql immutable parallel safe rows 2 as $$
  with edge as (
    select x::text::numeric as xid from pg_catalog.pg_snapshot_xip(upto) x where x >= pg_catalog.pg_snapshot_xmax(seen)
  )
  select xid::text::xid8, (xid::text::numeric + 1)::text::xid8
  from pg_catalog.pg_snapshot_xip(seen) xid
  where xid < pg_catalog.pg_snapshot_xmax(upto)
    and not exists (select from pg_catalog.pg_snapshot_xip(upto) open where open = xid)
  union all
  select after::text::xid8, before::text::xid8
  from (
    select pg_catalog.pg_snapshot_xmax(seen)::text::numeric as after,
           coalesce((select min(xid) from edge), pg_catalog.pg_snapshot_xmax(upto)::text::numeric) as before
    union all
    select xid + 1, coalesce(lead(xid) over (order by xid), pg_catalog.pg_snapshot_xmax(upto)::text::numeric) from edge
  ) cut
  where after < before
$$;

-- Up to which snapshot changes have become work. Append-only, read by `order by id desc limit 1`; two slots, so that it
-- can be emptied by TRUNCATE. task_floor[lane + 1]: no task of that lane has an id at or below it [C1].
create table pgfresh.watermark_0 (
  id         bigint primary key,
  snapshot   pg_snapshot not null,
  task_floor bigint[] not null,
  created_at timestamptz not null default now()
);
create table pgfresh.watermark_1 (like pgfresh.watermark_0 including all);
create view pgfresh.watermark as
  select * from pgfresh.watermark_0 union all select * from pgfresh.watermark_1;
insert into pgfresh.watermark_0 (id, snapshot, task_floor)
values (1, pg_current_snapshot(), array_fill(0::bigint, array[40]));

-- What apply stored: run executes this and never files.
create table pgfresh.materialization (
  id          integer generated always as identity primary key,
  project     text not null,
  kind        text not null check (kind in ('columns')),
  name        text not null,
  target      oid not null,
  stamp       text not null,
  fingerprint text not null,
  compiled    jsonb not null,
  applied_at  timestamptz not null default now(),
  -- The last failure of the definition as a whole (a dropped column, a revoked right), and when it is tried again.
  error       text,
  error_at    timestamptz,
  retry_at    timestamptz,
  -- Its work waits until somebody says resume; what changes meanwhile is kept as deferred work without a due time.
  paused_at   timestamptz,
  unique (target, stamp)
);

-- What the triggers of a source log. A row is never changed: another shape is another capture, because entries
-- written under the old one must still be read as they were written.
create table pgfresh.capture (
  id         integer generated always as identity primary key,
  source     oid not null,
  shape      jsonb not null,
  created_at timestamptz not null default now(),
  retired_at timestamptz
);
create unique index capture_active on pgfresh.capture (source) where retired_at is null;

-- What each captured table consisted of when somebody last looked: its partitions or inheritance children, at any depth. No trigger
-- fires when one is attached, detached or dropped, so daemons compare (pgfresh.notice_parts).
--   link: the transaction that made it a part, as pg_inherits has it; one that went and came back has another
create table pgfresh.part (
  source   oid not null,
  relation oid not null,
  parent   oid not null,
  link     bigint not null,
  primary key (source, relation, parent, link)
);

-- The ready queue: small, coalesced by key, bounded. Only a planner round inserts (ids commit in order, so the floor
-- is exact); a worker holds a task by its open transaction and deletes it in the transaction that did the work.
--   lane: kind of work times ten plus (9 - priority); kinds: 0 changes and asked-for keys, 1 bulk changes, 2 expiry, 3 backfill
--   kind: keys (keys: [[k1, …], …]), range (after range_from, up to range_to, in key order), expand (all entries of one xid)
--   columns: null means all of the definition; stamp_due: the stamp is written even when no value differs
--   origin: the id the work had first; it keeps it when it is put off or split
create sequence pgfresh.task_id;
create table pgfresh.task (
  id              bigint not null default nextval('pgfresh.task_id'),
  lane            smallint not null,
  origin          bigint not null,
  materialization integer,
  kind            text not null check (kind in ('keys', 'range', 'expand')),
  keys            jsonb,
  range_from      jsonb,
  range_to        jsonb,
  expand_xid      xid8,
  walk            bigint,
  columns         text[],
  stamp_due       boolean not null default false,
  misses          integer not null default 0,
  attempts        integer not null default 0,
  why             text not null,
  planned_at      timestamptz not null default now(),
  primary key (lane, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000000);

-- Work with a due time: keys that somebody held, halves of a failed batch, retries. A planner round moves what is due.
create table pgfresh.deferred (
  id              bigint primary key default nextval('pgfresh.task_id'),
  due_at          timestamptz not null,
  lane            smallint not null,
  origin          bigint not null,
  materialization integer,
  kind            text not null check (kind in ('keys', 'range', 'expand')),
  keys            jsonb,
  range_from      jsonb,
  range_to        jsonb,
  expand_xid      xid8,
  walk            bigint,
  columns         text[],
  stamp_due       boolean not null default false,
  misses          integer not null default 0,
  attempts        integer not null default 0,
  why             text not null,
  planned_at      timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
create index deferred_due on pgfresh.deferred (due_at);
-- Work of a paused target is deferred work that is due at 'infinity'; a round takes it back once nothing says that it is paused.
create index deferred_paused on pgfresh.deferred (materialization) where due_at = 'infinity';

-- A walk over all keys of a target, in key order: backfills, "all" changes, requests for a whole target. The cursor is
-- the last key that became a task, so a walk goes on where it was after any crash.
create table pgfresh.walk (
  id              bigint generated always as identity primary key,
  materialization integer not null,
  why             text not null,
  columns         text[],
  stamp_due       boolean not null default false,
  cursor          jsonb,
  rows_planned    bigint not null default 0,
  rows_estimated  bigint not null default 0,
  -- Asked for once more while under way: it starts over at its end.
  again           boolean not null default false,
  created_at      timestamptz not null default now(),
  planned_at      timestamptz,
  finished_at     timestamptz
);
create index walk_open on pgfresh.walk (materialization) where finished_at is null;

-- Where the search for expired rows is in each target: a paced walk by TID ranges, no index on people's stamps.
create table pgfresh.sweep (
  materialization integer primary key,
  relation        oid,
  block           bigint not null default 0
) with (fillfactor = 50);

-- Keys whose computation fails.
create table pgfresh.quarantine (
  materialization integer not null,
  key             jsonb not null,
  columns         text[],
  error           text not null,
  sqlstate        text,
  attempts        integer not null default 1,
  first_failed_at timestamptz not null default now(),
  last_failed_at  timestamptz not null default now(),
  retry_at        timestamptz not null,
  primary key (materialization, key)
);
create index quarantine_retry on pgfresh.quarantine (retry_at);

-- Who runs. caught_up_at: when this daemon last saw a log with nothing new in it.
create table pgfresh.daemon (
  id           text primary key,
  host         text not null,
  pid          integer not null,
  version      text not null,
  started_at   timestamptz not null default now(),
  beat_at      timestamptz not null default now(),
  caught_up_at timestamptz
) with (fillfactor = 50);

-- What ran, why, how long, on how many rows, with what error. Errors one by one; successes folded to a row per
-- materialization, daemon, cause and minute.
create table pgfresh.execution (
  id              bigint generated always as identity primary key,
  materialization integer not null,
  daemon          text not null,
  why             text not null,
  outcome         text not null check (outcome in ('done', 'failed')),
  started_at      timestamptz not null,
  ended_at        timestamptz not null,
  batches         integer not null default 1,
  rows_checked    bigint not null default 0,
  rows_written    bigint not null default 0,
  busy_ms         double precision not null default 0,
  keys            jsonb,
  error           text,
  sqlstate        text
);
create index execution_by_materialization on pgfresh.execution (materialization, ended_at);
