\ir prelude.psql
begin;
select plan(42);
select tap.tenant('t-programs') as t \gset
select set_config('app.tenant_id', :'t', true) as _ \gset

select * from tap.kept(api.program_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000b001"}}'), '{"name": "Club", "return_policy": "within_balance", "refund_wait_hours": 48}')) \gset
select is(:s, 201, 'a program is made');
select is(:'b'::jsonb - '{created_at,updated_at}'::text[], '{"object": "program", "id": "prg_01j0000000e008000000001c01", "name": "Club", "status": "draft", "timezone": "UTC", "join_policy": "on_first_event", "return_policy": "within_balance", "refund_wait_hours": 48, "late_policy": "as_it_arrives", "metadata": {}, "version": 1}', 'as a draft, with the minted id and the defaults');
select :'b'::jsonb ->> 'id' as p \gset
select is(:'h'::text, 'Location: /v1/programs/' || :'p' || E'\nETag: "v1"\n', 'Location and ETag');
select is((api.program_create(:'t', tap.call(), '{"name": "x", "timezone": "Mars/Olympus"}')).body::jsonb #>> '{errors,0,pointer}', '/timezone', 'an unknown time zone is named');
select is((api.program_create(:'t', tap.call(), '{"name": "x", "timezone": "Europe/London"}')).status, 201::smallint, 'a known one is taken');
select is((api.program_get(:'t', tap.call(), :'p')).body::jsonb ->> 'name', 'Club', 'it is read');
select is((api.program_get(:'t', tap.call(), 'prg_01j0000000e008000000001801')).body::jsonb ->> 'code', 'program.not_found', 'an unknown one is not');

-- If-Match
select is((api.program_update(:'t', tap.call(), :'p', '{"name": "n"}')).status, 428::smallint, 'a change needs If-Match');
select is((api.program_update(:'t', tap.call('{"if_match": "\"v9\""}'), :'p', '{"name": "n"}')).status, 412::smallint, 'that of the present version');
select is((select name from loyalty.program where tenant_id = :'t' and program_id = loyalty.id_uuid('prg', :'p')), 'Club', 'else nothing is changed');
select * from tap.kept(api.program_update(:'t', tap.call('{"if_match": "\"v1\""}'), :'p', '{"name": "n", "metadata": {"a": "b"}}')) \gset
select is(:s, 200, 'with it the change is made');
select is(:'h'::text, E'ETag: "v2"\n', 'and the ETag moves on');
select is(:'b'::jsonb -> 'metadata', '{"a": "b"}', 'metadata');
select is(:'b'::jsonb -> 'refund_wait_hours', '48', 'what is not given stays');
select is((select count(*) from loyalty.change where tenant_id = :'t' and kind = 'program' and ref = loyalty.id_uuid('prg', :'p')::text), 2::bigint, 'each is told to the caches');

-- states
select is((api.program_pause(:'t', tap.call(), :'p')).body::jsonb ->> 'code', 'program.state', 'a draft cannot be paused');
select is((api.program_activate(:'t', tap.call(), :'p')).body::jsonb ->> 'status', 'active', 'it is activated');
select is((api.program_activate(:'t', tap.call(), :'p')).body::jsonb -> 'version', '3', 'once');
select is((api.program_pause(:'t', tap.call(), :'p')).body::jsonb ->> 'status', 'paused', 'paused');
select is((api.program_activate(:'t', tap.call(), :'p')).body::jsonb ->> 'status', 'active', 'and activated again');
select is((api.program_activate(:'t', tap.call('{"if_match": "\"v1\""}'), :'p')).status, 412::smallint, 'If-Match counts when it is sent');

-- lists
select is(jsonb_array_length((api.program_list(:'t', tap.call(), null, null)).body::jsonb -> 'data'), 3, 'all of them');
select * from tap.kept(api.program_list(:'t', tap.call(), null, '2')) \gset
select is(:'b'::jsonb -> 'has_more', 'true', 'a page');
select is(jsonb_array_length((api.program_list(:'t', tap.call(jsonb_build_object('cursor', tap.cursor(:'b'::jsonb ->> 'next_cursor'))), null, '2')).body::jsonb -> 'data'), 1, 'and the rest');
select is(jsonb_array_length((api.program_list(:'t', tap.call(), 'draft', null)).body::jsonb -> 'data'), 1, 'by status');

-- wallets
select generation as g from loyalty.tenant where tenant_id = :'t' \gset
select * from tap.kept(api.wallet_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000b002"}}'), :'p', '{"code": "stars", "unit": {"one": "star", "many": "stars"}, "scale": 2, "expiry": {"policy": "rolling", "days": 365}, "pending": {"policy": "after", "days": 14}}')) \gset
select is(:s, 201, 'a wallet is made');
select is(:'b'::jsonb - '{created_at,updated_at,id,program}'::text[], '{"object": "wallet", "code": "stars", "unit": {"one": "star", "many": "stars"}, "scale": 2, "pending": {"policy": "after", "days": 14, "event": null}, "expiry": {"policy": "rolling", "days": 365, "month": null}, "metadata": {}, "version": 1}', 'as it was asked for');
select :'b'::jsonb ->> 'id' as w \gset
select is((select ordinal from loyalty.wallet where tenant_id = :'t' and code = 'stars'), 1::smallint, 'in the next place of the tenant');
select is((select generation from loyalty.tenant where tenant_id = :'t'), :g + 1::bigint, 'cached balances are void');
select is((select array_agg(kind order by kind) from loyalty.change where tenant_id = :'t' and (ref = loyalty.id_uuid('wal', :'w')::text or ref = :'t' and kind = 'tenant' and change_id > (select min(change_id) from loyalty.change where tenant_id = :'t' and kind = 'tenant'))), array['tenant', 'wallet'], 'and told');
select is((api.wallet_create(:'t', tap.call(), :'p', '{"code": "stars"}')).body::jsonb ->> 'code', 'wallet.code_taken', 'a code is one wallet''s in the tenant');
select is((api.wallet_create(:'t', tap.call(), 'prg_01j0000000e008000000001801', '{"code": "c"}')).status, 404::smallint, 'of a program that stands');
select is((select jsonb_agg(e ->> 'pointer') from jsonb_array_elements((api.wallet_create(:'t', tap.call(), :'p', '{"code": "c", "pending": {"policy": "on_event"}, "expiry": {"policy": "calendar"}}')).body::jsonb -> 'errors') e), '["/pending/event", "/expiry/month"]', 'every fault is named');
select is((api.wallet_get(:'t', tap.call(), :'p', :'w')).headers, E'ETag: "v1"\n', 'it is read with its ETag');
select is((api.wallet_update(:'t', tap.call(), :'p', :'w', '{"pending": {"policy": "immediate"}}')).status, 428::smallint, 'a change needs If-Match');
select * from tap.kept(api.wallet_update(:'t', tap.call('{"if_match": "\"v1\""}'), :'p', :'w', '{"pending": {"policy": "immediate"}}')) \gset
select is(:'b'::jsonb -> 'pending', '{"policy": "immediate", "days": null, "event": null}', 'a policy is replaced as a whole');
select is(:'b'::jsonb -> 'expiry', '{"policy": "rolling", "days": 365, "month": null}', 'the other stays');
select is((api.wallet_update(:'t', tap.call('{"if_match": "\"v2\""}'), :'p', :'w', '{"expiry": {"policy": "calendar"}}')).status, 422::smallint, 'faults are refused here too');
select is((select jsonb_agg(d ->> 'code') from jsonb_array_elements((api.wallet_list(:'t', tap.call(), :'p', null)).body::jsonb -> 'data') d), '["stars"]', 'wallets of one program');
select is((api.wallet_list(:'t', tap.call(), 'prg_01j0000000e008000000001801', null)).status, 404::smallint, 'that stands');
select is((api.wallet_create(:'t', tap.call('{"idempotency_key": "w", "body_mac": "00"}'), :'p', '{"code": "c"}')).status, 201::smallint, 'with an Idempotency-Key');
select matches((api.wallet_create(:'t', tap.call('{"idempotency_key": "w", "body_mac": "00"}'), :'p', '{"code": "c"}')).headers, 'Replayed', 'it is made once');
select * from finish();
rollback;
