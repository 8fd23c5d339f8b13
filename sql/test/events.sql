\ir prelude.psql
begin;
select plan(58);
select tap.tenant('t-events') as t \gset
select set_config('app.tenant_id', :'t', true) as _ \gset

-- one event
select tap.item('{"external_id": "1", "member": "ext:12347"}') as i \gset
select * from tap.kept(api.event_create(:'t', tap.call(), :'i')) \gset
select is(:s, 202, 'an event is received');
select is(:'b'::jsonb, jsonb_build_object('object', 'event', 'id', loyalty.id_text('evt', (:'i'::jsonb ->> 'id')::uuid), 'status', 'received'), 'with its id');
select is(:'h'::text, 'Location: /v1/events/' || (:'b'::jsonb ->> 'id') || E'\n', 'and its place');
select member_id as m from loyalty.member_external where tenant_id = :'t' and external_id = '12347' \gset
select is(:'c'::jsonb, jsonb_build_array(jsonb_build_object('k', 'wait', 'id', :'i'::jsonb -> 'id'), '{"k": "poke", "l": "rules"}'::jsonb, jsonb_build_object('k', 'alias', 'r', 'ext:12347', 'm', :'m')), 'what to wait for, a poke, and whom the reference names');
select is((select array_agg(x.source) from loyalty.member_external x where x.tenant_id = :'t'), array['shop'], 'its member is enrolled under its source');
select is((select facts from loyalty.event where tenant_id = :'t'), :'i'::jsonb -> 'event' #- '{member}', 'its facts are kept as they were sent, without the member');
select is((select array[l.event_id, l.member_id] from loyalty.event_log l where l.tenant_id = :'t'), array[(:'i'::jsonb ->> 'id')::uuid, :'m'::uuid], 'the log has it');
select is((select l.shard from loyalty.event_log l where l.tenant_id = :'t'), loyalty.shard_of(:'m'), 'in the shard of its member');
select is((select count(*) from loyalty.change where tenant_id = :'t' and kind = 'member' and ref = :'m'), 0::bigint, 'caches are not told: none can hold it');

-- the same again
select * from tap.kept(api.event_create(:'t', tap.call(), :'i'::jsonb || jsonb_build_object('id', loyalty.uuid_v7()))) \gset
select is(:s, 200, 'the same again is 200');
select is(:'b'::jsonb -> 'duplicate', 'true', 'and a duplicate');
select is(:'b'::jsonb ->> 'id', loyalty.id_text('evt', (:'i'::jsonb ->> 'id')::uuid), 'with the id of the first');
select is(:'b'::jsonb ->> 'status', 'received', 'and its present status');
select is(:'c'::jsonb #>> '{0,id}', :'i'::jsonb ->> 'id', 'that a caller may still wait for');
select * from tap.kept(api.event_create(:'t', tap.call(), :'i'::jsonb || '{"mac": "01"}')) \gset
select is(:s, 409, 'other content under the same key is refused');
select is(:'b'::jsonb ->> 'code', 'event.conflict', 'as a conflict');
select is((select count(*) from loyalty.event where tenant_id = :'t'), 1::bigint, 'nothing was written for either');

-- members
select is((api.event_create(:'t', tap.call(), tap.item('{"external_id": "2"}'))).status, 202::smallint, 'a guest''s order is received');
select is((select array[l.member_id::text, l.shard::text] from loyalty.event_log l join loyalty.event e using (tenant_id, event_id) where l.tenant_id = :'t' and e.external_id = '2'), (select array[null, loyalty.shard_of(e.event_id)::text] from loyalty.event e where e.tenant_id = :'t' and e.external_id = '2'), 'in the shard of the event, with no member');
select is((api.event_create(:'t', tap.call(), tap.item('{"external_id": "3", "member": null}'))).status, 202::smallint, 'null is a guest too');
select is((api.event_create(:'t', tap.call(), tap.item('{"external_id": "4", "source": "till", "member": "ext:12347"}'))).status, 202::smallint, 'another source names the one member with that id');
select is((select count(*) from loyalty.member where tenant_id = :'t'), 1::bigint, 'and makes no second');
select is((select array_agg(distinct member_id) from loyalty.event where tenant_id = :'t' and external_id in ('1', '4')), array[:'m'::uuid], 'both events are the member''s');
select is((api.event_create(:'t', tap.call(), tap.item('{"external_id": "5", "member": "ext:till:12347"}'))).status, 202::smallint, 'an exact reference under a known source enrols');
select is((select count(*) from loyalty.member_external where tenant_id = :'t' and external_id = '12347' and source = 'till'), 1::bigint, 'under that source');
select is((api.event_create(:'t', tap.call(), tap.item('{"external_id": "6", "source": "web", "member": "ext:12347"}'))).body::jsonb ->> 'code', 'member.ambiguous', 'two members with the id and none under the event''s source is ambiguous');
select is((api.event_create(:'t', tap.call(), tap.item('{"external_id": "7", "source": "till", "member": "ext:12347"}'))).status, 202::smallint, 'the event''s source decides');
select isnt((select member_id from loyalty.event where tenant_id = :'t' and external_id = '7'), :'m'::uuid, 'for its own');
select is((api.event_create(:'t', tap.call(), tap.item('{"external_id": "8", "member": "ext:gid://shopify/Customer/1"}'))).status, 202::smallint, 'an id may hold colons and slashes');
select is((select count(*) from loyalty.member_external where tenant_id = :'t' and external_id = 'gid://shopify/Customer/1' and source = 'shop'), 1::bigint, 'its head is no source');
select is((api.event_create(:'t', tap.call(), tap.item(jsonb_build_object('external_id', '9', 'member', loyalty.id_text('mem', :'m'))))).status, 202::smallint, 'by its own id');
select * from tap.kept(api.event_create(:'t', tap.call(), tap.item(jsonb_build_object('external_id', '10', 'member', loyalty.id_text('mem', loyalty.uuid_v7()))))) \gset
select is(:s, 422, 'an unknown id of ours is refused');
select is(:'b'::jsonb #>> '{errors,0,pointer}', '/member', 'with its place');
select is((select count(*) from loyalty.event_key where tenant_id = :'t' and external_id = '10'), 0::bigint, 'its natural key stays free');
update loyalty.member set status = 'blocked' where tenant_id = :'t' and member_id = :'m';
select is((api.event_create(:'t', tap.call(), tap.item('{"external_id": "11", "member": "ext:shop:12347"}'))).body::jsonb ->> 'code', 'member.blocked', 'a blocked member takes no part');
select is((api.event_create(:'t', tap.call(), :'i'::jsonb)).status, 200::smallint, 'what it sent before is still a duplicate');
update loyalty.member set status = 'active' where tenant_id = :'t' and member_id = :'m';
update loyalty.program set join_policy = 'explicit' where tenant_id = :'t';
select is((api.event_create(:'t', tap.call(), tap.item('{"external_id": "12", "member": "ext:new"}'))).body::jsonb ->> 'code', 'member.not_found', 'where joining is explicit an event enrols nobody');
update loyalty.program set join_policy = 'on_first_event' where tenant_id = :'t';

-- batches
select set_config('t.items', jsonb_build_array(
    tap.item('{"external_id": "b1", "member": "ext:n1"}'),
    '{"status": 422, "problem": {"code": "value.type", "status": 422}}'::jsonb,
    tap.item('{"external_id": "b2", "member": "ext:n2"}'),
    tap.item('{"external_id": "b1", "member": "ext:n1"}'),
    tap.item('{"external_id": "b1", "member": "ext:n1"}', '02'),
    tap.item('{"external_id": "1", "member": "ext:12347"}'),
    tap.item('{"external_id": "b3", "source": "web", "member": "ext:12347"}'),
    tap.item('{"external_id": "b4", "member": "ext:n1", "source": "till"}'),
    tap.item('{"external_id": "b5"}'))::text, true) as _ \gset
select * from tap.kept(api.event_batch(:'t', tap.call(), jsonb_build_object('items', current_setting('t.items')::jsonb))) \gset
select is(:s, 200, 'a batch answers 200');
select is((select jsonb_agg(d -> 'status') from jsonb_array_elements(:'b'::jsonb -> 'data') d), '[202, 422, 202, 200, 409, 200, 409, 202, 202]', 'with one outcome an item, in order');
select is(:'b'::jsonb #>> '{data,1,problem,code}', 'value.type', 'what the module refused stays so');
select is(:'b'::jsonb #> '{data,3,duplicate}', 'true', 'the same key twice in one batch is 202, then 200');
select is(:'b'::jsonb #>> '{data,3,id}', :'b'::jsonb #>> '{data,0,id}', 'with the id of the first');
select is(:'b'::jsonb #>> '{data,4,problem,code}', 'event.conflict', 'or 409 with other content');
select is(:'b'::jsonb #>> '{data,6,problem,code}', 'member.ambiguous', 'an ambiguous member refuses its item alone');
select is((select count(*) from jsonb_array_elements(:'c'::jsonb) c where c ->> 'k' = 'wait'), 6::bigint, 'six to wait for: new ones, and twins that may still be evaluated');
select is((select count(distinct member_id) from loyalty.event where tenant_id = :'t' and external_id in ('b1', 'b4')), 1::bigint, 'two sources in one batch make one member');
select is((select array_agg(e.external_id order by l.log_id) from loyalty.event_log l join loyalty.event e using (tenant_id, event_id) where l.tenant_id = :'t' and e.external_id like 'b%'), array['b1', 'b2', 'b4', 'b5'], 'the log keeps the batch''s order');
select * from tap.kept(api.event_batch(:'t', tap.call(), jsonb_build_object('items', jsonb_build_array(tap.item('{"external_id": "u1"}'), tap.item('{"external_id": "u2", "occurred_at": "no time"}'), tap.item('{"external_id": "u3"}'))))) \gset
select is((select jsonb_agg(d -> 'status') from jsonb_array_elements(:'b'::jsonb -> 'data') d), '[202, 422, 202]', 'something unforeseen in one item harms no other');
select is((select count(*) from loyalty.event_log l where l.tenant_id = :'t'), (select count(*) from loyalty.event e where e.tenant_id = :'t'), 'every event stands in the log once');

-- what became of it
select is((api.event_result(:'t', tap.call(), (:'i'::jsonb ->> 'id')::uuid)).status, 202::smallint, 'not processed yet');
insert into loyalty.event_outcome (tenant_id, event_id, status, processed_at) values (:'t', (:'i'::jsonb ->> 'id')::uuid, 'processed', '2026-11-01');
select * from tap.kept(api.event_result(:'t', tap.call(), (:'i'::jsonb ->> 'id')::uuid)) \gset
select is(:'b'::jsonb #> '{balances,0,available}', '0', 'processed it has the balances');
select is(:'c'::jsonb #>> '{0,k}', 'balance', 'which the edge may keep');
select is((api.event_batch_result(:'t', tap.call(), jsonb_build_object('data', jsonb_build_array(jsonb_build_object('status', 202, 'id', loyalty.id_text('evt', (:'i'::jsonb ->> 'id')::uuid)), '{"status": 409}'::jsonb)))).body::jsonb #> '{data,0,event,entries}', '[]', 'in a batch the event stands in its item');
update loyalty.event set sealed = 'c2VhbGVk', wrapped = 'key' where tenant_id = :'t' and external_id = '1';
select is((api.event_get(:'t', tap.call(), loyalty.id_text('evt', (:'i'::jsonb ->> 'id')::uuid))).body::jsonb ->> 'attributes', 'lys1.00112233445566778899aabbccddeeff.' || (:'i'::jsonb ->> 'id') || '.attributes.a2V5.c2VhbGVk', 'a reader gets its sealed attributes as a marker');
select is((api.event_get(:'t', tap.call(), 'evt_01j0000000e008000000001801')).status, 404::smallint, 'an unknown event is not found');
select is(jsonb_array_length((api.event_list(:'t', tap.call(), 'ext:n1', null, null, null, null)).body::jsonb -> 'data'), 2, 'events of a member');
select is((select jsonb_agg(d -> 'external_id') from jsonb_array_elements((api.event_list(:'t', tap.call(), null, null, 'till', null, null)).body::jsonb -> 'data') d), '["b4", "7", "4"]', 'of a source, newest first');
select is(jsonb_array_length((api.event_list(:'t', tap.call(), null, null, null, 'b1', null)).body::jsonb -> 'data'), 1, 'by external id');
select * from finish();
rollback;
