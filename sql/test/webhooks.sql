\ir prelude.psql
begin;
select plan(36);
select tap.tenant('t-webhooks') as t \gset
select tap.tenant('t-webhooks-live', '{"mode": "live"}') as live \gset
select set_config('app.tenant_id', :'t', true) as _ \gset

select * from tap.kept(api.endpoint_create(:'t', tap.call('{"idempotency_key": "e", "body_mac": "00", "minted": {"id": "01900000-0000-7000-8000-00000000d001", "wrapped_key": "a2V5", "secret_sealed": "c2VjcmV0"}}'), '{"url": "https://shop.example/hook", "event_types": ["points.*"]}')) \gset
select is(:s, 201, 'an endpoint is made');
select is(:'b'::jsonb - '{created_at,updated_at,secret}'::text[], '{"object": "webhook_endpoint", "id": "whe_01j0000000e008000000001m01", "url": "https://shop.example/hook", "event_types": ["points.*"], "description": null, "status": "active", "api_version": "2026-11-01", "sequence": 0, "failing_since": null, "metadata": {}, "version": 1}', 'as it was asked for');
select is(:'b'::jsonb ->> 'secret', 'lys1.00112233445566778899aabbccddeeff.01900000-0000-7000-8000-00000000d001.secret.a2V5.c2VjcmV0', 'its secret leaves as a marker, this once');
select :'b'::jsonb ->> 'id' as e \gset
select is((select s.sealed || ' ' || encode(s.wrapped, 'escape') from loyalty.endpoint_secret s where s.tenant_id = :'t'), 'c2VjcmV0 key', 'what opens it stands');
select is((api.endpoint_get(:'t', tap.call(), :'e')).body::jsonb ? 'secret', false, 'reading it shows no secret');
select is((select jsonb_agg(f ->> 'pointer') from jsonb_array_elements((api.endpoint_create(:'t', tap.call(), '{"url": "https://u@shop.example/#x", "event_types": ["points.*", "Bad"]}')).body::jsonb -> 'errors') f), '["/url", "/event_types/1"]', 'every fault is named');
select is((api.endpoint_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000d002", "wrapped_key": "a2V5", "secret_sealed": "c2VjcmV0"}}'), '{"url": "http://127.0.0.1:9999/", "event_types": ["*"]}')).status, 201::smallint, 'http in a test tenant');
select is((api.endpoint_create(:'live', tap.call(), '{"url": "http://shop.example/", "event_types": ["*"]}')).body::jsonb #>> '{errors,0,pointer}', '/url', 'https alone in a live one');
select is((api.endpoint_create(:'t', tap.call(), jsonb_build_object('url', 'https://x.example/' || repeat('a', 2048), 'event_types', '["*"]'::jsonb))).status, 422::smallint, 'a long URL is refused');

-- changes
select is((api.endpoint_update(:'t', tap.call(), :'e', '{"status": "disabled"}')).status, 428::smallint, 'a change needs If-Match');
select is((api.endpoint_update(:'t', tap.call('{"if_match": "\"v7\""}'), :'e', '{"status": "disabled"}')).status, 412::smallint, 'of the present version');
select is((api.endpoint_update(:'t', tap.call('{"if_match": "\"v1\""}'), :'e', '{"url": "ftp://x"}')).status, 422::smallint, 'a fault is refused');
update loyalty.webhook_endpoint set fail_since = now(), status = 'failing' where tenant_id = :'t';
select * from tap.kept(api.endpoint_update(:'t', tap.call('{"if_match": "\"v1\""}'), :'e', '{"status": "active", "description": "d", "event_types": ["*"]}')) \gset
select is(:s, 200, 'then it is changed');
select is(:'b'::jsonb ->> 'status', 'active', 'active again');
select is(:'b'::jsonb -> 'failing_since', 'null', 'it starts afresh');
select is(:'b'::jsonb ->> 'url', 'https://shop.example/hook', 'what is not given stays');
select is((api.endpoint_update(:'t', tap.call('{"if_match": "\"v2\""}'), :'e', '{"description": null}')).body::jsonb -> 'description', 'null', 'null removes');
select is((api.endpoint_update(:'t', tap.call(), 'whe_01j0000000e008000000001801', '{}')).status, 404::smallint, 'an unknown one is not found');

-- test
select * from tap.kept(api.endpoint_test(:'t', tap.call(), :'e')) \gset
select is(:s, 202, 'a test is sent');
select is(:'b'::jsonb - 'id', jsonb_build_object('object', 'webhook_message', 'type', 'endpoint.test', 'endpoint', :'e'), 'as a message');
select is((select data ->> 'endpoint' from loyalty.outbox where tenant_id = :'t' and type = 'endpoint.test'), :'e'::text, 'to that endpoint alone');
select is((select loyalty.id_text('msg', message_id) from loyalty.outbox where tenant_id = :'t' and type = 'endpoint.test'), :'b'::jsonb ->> 'id', 'with this id');
update loyalty.webhook_endpoint set status = 'disabled' where tenant_id = :'t' and endpoint_id = '01900000-0000-7000-8000-00000000d002';
select is((api.endpoint_test(:'t', tap.call(), 'whe_01j0000000e008000000001m02')).body::jsonb ->> 'code', 'endpoint.state', 'not to a disabled one');

-- deliveries
insert into loyalty.delivery (tenant_id, delivery_id, endpoint_id, message_id, sequence, status, attempt, body)
select :'t', ('01900000-0000-7000-8000-00000000e00' || n)::uuid, '01900000-0000-7000-8000-00000000d001', loyalty.uuid_v7(), n, case n when 2 then 'delivered' else 'retrying' end, 1, '{"type": "points.earned"}' from generate_series(1, 3) n;
insert into loyalty.delivery_attempt (tenant_id, delivery_id, attempt, started_at, ms, status, error, response) values (:'t', '01900000-0000-7000-8000-00000000e003', 1, '2026-11-01', 12, 500, null, 'no');
select * from tap.kept(api.delivery_list(:'t', tap.call(), null, null, '2')) \gset
select is(:'b'::jsonb #> '{data,0,sequence}', '3', 'deliveries, newest first');
select is(:'b'::jsonb #> '{data,0,last_attempt}', '{"attempt": 1, "started_at": "2026-11-01T00:00:00.000000Z", "duration_ms": 12, "status": 500, "error": null, "response": "no"}', 'with their last attempt');
select is(:'b'::jsonb #>> '{data,0,type}', 'points.earned', 'and type');
select is(:'b'::jsonb #> '{data,1,next_at}', 'null', 'a delivered one has no next time');
select is(jsonb_array_length((api.delivery_list(:'t', tap.call(jsonb_build_object('cursor', tap.cursor(:'b'::jsonb ->> 'next_cursor'))), null, null, '2')).body::jsonb -> 'data'), 1, 'and the rest');
select is(jsonb_array_length((api.delivery_list(:'t', tap.call(), :'e', 'delivered', null)).body::jsonb -> 'data'), 1, 'by endpoint and status');
select is((api.delivery_list(:'t', tap.call(), 'whe_01j0000000e008000000001m02', null, null)).body::jsonb -> 'data', '[]', 'of another endpoint there are none');

-- deletion
select is((api.endpoint_delete(:'t', tap.call(), :'e')).status, 428::smallint, 'deletion needs If-Match');
select is((api.endpoint_delete(:'t', tap.call('{"if_match": "\"v3\""}'), :'e')).status, 204::smallint, 'then it is gone');
select is((api.endpoint_get(:'t', tap.call(), :'e')).status, 404::smallint, 'for readers');
select is((select count(*) from loyalty.endpoint_secret where tenant_id = :'t' and endpoint_id = '01900000-0000-7000-8000-00000000d001'), 0::bigint, 'its secrets too');
select is((select jsonb_agg(d ->> 'status') from jsonb_array_elements((api.delivery_list(:'t', tap.call(), null, null, null)).body::jsonb -> 'data') d), '["failed", "delivered", "failed"]', 'its deliveries stay, those on their way have failed');
select is(jsonb_array_length((api.endpoint_list(:'t', tap.call(), null)).body::jsonb -> 'data'), 1, 'the list has what is left');
select * from finish();
rollback;
