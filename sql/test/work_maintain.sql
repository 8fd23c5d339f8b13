\ir prelude.psql
begin;
select plan(9);
select tap.tenant('t-maintain') as t \gset

insert into loyalty.change (tenant_id, kind, ref, at, xid) values
    (:'t', 'member', 'oldest', now() - interval '3 hours', '5'), (:'t', 'member', 'old', now() - interval '2 hours', '6'),
    (:'t', 'member', 'new', now(), '7');
insert into loyalty.job (queue, kind, state, finished_at) values ('default', 'k', 'completed', now() - interval '8 days'), ('default', 'k', 'completed', now());
insert into loyalty.command (tenant_id, command_id, kind, args, principal, state, status, done_at) values
    (:'t', loyalty.uuid_v7(), 'k', '{}', '{}', 'done', 200, now() - interval '2 days'), (:'t', loyalty.uuid_v7(), 'k', '{}', '{}', 'done', 200, now());
insert into loyalty.idempotency (tenant_id, principal_id, operation, key, body_mac, nonce, created_at) values
    (:'t', :'t', 'o', 'old', '', '', now() - interval '2 days'), (:'t', :'t', 'o', 'new', '', '', now());
select is(work.maintain(1000) - '{ring,partitions}'::text[], '{"changes": 1, "idempotency": 1, "jobs": 1, "commands": 1}', 'what is old goes, what is not stays');
select is((select array_agg(ref order by ref) from loyalty.change where tenant_id = :'t' and xid < '8'), '{new,old}', 'of changes, but for the mark of how far they go back');
select is((select array_agg(key) from loyalty.idempotency where tenant_id = :'t'), '{new}', 'of answers');

-- the ring: rows two slots behind, and cursors that have not passed them, then have
select ((extract(epoch from clock_timestamp())::bigint / 900) % 4) as s \gset
insert into loyalty.event_log (slot, shard, tenant_id, event_id, xid) select (:s + 2) % 4, 1, :'t', loyalty.uuid_v7(), '1000';
insert into loyalty.event_log (slot, shard, tenant_id, event_id, xid) select :s, 1, :'t', loyalty.uuid_v7(), '1000';
update loyalty.log_cursor set low = '900:900:';
select is(cardinality(loyalty.log_ring_turn()), 0, 'a slot that is not read stays');
update loyalty.log_cursor set low = '2000:2000:';
update loyalty.log_cursor set low = '1000:2000:1000' where shard = 1;
select is(cardinality(loyalty.log_ring_turn()), 0, 'one shard that has not passed keeps it');
update loyalty.log_cursor set low = '2000:2000:';
select is(cardinality(loyalty.log_ring_turn()), 1, 'a slot that all have passed is emptied');
select is((select array_agg(slot::int) from loyalty.event_log where tenant_id = :'t'), array[:s], 'the one in use never is');

-- numbers of facts, for counters
select is(loyalty.fact_number('{"order": {"lines": [{"quantity": 2, "unit_price": "1.50", "discount": "0.25"}, {"quantity": 1, "unit_price": "3"}]}}', 'order.total'), 5.75, 'a total');
select is(loyalty.fact_number('{"a": {"b": "12.5"}}', 'a.b'), 12.5, 'or what stands at a path');
select * from finish();
rollback;
