-- 0003: what the daemon asks, in functions: the server keeps their plans, and planning most of these statements costs more than
-- running them. (A named prepared statement would do the same, but a transaction pooler would lose it.)
--
-- Locks taken: none on people's tables. Breaking: no.

-- Sets settings for the rest of the transaction. It has no SET clause, since what it sets must outlive it; so every name in it
-- is qualified, and search_path comes last.
create function pgfresh.set_local(settings jsonb) returns void language plpgsql as $$
declare
  name text;
  value text;
begin
  for name, value in
    select s.key, s.value from pg_catalog.jsonb_each_text(settings) s order by s.key operator(pg_catalog.=) 'search_path'
  loop
    perform pg_catalog.set_config(name, value, true);
  end loop;
end $$;

-- Was the watermark made here: in this cluster, this database, by this schema, and not in the future [A12]? If not, nothing in
-- the log is told apart by it.
create function pgfresh.at_home(watermark pg_snapshot) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select s.state_oid = 'pgfresh.state'::regclass and s.database_oid = d.oid and s.system_identifier = c.system_identifier
    and pg_snapshot_xmax(watermark) <= pg_snapshot_xmax(pg_current_snapshot())
  from pgfresh.state s, pg_database d, pg_control_system() c where d.datname = current_database()
$$;

-- What there is to do, without a lock or an xid: idle daemons run just this. Of what is paused the quarantined keys and walks wait, its
-- deferred work is due at 'infinity', and what was deferred so and is paused no more is due now.
-- Only a hint: what a round does is decided by what the round itself reads. Sequential scans are off, because statistics of
-- tables that are truncated over and over are always wrong.
--   news: entries past the watermark, or a watermark that is worth nothing; due_in: seconds until deferred work or a quarantined key is due (0 or less: now)
--   walks: unfinished ones, but for those of definitions that fail just now; failing: definitions that fail as a whole; ready: ready tasks by kind of work, counted up to 600
create function pgfresh.look(
  out epoch bigint, out at timestamptz, out task_floor bigint[], out news boolean, out due_in numeric, out walks jsonb, out failing jsonb, out ready jsonb
) language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  seen pg_snapshot;
  paused constant integer[] := array(select m.id from pgfresh.materialization m where m.paused_at is not null);
begin
  select s.epoch into epoch from pgfresh.state s;
  select w.snapshot, w.task_floor into seen, task_floor from pgfresh.watermark w order by w.id desc limit 1;
  at := clock_timestamp();
  news := exists (
    select from pgfresh.unread(seen, pg_current_snapshot()) r,
      lateral (select from pgfresh.change_log l where l.xid >= r.lo and l.xid < r.hi limit 1) l) or not pgfresh.at_home(seen);
  due_in := extract(epoch from least((select min(d.due_at) from pgfresh.deferred d where d.due_at < 'infinity'),
    -- In the order of the index, past the few that are paused.
    (select q.retry_at from pgfresh.quarantine q where q.materialization <> all (paused) order by q.retry_at limit 1),
    (select min(m.retry_at) from pgfresh.walk k join pgfresh.materialization m on m.id = k.materialization
      where k.finished_at is null and m.retry_at > clock_timestamp() and m.paused_at is null)) - at);
  if exists (select from pgfresh.deferred d where d.due_at = 'infinity')
    and exists (select from pgfresh.materialization m where m.paused_at is null
      and exists (select from pgfresh.deferred d where d.due_at = 'infinity' and d.materialization = m.id)) then
    due_in := 0;
  end if;
  walks := coalesce((
    select jsonb_agg(jsonb_build_object('id', k.id::text, 'materialization', k.materialization::text, 'planned', k.planned_at is not null,
        'done', k.planned_at is not null and not exists (select from pgfresh.task t where t.walk = k.id)
          and not exists (select from pgfresh.deferred d where d.walk = k.id),
        'first', k.why = 'new' and k.columns is null))
    from pgfresh.walk k join pgfresh.materialization m on m.id = k.materialization
    where k.finished_at is null and (m.retry_at is null or m.retry_at <= clock_timestamp()) and m.paused_at is null), '[]');
  failing := coalesce((select jsonb_agg(m.id::text) from pgfresh.materialization m where m.error is not null), '[]');
  ready := coalesce((
    select jsonb_object_agg(kind, n) from (
      select lane / 10 as kind, sum((
        select count(*) from (select from pgfresh.task t where t.lane = l.lane and t.id > look.task_floor[l.lane + 1] limit 600) t)) as n
      from generate_series(0, 39) l(lane) group by 1) by_kind), '{}');
end $$;

-- The beginning of a round: its turn (the state row's lock; nobody waits for it), then in a statement of its own the log and
-- pg_current_snapshot() together [A15]. No row: somebody else has the turn. Late committers first, then in xid order; one entry
-- past the limit shows where to cut. home: the watermark was made in this database, by this schema, in this cluster [A12].
create function pgfresh.take_turn(settings jsonb, take integer) returns table (
  epoch bigint, home boolean, id bigint, seen pg_snapshot, upto pg_snapshot, own xid8, first_xid xid8, past_xid xid8, past_late boolean, entries jsonb
) language plpgsql set enable_seqscan = off as $$
declare
  turn record;
begin
  perform pgfresh.set_local(settings);
  select s.epoch, s.database_oid = d.oid and s.state_oid = 'pgfresh.state'::regclass and s.system_identifier = c.system_identifier as home
    into turn from pgfresh.state s, pg_catalog.pg_database d, pg_catalog.pg_control_system() c
    where d.datname = pg_catalog.current_database() for update of s skip locked;
  if not found then
    return;
  end if;
  return query
    with w as materialized (
      select m.id, m.snapshot as seen, pg_catalog.pg_current_snapshot() as upto from pgfresh.watermark m order by m.id desc limit 1),
    entry as materialized (
      select e.xid, e.capture, e.op, e.xid < pg_catalog.pg_snapshot_xmax(w.seen) as late
      from w, pgfresh.unread(w.seen, w.upto) r, lateral (
        (select l.xid, l.capture, l.op from pgfresh.change_log_0 l where l.xid >= r.lo and l.xid < r.hi order by l.xid limit take + 1) union all
        (select l.xid, l.capture, l.op from pgfresh.change_log_1 l where l.xid >= r.lo and l.xid < r.hi order by l.xid limit take + 1) union all
        (select l.xid, l.capture, l.op from pgfresh.change_log_2 l where l.xid >= r.lo and l.xid < r.hi order by l.xid limit take + 1) union all
        (select l.xid, l.capture, l.op from pgfresh.change_log_3 l where l.xid >= r.lo and l.xid < r.hi order by l.xid limit take + 1)) e
      where take > 0
      order by late desc, e.xid limit take + 1),
    past as (select e.xid, e.late from entry e order by e.late desc, e.xid offset take limit 1)
    select turn.epoch, turn.home, w.id, w.seen, w.upto, pg_catalog.pg_current_xact_id(),
      (select e.xid from entry e order by e.late desc, e.xid limit 1), (select p.xid from past p), (select p.late from past p),
      coalesce((select pg_catalog.jsonb_agg(distinct pg_catalog.jsonb_build_object('capture', e.capture::text, 'op', e.op)) from entry e), '[]')
    from w;
end $$;

-- Entries of one capture (0: requests) that one watermark covers beyond another, or of one transaction, for the readers that
-- these mask bits name.
create function pgfresh.entries(of_capture integer, of_mask integer, seen pg_snapshot, upto pg_snapshot)
returns table (op "char", old_key bigint, new_key bigint, old_row jsonb, new_row jsonb)
language plpgsql stable rows 100 set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
begin
  return query select l.op, l.old_key, l.new_key, l.old_row, l.new_row
    from pgfresh.unread(seen, upto) r, lateral (select * from pgfresh.change_log c where c.xid >= r.lo and c.xid < r.hi offset 0) l
    where l.capture = of_capture and (of_capture = 0 or l.mask & of_mask <> 0);
end $$;

create function pgfresh.entries(of_capture integer, of_mask integer, of_xid xid8)
returns table (op "char", old_key bigint, new_key bigint, old_row jsonb, new_row jsonb)
language plpgsql stable rows 100000 set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
begin
  return query select l.op, l.old_key, l.new_key, l.old_row, l.new_row
    from pgfresh.change_log l where l.xid = of_xid and l.capture = of_capture and (of_capture = 0 or l.mask & of_mask <> 0);
end $$;

-- The end of a round: stores the watermark by compare-and-set on its id, with the floor of each lane: the id before its first
-- live task, or, for an empty lane, the newest id there is (a sequence that was never asked says 1, which is yet to come).
-- Exact, because only rounds insert tasks, one round at a time.
create function pgfresh.store_watermark(previous bigint, upto pg_snapshot) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  floors bigint[];
begin
  select array_agg(coalesce(
      (select t.id - 1 from pgfresh.task t where t.lane = l.lane and t.id > w.task_floor[l.lane + 1] order by t.id limit 1), s.last_value - (not s.is_called)::integer) order by l.lane)
    into strict floors
    from pgfresh.watermark w, pgfresh.task_id s, generate_series(0, 39) l(lane) where w.id = previous;
  if (previous + 1) >> 14 & 1 = 0 then
    insert into pgfresh.watermark_0 (id, snapshot, task_floor) values (previous + 1, upto, floors);
  else
    insert into pgfresh.watermark_1 (id, snapshot, task_floor) values (previous + 1, upto, floors);
  end if;
end $$;

-- What tables consist of now, and by which transaction and command of it. One that is just being detached is gone.
create function pgfresh.parts(sources oid[]) returns table (source oid, relation oid, parent oid, link bigint, command bigint)
language sql stable rows 100 set search_path = pg_catalog, pg_temp as $$
  with recursive below (source, relation, parent, link, command) as (
    select i.inhparent, i.inhrelid, i.inhparent, i.xmin::text::bigint, i.cmin::text::bigint
    from pg_inherits i join pg_class c on c.oid = i.inhrelid and c.relpersistence <> 't'
    where i.inhparent = any (sources) and not i.inhdetachpending
    union
    select b.source, i.inhrelid, i.inhparent, i.xmin::text::bigint, i.cmin::text::bigint
    from below b join pg_inherits i on i.inhparent = b.relation and not i.inhdetachpending
    join pg_class c on c.oid = i.inhrelid and c.relpersistence <> 't')
  select * from below
$$;

-- May a part have had rows when it became one, which nobody logged? One that was made as a partition had none, and what was written since
-- is logged; so nothing is to do when people make the partitions of next month. It shows in its columns: ATTACH makes all of them inherited
-- ones when it writes the link, while here they were so from the first step of the table's own making on (or the next, if they
-- have defaults), and that before the link.
create function pgfresh.brought_rows(part oid, link bigint, command bigint) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select not (c.relkind in ('r', 'p') and c.relispartition and exists (
      select from pg_attribute made join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and a.attinhcount > 0
      where made.attrelid = c.oid and made.attname = 'tableoid' and made.xmin::text::bigint = link and a.xmin = made.xmin
        and a.cmin::text::bigint - made.cmin::text::bigint in (0, 1) and a.cmin::text::bigint < command))
    -- Opens the table, which somebody may have locked; so it comes last.
    and not (c.relkind = 'r' and pg_relation_size(c.oid) = 0)
  from pg_class c where c.oid = part
$$;

-- Remembers what a table consists of: in the transaction that begins to capture it, under the lock that its triggers take.
create function pgfresh.see_parts(of_source oid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  delete from pgfresh.part p where p.source = of_source;
  insert into pgfresh.part (source, relation, parent, link) select p.source, p.relation, p.parent, p.link from pgfresh.parts(array[of_source]) p
$$;

-- Logs for each captured table of which a part is gone that rows went as if truncated, and where one came with rows that everything may
-- have changed. Whoever removes or adds the row here logs it, so of several daemons one. Returns how many tables that were.
create function pgfresh.notice_parts() returns bigint
language sql set search_path = pg_catalog, pg_temp as $$
  with part as materialized (
    select p.* from pgfresh.parts(array(select c.source from pgfresh.capture c where c.retired_at is null)) p),
  -- EXCEPT, since it hashes whatever statistics say of tables that nobody analyzes.
  lost as materialized (
    select s.source, s.relation, s.parent, s.link from pgfresh.part s except select p.source, p.relation, p.parent, p.link from part p),
  found as materialized (
    select p.source, p.relation, p.parent, p.link from part p except select s.source, s.relation, s.parent, s.link from pgfresh.part s),
  gone as (
    delete from pgfresh.part s using lost l
    where s.source = l.source and s.relation = l.relation and s.parent = l.parent and s.link = l.link returning s.source),
  come as (
    insert into pgfresh.part (source, relation, parent, link) select f.source, f.relation, f.parent, f.link from found f
    on conflict do nothing returning *),
  noticed as (
    select c.id, bool_or(n.brought) as brought
    from (select g.source, false as brought from gone g union all
      select t.source, true from (select p.* from come m join part p using (source, relation, parent, link) offset 0) t
      where pgfresh.brought_rows(t.relation, t.link, t.command)) n
    join pgfresh.capture c on c.source = n.source and c.retired_at is null
    group by c.id)
  select count(pgfresh.log_key(n.id, 32767::smallint, (case when n.brought then 'A' else 'T' end)::"char", null, null)) from noticed n
$$;

-- Claims the first task that nobody holds: one index probe for each lane, above its floor, which steps over the dead rows of
-- consumed tasks that a held horizon keeps (2.5 ms without it after 60,000 tasks, 4 buffers with it).
create function pgfresh.claim(settings jsonb, lanes smallint[], floors bigint[]) returns table (
  id bigint, lane smallint, origin bigint, materialization integer, kind text, range_from jsonb, range_to jsonb, expand_xid xid8, walk bigint,
  columns jsonb, stamp_due boolean, misses integer, attempts integer, why text, frees_quarantine boolean
) language plpgsql as $$
begin
  return query
    select t.id, t.lane, t.origin, t.materialization, t.kind, t.range_from, t.range_to, t.expand_xid, t.walk,
      pg_catalog.to_jsonb(t.columns), t.stamp_due, t.misses, t.attempts, t.why,
      exists (select from pgfresh.quarantine q where q.materialization = t.materialization)
    from rows from (pg_catalog.unnest(lanes), pg_catalog.unnest(floors)) l(lane, floor),
      lateral (select * from pgfresh.task c where c.lane = l.lane and c.id > l.floor order by c.id limit 1 for update skip locked) t
    limit 1;
  if found then
    perform pgfresh.set_local(settings);
  end if;
end $$;

-- Settings of a batch, and the shared lock that apply takes exclusively [A3].
create function pgfresh.enter(materialization integer, settings jsonb) returns void language plpgsql as $$
begin
  perform pg_catalog.pg_advisory_xact_lock_shared(7331002, materialization);
  perform pgfresh.set_local(settings);
end $$;

-- Puts keys of a task into quarantine: tried again after 10 s, doubling to an hour and a half.
create function pgfresh.quarantine_keys(of_lane smallint, of_id bigint, keys jsonb, message text, state text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into pgfresh.quarantine as q (materialization, key, columns, error, sqlstate, retry_at)
    select t.materialization, e.key, t.columns, message, state, clock_timestamp() + interval '10 s'
    from pgfresh.task t, jsonb_array_elements(quarantine_keys.keys) e(key) where t.lane = of_lane and t.id = of_id
    on conflict (materialization, key) do update set error = excluded.error, sqlstate = excluded.sqlstate,
      columns = case when q.columns is not null and excluded.columns is not null
        then array(select distinct c from unnest(q.columns || excluded.columns) c order by c) end,
      attempts = q.attempts + 1, last_failed_at = now(), retry_at = clock_timestamp() + interval '10 s' * pow(2, least(q.attempts, 9));
end $$;

-- The end of a batch. Keys that somebody held become a deferred task, due after due_ms (each: one task for each key); keys whose
-- update the table itself refused go to quarantine; the task goes. Unless the definition was another one: then nothing was done.
create function pgfresh.settle(of_lane smallint, of_id bigint, due_ms integer, each boolean) returns table (
  fence text, locked integer, missed integer, written integer, refused integer
) language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  missed_keys constant jsonb := current_setting('pgfresh.missed');
  refused_keys constant jsonb := current_setting('pgfresh.refused');
begin
  if current_setting('pgfresh.fence') = 'held' then
    if missed_keys <> '[]' then
      insert into pgfresh.deferred (due_at, lane, origin, materialization, kind, keys, walk, columns, stamp_due, misses, attempts, why, planned_at)
      -- Keys that are waited for alone go behind all changes: each of them may keep a worker waiting.
      select clock_timestamp() + due_ms * interval '1 ms', case when each then greatest(t.lane, 10 + t.lane % 10) else t.lane end, t.origin, t.materialization, 'keys', e.keys, t.walk, t.columns, t.stamp_due,
        t.misses + 1, t.attempts, t.why, t.planned_at
      from pgfresh.task t,
        lateral (select missed_keys as keys where not each union all
          select jsonb_build_array(k.key) from jsonb_array_elements(missed_keys) k(key) where each) e
      where t.lane = of_lane and t.id = of_id;
    end if;
    if refused_keys <> '[]' then
      perform pgfresh.quarantine_keys(of_lane, of_id, refused_keys,
        'the table refused the update: a BEFORE UPDATE trigger of its own returned NULL', null);
    end if;
    delete from pgfresh.task t where t.lane = of_lane and t.id = of_id;
  end if;
  return query select current_setting('pgfresh.fence'), current_setting('pgfresh.locked')::integer, jsonb_array_length(missed_keys),
    current_setting('pgfresh.written')::integer, jsonb_array_length(refused_keys);
end $$;
