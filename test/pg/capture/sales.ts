/**
 * What the tests of writes share: venues, and two tables that are summed up for them by way of a foreign key each.
 *
 * `ticket` follows its venue (ON DELETE CASCADE), `promotion` is left behind without one (ON DELETE SET NULL). Nobody reads `note`.
 */
import type { Comparison } from '../../support/project.ts'

export const salesSchema = `
  create table venue (id int primary key, name text);
  create table ticket (id int primary key, venue_id int references venue on delete cascade on update cascade, price int, note text);
  create table promotion (id int primary key, venue_id int references venue on delete set null on update cascade, bonus int)`

/** A view, a BEFORE trigger that makes a ticket with the note 'free' cost nothing, and one that gives a ticket at COMMIT. */
export const salesHabits = `
  create view cheap_ticket as select id, venue_id, price from ticket where price < 100;
  create function be_free() returns trigger language plpgsql as $$ begin new.price := 0; return new; end $$;
  create trigger be_free before update on ticket for each row when (new.note = 'free') execute function be_free();
  create function give_ticket() returns trigger language plpgsql as
    $$ begin insert into ticket values (new.id + 700, new.venue_id, 1); return null; end $$;
  create constraint trigger give_ticket after insert on promotion deferrable initially deferred
    for each row when (new.bonus = 777) execute function give_ticket()`

/** Brings the three tables to where every test of writes begins. */
export const salesRows = `
  truncate venue, ticket, promotion;
  insert into venue values (1, 'a'), (2, 'b'), (3, 'c');
  insert into ticket values (1, 1, 10, 'x'), (2, 1, 20, 'x'), (3, 2, 30, 'x');
  insert into promotion values (1, 1, 5), (2, 2, 6)`

export const salesDefinition = `export const venue = defineColumns({
  table: 'venue',
  columns: {
    taken: sql\`(select coalesce(sum(t.price), 0) from ticket t where t.venue_id = venue.id)\`,
    bonus: sql\`(select coalesce(sum(p.bonus), 0) from promotion p where p.venue_id = venue.id)\`,
  },
  dependsOn: {
    ticket: { via: sql\`select venue_id as id from changed\` },
    promotion: { via: sql\`select venue_id as id from changed\` },
  },
})`

export const salesComparison: Comparison = {
  stored: 'select id, taken, bonus, materialized_at is not null from venue',
  expected: `
    with t as (select venue_id, sum(price) as taken from ticket group by 1),
      p as (select venue_id, sum(bonus) as bonus from promotion group by 1)
    select v.id, coalesce(t.taken, 0), coalesce(p.bonus, 0), true
    from venue v left join t on t.venue_id = v.id left join p on p.venue_id = v.id`,
}
