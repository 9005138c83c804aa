/**
 * Every mistake that a plan finds, with the exact text that people read. The tables are in mistakes.sql.
 */
import type { Written } from './planning.ts'

/** One case. */
export interface MistakeCase {
  readonly written: Readonly<Record<string, Written>>
  /** As it is printed, line by line. */
  readonly expected: readonly string[]
}

export const mistakeCases: Readonly<Record<string, MistakeCase>> = {
  'a table that does not exist': {
    written: { venue: { table: 'venues', columns: { a: '1' } } },
    expected: [
      'venue.ts:10: there is no table venues in database $database',
      '  It was looked up along the search_path public. Write schema.table for a table elsewhere, and double quotes around capitals.',
    ],
  },
  'a table in a schema that does not exist': {
    written: { venue: { table: 'nope.venues', columns: { a: '1' } } },
    expected: [
      'venue.ts:10: there is no table nope.venues in database $database',
      '  Check schema and name; parts with capitals need double quotes.',
    ],
  },
  'a view as target': {
    written: { venue: { table: 'venue_view', columns: { a: '1' } } },
    expected: [
      'venue.ts:10: venue_view is a view, not a table',
      '  Columns can be materialized on tables only.',
    ],
  },
  'a materialized view as target': {
    written: { venue: { table: 'totals', columns: { a: '1' } } },
    expected: [
      'venue.ts:10: totals is a materialized view, not a table',
      '  Columns can be materialized on tables only.',
    ],
  },
  'a system table as target': {
    written: { venue: { table: 'pg_class', columns: { a: '1' } } },
    expected: [
      "venue.ts:10: pg_class is a system table, a temporary one or one of pgfresh's own",
      '  Materialize columns on a table of your own.',
    ],
  },
  'a target without a primary key': {
    written: { venue: { table: 'nokey', columns: { a: '1' } } },
    expected: [
      'venue.ts:10: table nokey has no primary key',
      '  pgfresh finds rows by their primary key: alter table nokey add primary key (…).',
    ],
  },
  'a target that other tables inherit from': {
    written: { venue: { table: 'parent', columns: { a: '1' } } },
    expected: [
      'venue.ts:10: table parent has tables that inherit from it, and its primary key says nothing of their rows',
      '  Declare the columns on the tables that inherit, or make it a partitioned table.',
    ],
  },
  'a column of the primary key': {
    written: { venue: { table: 'venue', columns: { id: '1' } } },
    expected: [
      "venue.ts:20: column id of venue belongs to the primary key, and can't be materialized",
      '  Materialize into a column of its own.',
    ],
  },
  'a column of a unique index': {
    written: { venue: { table: 'venue', columns: { code: "'x'" }, adopt: ['code'] } },
    expected: [
      "venue.ts:20: column code of venue belongs to the unique index venue_code_key, and can't be materialized",
      '  Materialize into a column of its own.',
    ],
  },
  'a column of a partitioned key': {
    written: { parted: { table: 'parted', columns: { region: "'x'" } } },
    expected: [
      "parted.ts:20: column region of parted belongs to the primary key, and can't be materialized",
      '  Materialize into a column of its own.',
    ],
  },
  'a generated column': {
    written: { venue: { table: 'venue', columns: { double: '1' }, adopt: ['double'] } },
    expected: [
      'venue.ts:20: column double of venue is a generated column: PostgreSQL alone writes it',
      '  Materialize into a column of its own.',
    ],
  },
  'an identity column': {
    written: { venue: { table: 'venue', columns: { serial: '1' }, adopt: ['serial'] } },
    expected: [
      'venue.ts:20: column serial of venue is an identity column: PostgreSQL alone writes it',
      '  Materialize into a column of its own.',
    ],
  },
  'a column that exists and is not adopted': {
    written: { venue: { table: 'venue', columns: { label: "'x'" } } },
    expected: [
      'venue.ts:20: column label of venue exists, and pgfresh did not make it',
      "  To let pgfresh overwrite its values: adopt: ['label']. Otherwise choose another name.",
    ],
  },
  'an adopted column of another type': {
    written: { venue: { table: 'venue', columns: { label: '1' }, adopt: ['label'] } },
    expected: [
      'venue.ts:20: column label of venue is text, and what is computed is integer',
      '  Cast it: (…)::text.',
    ],
  },
  'an adopted column that is too narrow': {
    written: { venue: { table: 'venue', columns: { price: '1::numeric(10,2)' }, adopt: ['price'] } },
    expected: [
      'venue.ts:20: column price of venue is numeric(8,2), too narrow for numeric(10,2), which is computed',
      '  Cast it if cutting or rounding is what you want: (…)::numeric(8,2). Or widen the column.',
    ],
  },
  'an adopted column that does not exist, and one that is not computed': {
    written: { venue: { table: 'venue', columns: { x: '1' }, adopt: ['x', 'name'] } },
    expected: [
      'venue.ts:10: venue has no column x to adopt',
      '  Take it out of adopt: pgfresh will add the column.',
      'venue.ts:10: adopt names name, which venue does not compute',
      '  Take it out of adopt.',
    ],
  },
  'a stamp of another type': {
    written: { venue: { table: 'venue', stamp: 'label', columns: { x: '1' } } },
    expected: [
      'venue.ts:10: column label of venue exists, and pgfresh did not make it',
      "  To let pgfresh overwrite its values: adopt: ['label']. Otherwise choose another name.",
    ],
  },
  'a key column as stamp': {
    written: { venue: { table: 'venue', stamp: 'id', columns: { x: '1' } } },
    expected: [
      "venue.ts:10: column id of venue belongs to the primary key, and can't be materialized",
      '  Materialize into a column of its own.',
    ],
  },
  'mistakes in three expressions, each at its line': {
    written: {
      venue: {
        table: 'venue',
        columns: { x: '1 +', y: 'venue.nam', z: '(select\n  count(*)\n from showtme)' },
      },
    },
    expected: [
      'venue.ts:20: column x: syntax error at or near ")"',
      '  In: 1 +',
      'venue.ts:21: column y: column venue.nam does not exist',
      '  Perhaps you meant to reference the column "venue.name".',
      '  In: venue.nam',
      'venue.ts:24: column z: relation "showtme" does not exist',
      '  There is no table or alias of that name in it; tables without a schema are looked up along the search_path public, others are written schema.table.',
      '  In: from showtme)',
    ],
  },
  'two expressions for one column': {
    written: { venue: { table: 'venue', columns: { x: '1), (2' } } },
    expected: ['venue.ts:20: column x is not one expression', '  Write one expression for one column.'],
  },
  'a select in place of an expression': {
    written: { venue: { table: 'venue', columns: { x: '1) from (select 1' } } },
    expected: ['venue.ts:20: column x is not one expression', '  Write one expression for one column.'],
  },
  'an aggregate over the target itself': {
    written: { venue: { table: 'venue', columns: { x: 'count(*)' } } },
    expected: [
      'venue.ts:20: column x: column "venue.id" must appear in the GROUP BY clause or be used in an aggregate function',
      '  An expression is computed for each row: put an aggregate into a subquery, (select count(*) from …).',
    ],
  },
  'a window function over the target itself': {
    written: { venue: { table: 'venue', columns: { x: 'row_number() over (order by venue.id)' } } },
    expected: [
      'venue.ts:20: column x is computed by a window function over the rows of venue, but a batch holds only some of them',
      '  Put it into a subquery of its own, or use the form `query`.',
    ],
  },
  'a function that returns a set': {
    written: { venue: { table: 'venue', columns: { x: 'generate_series(1, 2)' } } },
    expected: [
      'venue.ts:20: column x is computed by a function that returns a set over the rows of venue, but a batch holds only some of them',
      '  Put it into a subquery of its own, or use the form `query`.',
    ],
  },
  'a value of no storable type': {
    written: { venue: { table: 'venue', columns: { x: 'row(1, 2)' } } },
    expected: [
      'venue.ts:20: column x: column "x" has pseudo-type record',
      '  Cast it to a type that a column of a table can have.',
    ],
  },
  'a query that does not return the key': {
    written: { venue: { table: 'venue', query: 'select venue_id, count(*) as n from showtime group by 1' } },
    expected: [
      'venue.ts:30: the query does not return id, the primary key of venue; it returns venue_id, n',
      '  Add it to the select list under that name: select … as id.',
    ],
  },
  'a query that returns nothing but the key': {
    written: { venue: { table: 'venue', query: 'select venue_id as id from showtime' } },
    expected: [
      'venue.ts:30: the query returns nothing but the key of venue',
      '  Select the columns to materialize as well.',
    ],
  },
  'a query with an unnamed column': {
    written: { venue: { table: 'venue', query: 'select venue_id as id, 1 from showtime' } },
    expected: ['venue.ts:30: the query returns a column without a name', '  Name it: … as total.'],
  },
  'a query with two columns of one name': {
    written: { venue: { table: 'venue', query: 'select id, sold as a, sold as a from showtime' } },
    expected: [
      'venue.ts:30: the query: column "a" specified more than once',
      '  Give each output column a name of its own.',
    ],
  },
  'two statements': {
    written: { venue: { table: 'venue', query: 'select 1 as id, 2 as b; select 1' } },
    expected: [
      'venue.ts:30: the query is not one SELECT',
      '  Write one statement that begins with select or with.',
    ],
  },
  'a query that writes': {
    written: {
      venue: {
        table: 'venue',
        query: 'with x as (insert into nokey values (1) returning id) select id, 1 as b from x',
      },
    },
    expected: ['venue.ts:30: the query writes to a table', '  Definitions only read: write a SELECT.'],
  },
  'a query that locks': {
    written: { venue: { table: 'venue', query: 'select id, name as b from venue for update' } },
    expected: [
      'venue.ts:30: the query locks rows',
      '  Leave FOR UPDATE and its like out: pgfresh locks what it writes.',
    ],
  },
  'a query whose key is of another type': {
    written: {
      venue: { table: 'venue', query: 'select name as id, 1 as b from cinema', dependsOn: { cinema: 'all' } },
    },
    expected: [
      'venue.ts:30: the query returns id as text, and the primary key of venue is integer',
      '  Cast it: (…)::integer.',
    ],
  },
  'a query that returns the stamp': {
    written: {
      venue: {
        table: 'venue',
        query: 'select id, now() as materialized_at from cinema',
        dependsOn: { cinema: 'all' },
      },
    },
    expected: [
      'venue.ts:30: materialized_at is both a column and the stamp of venue',
      "  Give the stamp another name: stamp: '…'.",
    ],
  },
  'a default for a column that is not returned': {
    written: {
      venue: {
        table: 'venue',
        query: 'select venue_id as id, count(*) as n from showtime group by venue_id',
        dependsOn: { showtime: 'all' },
        defaults: { m: '0' },
      },
    },
    expected: ['venue.ts:10: defaults names m, which the query of venue does not return', '  It returns n.'],
  },
  'a default of another type': {
    written: {
      venue: {
        table: 'venue',
        query: 'select venue_id as id, count(*) as n from showtime group by venue_id',
        dependsOn: { showtime: 'all' },
        defaults: { n: "'x'" },
      },
    },
    expected: [
      "venue.ts:10: defaults: 'x' can't be a value of column n, which is bigint: invalid input syntax for type bigint: \"x\"",
      '  Write a value of that type.',
    ],
  },
  'intervals that are none': {
    written: { venue: { table: 'venue', columns: { x: '1' }, expires: 'soon', freshness: '-1 s' } },
    expected: [
      "venue.ts:10: expires: 'soon' is no interval",
      "  Write an interval as PostgreSQL reads it: '15 minutes', '1 day'.",
      "venue.ts:10: freshness: '-1 s' is not more than nothing",
      "  Write an interval as PostgreSQL reads it: '15 minutes', '1 day'.",
    ],
  },
  'a setting with a wrong value': {
    written: { venue: { table: 'venue', columns: { x: '1' }, settings: { work_mem: 'lots' } } },
    expected: [
      'venue.ts:10: settings: work_mem can\'t be \'lots\': invalid value for parameter "work_mem": "lots"',
      '  Write what "set work_mem = …" takes; a setting of your own has a dot in its name, like app.tenant.',
    ],
  },
  'a setting that does not exist': {
    written: { venue: { table: 'venue', columns: { x: '1' }, settings: { wrk_mem: '1MB' } } },
    expected: [
      "venue.ts:10: settings: wrk_mem can't be '1MB': unrecognized configuration parameter \"wrk_mem\"",
      '  Write what "set wrk_mem = …" takes; a setting of your own has a dot in its name, like app.tenant.',
    ],
  },
  'a setting that is ours': {
    written: { venue: { table: 'venue', columns: { x: '1' }, settings: { row_security: 'on' } } },
    expected: ['venue.ts:10: settings: row_security is set by pgfresh itself', '  Leave it out.'],
  },
  'a search_path with pg_temp': {
    written: { venue: { table: 'venue', columns: { x: '1' }, settings: { search_path: 'pg_temp, public' } } },
    expected: [
      'venue.ts:10: the search_path pg_temp, public has pg_temp in it, which is another schema in each session',
      "  Set it without: settings: { search_path: 'public' }.",
    ],
  },
  'sources that are read and not declared': {
    written: {
      venue: {
        table: 'venue',
        columns: {
          country_id: '(select c.country_id from cinema c where c.id = venue.cinema_id)',
          n: '(select sum(sold) from showtime s where s.venue_id = venue.id)',
        },
      },
    },
    expected: [
      'venue.ts:10: venue reads what its dependsOn does not name: cinema (id, country_id); showtime (venue_id, sold)',
      '  Say how a change there finds the rows of venue that it makes stale. For example:',
      '  dependsOn: {',
      "    cinema: { via: sql`select t.id from changed c join venue t on t.… = c.…` },  // or 'all' (every row is stale), or 'ignore'",
      "    showtime: { via: sql`select venue_id as id from changed` },  // or 'all' (every row is stale), or 'ignore'",
      '  }',
    ],
  },
  'sources that are read through views and not declared': {
    written: {
      venue: {
        table: 'venue',
        columns: {
          n: '(select n from busy where venue_id = venue.id)',
          t: '(select sold from totals t where t.venue_id = venue.id)',
        },
      },
    },
    expected: [
      'venue.ts:10: venue reads what its dependsOn does not name: showtime (venue_id; through view public.busy); totals (venue_id, sold)',
      '  Say how a change there finds the rows of venue that it makes stale. For example:',
      '  dependsOn: {',
      "    showtime: { via: sql`select venue_id as id from changed` },  // or 'all' (every row is stale), or 'ignore'",
      "    totals: 'all',  // each refresh of it makes every row stale; or 'ignore'",
      '  }',
    ],
  },
  'other rows of the target, by an expression': {
    written: {
      venue: {
        table: 'venue',
        columns: { n: '(select count(*) from venue v where v.cinema_id = venue.cinema_id)' },
      },
    },
    expected: [
      'venue.ts:10: venue reads what its dependsOn does not name: venue as other rows than its own (id, cinema_id)',
      '  Say how a change there finds the rows of venue that it makes stale. For example:',
      '  dependsOn: {',
      "    venue: { via: sql`select t.id from changed c join venue t on t.… = c.…` },  // or 'all' (every row is stale), or 'ignore'",
      '  }',
    ],
  },
  'other rows of the target, by a query': {
    written: {
      venue: { table: 'venue', query: 'select cinema_id as id, count(*) as n from venue group by cinema_id' },
    },
    expected: [
      'venue.ts:10: venue reads what its dependsOn does not name: venue as other rows than its own (cinema_id)',
      '  Say how a change there finds the rows of venue that it makes stale. For example:',
      '  dependsOn: {',
      "    venue: { via: sql`select t.id from changed c join venue t on t.… = c.…` },  // or 'all' (every row is stale), or 'ignore'",
      '  }',
    ],
  },
  'a source that is not declared, with a composite key': {
    written: { pair: { table: 'pair', columns: { n: '(select count(*) from cinema where name = pair.b)' } } },
    expected: [
      'pair.ts:10: pair reads what its dependsOn does not name: cinema (name)',
      '  Say how a change there finds the rows of pair that it makes stale. For example:',
      '  dependsOn: {',
      "    cinema: { via: sql`select t.a, t.b from changed c join pair t on t.… = c.…` },  // or 'all' (every row is stale), or 'ignore'",
      '  }',
    ],
  },
  'a column that reads itself': {
    written: { venue: { table: 'venue', columns: { label: 'venue.name || venue.label' }, adopt: ['label'] } },
    expected: [
      'venue.ts:20: column label reads label, which venue itself writes',
      '  Name the columns that it needs; what builds on a materialized column goes into a definition of its own, with its own stamp.',
    ],
  },
  'a column that reads the whole row of the target': {
    written: { venue: { table: 'venue', columns: { label: 'venue::text' }, adopt: ['label'] } },
    expected: [
      'venue.ts:20: column label reads label (in a whole row of venue), which venue itself writes',
      '  Name the columns that it needs; what builds on a materialized column goes into a definition of its own, with its own stamp.',
    ],
  },
  'sources that are declared and not read': {
    written: {
      venue: { table: 'venue', columns: { x: 'venue.id' }, dependsOn: { cinema: 'all', nope: 'all' } },
    },
    expected: [
      'venue.ts:10: dependsOn names cinema, which venue does not read',
      '  Take it out of dependsOn.',
      'venue.ts:10: dependsOn names nope, and there is no such table',
      '  Write the table as the query writes it, with its schema where the query gives one.',
    ],
  },
  'a view as a declared source': {
    written: {
      venue: {
        table: 'venue',
        columns: { n: '(select n from busy where venue_id = venue.id)' },
        dependsOn: { busy: 'all', showtime: 'all' },
      },
    },
    expected: [
      'venue.ts:10: dependsOn names busy, which is a view: changes happen in the tables below it',
      '  Name the tables that it reads: showtime.',
    ],
  },
  'a source declared twice': {
    written: {
      venue: {
        table: 'venue',
        columns: { n: '(select count(*) from cinema)' },
        dependsOn: { cinema: 'all', 'public.cinema': 'all' },
      },
    },
    expected: [
      'venue.ts:10: dependsOn names cinema twice, as cinema and as public.cinema',
      '  Keep one of them.',
    ],
  },
  'a materialized view with a via': {
    written: {
      venue: {
        table: 'venue',
        columns: { t: '(select sold from totals t where t.venue_id = venue.id)' },
        dependsOn: { totals: 'select venue_id as id from changed' },
      },
    },
    expected: [
      'venue.ts:10: dependsOn totals: totals is a materialized view, whose rows no trigger sees change',
      "  Write \"totals\": 'all', and each refresh of it makes every row stale; or 'ignore'.",
    ],
  },
  'a via that does not return the key': {
    written: {
      venue: {
        table: 'venue',
        columns: { n: '(select count(*) from showtime s where s.venue_id = venue.id)' },
        dependsOn: { showtime: 'select venue_id from changed' },
      },
    },
    expected: [
      'venue.ts:40: dependsOn showtime: its via returns venue_id, and not id, the primary key of venue',
      "  A via returns the keys that a change makes stale, under the key's own names: select … as id from changed.",
    ],
  },
  'a mistake in a via': {
    written: {
      venue: {
        table: 'venue',
        columns: { n: '(select count(*) from showtime s where s.venue_id = venue.id)' },
        dependsOn: { showtime: 'select venu_id as id\nfrom changed' },
      },
    },
    expected: [
      'venue.ts:40: dependsOn showtime: column "venu_id" does not exist',
      '  Perhaps you meant to reference the column "changed.venue_id".',
      '  In: select venu_id as id',
    ],
  },
  'a system table as source': {
    written: { venue: { table: 'venue', columns: { n: '(select count(*) from pg_class)' } } },
    expected: [
      "venue.ts:10: venue reads pg_catalog.pg_class: changes of system tables can't be captured",
      '  Copy what you need into a table of your own.',
    ],
  },
  'vias that lean on each other': {
    written: {
      venue: {
        table: 'venue',
        columns: {
          n: '(select count(*) from cinema c join showtime s on s.id = c.id where c.id = venue.cinema_id)',
        },
        dependsOn: {
          cinema: 'select s.venue_id as id from changed c join showtime s on s.id = c.id',
          showtime:
            'select v.id from changed s join cinema c on c.id = s.id join venue v on v.cinema_id = c.id',
        },
      },
    },
    expected: [
      'venue.ts:10: the vias of dependsOn lean on each other: cinema → showtime → cinema; if rows of them change in one transaction, neither finds the rows of venue',
      "  Let each via walk only over tables that are nearer to venue than its own, or use 'all'.",
    ],
  },
  'definitions that write one column or one stamp': {
    written: {
      a: { table: 'venue', columns: { x: '1', y: '2' } },
      b: { table: 'public.venue', stamp: 's', columns: { y: '2' } },
      c: { table: '"venue"', columns: { z: '2' } },
    },
    expected: [
      'b.ts:10: b writes column y of venue, and so does a',
      "  Give one of them another column, or another stamp: stamp: '…'.",
      'c.ts:10: c writes column materialized_at of venue, and so does a',
      "  Give one of them another column, or another stamp: stamp: '…'.",
    ],
  },
  'columns that are computed from each other': {
    written: {
      a: {
        table: 'venue',
        columns: { x: '(select c.y from cinema c where c.id = venue.cinema_id)' },
        dependsOn: { cinema: 'all' },
        adopt: [],
      },
      b: {
        table: 'cinema',
        columns: { y: '(select max(v.x) from venue v where v.cinema_id = cinema.id)::integer' },
        dependsOn: { venue: 'all' },
      },
    },
    expected: [
      'a.ts:10: these materialized columns are computed from each other: venue.x → cinema.y → venue.x',
      '  Compute one of them from the tables that the others are computed from.',
    ],
  },
}
