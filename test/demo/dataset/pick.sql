-- A number from 0 to size - 1 that depends on nothing but the row's number and the column's salt: every load makes
-- the same rows, on every version and in whatever order the sessions take them.
create function pg_temp.pick(row_number bigint, salt bigint, size integer) returns integer
language sql immutable as $$
  select (abs(hashint8extended(row_number, salt) % size))::integer
$$;
