\ir prelude.psql
begin;
select plan(21);

-- sets of transactions
select is(loyalty.snapshot_pass('10:10:', '20:20:', '15')::text, '15:15:', 'everything below a transaction');
select is(loyalty.snapshot_pass('10:10:', '12:20:12,17', '15')::text, '12:15:12', 'but those that are open');
select is(loyalty.snapshot_pass('10:20:10,15', '30:30:', '12')::text, '15:20:15', 'a late committer below it is done, one above it is not');
select is(loyalty.snapshot_pass('10:20:10,15', '10:30:10', '16')::text, '10:20:10', 'one that is still open is not');
select is(loyalty.snapshot_pass('10:20:15', '40:40:', '10')::text, '15:20:15', 'it never shrinks');
select is(loyalty.snapshot_with('15:15:', '15')::text, '16:16:', 'one more');
select is(loyalty.snapshot_with('10:15:10,12', '12')::text, '10:15:10', 'one of the open ones');
select is(loyalty.snapshot_with('15:15:', '18')::text, '15:19:15,16,17', 'those between stay out');
select ok(loyalty.snapshot_with('15:15:', null) is null, 'none');

-- against the definition, over many random sets
create temp table fault as
select b, n, u, x
  from (select b, n, (1 + random() * 40)::int as u
          from (select (select (coalesce(min(i), m)::text || ':' || m || ':' || coalesce(string_agg(i::text, ',' order by i), ''))::pg_snapshot
                          from generate_series(1, m - 1) i where random() < 0.2 and k > 0) as b,
                       (select (coalesce(min(i), m + d)::text || ':' || m + d || ':' || coalesce(string_agg(i::text, ',' order by i), ''))::pg_snapshot
                          from generate_series(1, m + d - 1) i where random() < 0.2 and k > 0) as n
                  from (select k, (2 + random() * 30)::int as m, (random() * 15)::int as d from generate_series(1, 400) k) r) s
         -- what was visible before stays so
         where not exists (select from generate_series(1, 60) x
                            where pg_visible_in_snapshot(x::text::xid8, b) and not pg_visible_in_snapshot(x::text::xid8, n))) c
  cross join generate_series(1, 60) x
 where u <= pg_snapshot_xmax(n)::text::int
   and pg_visible_in_snapshot(x::text::xid8, loyalty.snapshot_pass(b, n, u::text::xid8))
       <> (pg_visible_in_snapshot(x::text::xid8, b) or (x < u and pg_visible_in_snapshot(x::text::xid8, n)));
select is((select count(*) from fault), 0::bigint, 'as defined, over random snapshots');

-- shares of shards
insert into loyalty.worker (worker_id, host, pid, version) values
    ('01900000-0000-7000-8000-0000000000a1', 'h', 1, '1'), ('01900000-0000-7000-8000-0000000000a2', 'h', 2, '1');
select pg_advisory_lock(7402, loyalty.worker_key('01900000-0000-7000-8000-0000000000a1')) as _ \gset
select is((select cardinality(shards) from work.shards_take('01900000-0000-7000-8000-0000000000a1', 10000, false)), 256, 'one slot owns all');
select pg_advisory_lock(7402, loyalty.worker_key('01900000-0000-7000-8000-0000000000a2')) as _ \gset
select is((select cardinality(shards) from work.shards_take('01900000-0000-7000-8000-0000000000a2', 10000, false)), 0, 'a second one has nothing to do');
select is((select cardinality(shards) from work.shards_take('01900000-0000-7000-8000-0000000000a1', 10000, false)), 256, 'while all is calm');
select is((select token from work.shards_take('01900000-0000-7000-8000-0000000000a1', 10000, true)), 1::bigint, 'under pressure the first gives half, the token stays');
select is((select cardinality(shards) from work.shards_take('01900000-0000-7000-8000-0000000000a2', 10000, false)), 128, 'then each has half');
select is((select count(distinct token) from loyalty.shard_lease where worker_id is not null), 2::bigint, 'and a token of its own');
update loyalty.worker set pressed_at = '-infinity';
select is((select cardinality(shards) from work.shards_take('01900000-0000-7000-8000-0000000000a2', 10000, false)), 0, 'calm again: the second gives its half');
select is((select count(distinct token) from loyalty.shard_lease where worker_id = '01900000-0000-7000-8000-0000000000a1'), 1::bigint, 'to the first, which has all under one token');
select is((select token from work.shards_take('01900000-0000-7000-8000-0000000000a1', 10000, false)), 3::bigint, 'and a new one');
select pg_advisory_unlock(7402, loyalty.worker_key('01900000-0000-7000-8000-0000000000a1')) as _ \gset
select is((select cardinality(shards) from work.shards_take('01900000-0000-7000-8000-0000000000a2', 10000, false)), 256, 'the dead one''s go to the living');
select is((select kind from work.rules_context('01900000-0000-7000-8000-0000000000a1', 1, '{0}', 10, null)), 'lost', 'who lost them is told so');
select * from finish();
rollback;
