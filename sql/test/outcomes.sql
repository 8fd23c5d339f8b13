-- What became of an event, with real entries in the books.
\ir prelude.psql
begin;
select plan(21);
select tap.tenant('t-outcomes') as t \gset
select set_config('app.tenant_id', :'t', true) as _ \gset
select wallet_id as w, program_id as p from loyalty.wallet where tenant_id = :'t' \gset
insert into loyalty.rule (tenant_id, rule_id, program_id, name, state, published_number) values (:'t', '01900000-0000-7000-8000-00000000c001', :'p', 'A point a pound', 'active', 1);
insert into loyalty.rule_version (tenant_id, rule_version_id, rule_id, number, document, program, checksum, catalogue_digest, published_at) values (:'t', '01900000-0000-7000-8000-00000000c002', '01900000-0000-7000-8000-00000000c001', 1, '{"effects": []}', '', '\x0102', '', now());

select tap.item('{"external_id": "1", "member": "ext:12347"}') as i \gset
select api.event_create(:'t', tap.call(), :'i') as _ \gset
select (:'i'::jsonb ->> 'id')::uuid as e, member_id as m from loyalty.member where tenant_id = :'t' \gset
select loyalty.id_text('evt', :'e') as evt, loyalty.id_text('mem', :'m') as mem \gset
select entry_id as ent from loyalty.book_earns(:'t', jsonb_build_array(jsonb_build_object('event', :'e', 'member', :'m', 'wallet', :'w', 'points', 139, 'at', '2010-12-01T08:26:00Z', 'rule', '01900000-0000-7000-8000-00000000c001', 'rule_version', '01900000-0000-7000-8000-00000000c002', 'order', null, 'shares', null))) \gset
insert into loyalty.evaluation (tenant_id, event_id, rule_version_id, outcome, points_raw, points, entry_id, trace) values (:'t', :'e', '01900000-0000-7000-8000-00000000c002', 'matched', '139.00', 139, :'ent', '{"v":1}');
insert into loyalty.event_outcome (tenant_id, event_id, status, processed_at, member_seq) values (:'t', :'e', 'processed', '2026-11-01', 1);

-- waited for
select * from tap.kept(api.event_result(:'t', tap.call(), :'e')) \gset
select is(:s, 200, 'a processed event');
select is(:'b'::jsonb ->> 'status', 'processed', 'says so');
select is(:'b'::jsonb ? 'duplicate', false, 'and is no duplicate');
select is(:'b'::jsonb #> '{entries,0,points}', '139', 'it has its entries');
select is((:'b'::jsonb #> '{entries,0,source}') - '{hold,redemption}'::text[], jsonb_build_object('event', :'evt', 'rule', 'rul_01j0000000e008000000001g01', 'rule_version', 1), 'with what made them');
select is(:'b'::jsonb #> '{balances,0,available}', '139', 'and the balances');
select is((:'c'::jsonb -> 0) - '{f,e}'::text[], jsonb_build_object('k', 'balance', 'm', :'m', 'o', 0, 'n', 1, 'w', 'points', 'b', '[139, 0, 0, 0, 139, 0, 0, 0]'::jsonb, 'v', 1), 'that the edge may keep');
select is(:'b'::jsonb ->> 'member', :'mem'::text, 'and its member');

-- sent again, read, in a batch
select * from tap.kept(api.event_create(:'t', tap.call(), :'i')) \gset
select is(:s || (:'b'::jsonb ->> 'duplicate') || (:'b'::jsonb #>> '{entries,0,points}'), '200true139', 'sent again it gives the stored outcome');
select is(:'c'::jsonb #>> '{0,k}', 'balance', 'and nothing to wait for');
select is((api.event_get(:'t', tap.call(), :'evt')).body::jsonb #> '{entries,0,points}', '139', 'a reader sees the entries');
select is((api.event_get(:'t', tap.call(), :'evt')).body::jsonb #>> '{order,lines,0,unit_price}', '2.55', 'and the order as it was sent');
select tap.item('{"external_id": "2", "member": "ext:12347"}') as j \gset
select api.event_create(:'t', tap.call(), :'j') as _ \gset
select * from tap.kept(api.event_batch_result(:'t', tap.call(), jsonb_build_object('object', 'batch', 'data', jsonb_build_array(
    jsonb_build_object('status', 202, 'id', :'evt'),
    jsonb_build_object('status', 202, 'id', loyalty.id_text('evt', (:'j'::jsonb ->> 'id')::uuid)),
    '{"status": 422, "problem": {"code": "x"}}'::jsonb)))) \gset
select is((select jsonb_agg(d -> 'status') from jsonb_array_elements(:'b'::jsonb -> 'data') d), '[200, 202, 422]', 'in a batch what is done is 200, the rest stays');
select is(:'b'::jsonb #> '{data,0,event,balances,0,available}', '139', 'with the event');
select is(jsonb_array_length(:'c'::jsonb), 1, 'and one fill for its member');

-- a refund whose order has not come
insert into loyalty.event_outcome (tenant_id, event_id, status, processed_at) values (:'t', (:'j'::jsonb ->> 'id')::uuid, 'waiting', '2026-11-01');
select * from tap.kept(api.event_result(:'t', tap.call(), (:'j'::jsonb ->> 'id')::uuid)) \gset
select is(:s, 202, 'one that waits for its order is not done');
select is(:'b'::jsonb ->> 'status', 'waiting', 'and says so');

-- why
select set_config('t.why', ops.entries_why(:'t', :'ent')::text, true) as _ \gset
select is(current_setting('t.why')::jsonb #>> '{evaluation,trace}', '{"v":1}', 'an entry knows its trace');
select is(current_setting('t.why')::jsonb -> 'rule' ->> 'name', 'A point a pound', 'its rule');
select is((current_setting('t.why')::jsonb #> '{movements,0}') - 'lot', '{"from": 10, "to": 2, "amount": 139}', 'and its movements');
select is(ops.entries_why(:'t', loyalty.uuid_v7()), null, 'an unknown one has no reason');
select * from finish();
rollback;
