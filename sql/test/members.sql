\ir prelude.psql
begin;
select plan(58);
select tap.tenant('t-members') as t \gset

-- enrolment
select * from tap.kept(api.member_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a001", "wrapped_key": "a2V5MQ=="}, "blind": {"email": "0a0b"}}'),
    '{"external_id": "12347", "source": "shop", "email": "c2VhbGVk", "given_name": "QWRh"}')) \gset
select is(:s, 201, 'an unknown external id is enrolled');
select is(:'h'::text, E'Location: /v1/members/mem_01j0000000e008000000001801\nETag: "v1"\n', 'Location and ETag');
select is(:'b'::jsonb #> '{external_ids}', '[{"source": "shop", "id": "12347"}]', 'its external id');
select is(:'b'::jsonb ->> 'email', 'lys1.00112233445566778899aabbccddeeff.01900000-0000-7000-8000-00000000a001.email.a2V5MQ==.c2VhbGVk', 'a sealed field leaves as a marker');
select is(:'b'::jsonb -> 'family_name', 'null', 'a field that is not there is null');
select is(:'b'::jsonb ->> 'status', 'active', 'it is active');
select is(:'c'::jsonb, '[{"k": "member", "m": "01900000-0000-7000-8000-00000000a001"}]', 'the edge forgets what it knew');
select is((select count(*) from loyalty.data_key where tenant_id = :'t' and object_id = '01900000-0000-7000-8000-00000000a001'), 1::bigint, 'its key is kept');
select is((select count(*) from loyalty.change where tenant_id = :'t' and kind = 'member' and ref = '01900000-0000-7000-8000-00000000a001'), 1::bigint, 'caches are told');
select is((select shard from loyalty.member where tenant_id = :'t'), 1::smallint, 'the shard is the last byte of the id');

-- the same again
select * from tap.kept(api.member_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a002", "wrapped_key": "a2V5Mg=="}}'), '{"external_id": "12347", "source": "shop"}')) \gset
select is(:s, 200, 'a known external id answers 200');
select is(:'b'::jsonb ->> 'version', '1', 'and nothing is changed without fields');
select * from tap.kept(api.member_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a002", "wrapped_key": "a2V5Mg=="}, "idempotency_key": "k0", "body_mac": "00"}'), '{"external_id": "12347", "source": "shop", "phone": "eA=="}')) \gset
select is(:s, 0, 'fields sealed under another key are asked for again');
select is(:'b'::jsonb, '{"object_id": "01900000-0000-7000-8000-00000000a001", "wrapped_key": "a2V5MQ=="}', 'under the stored key');
select is((select count(*) from loyalty.idempotency where tenant_id = :'t'), 0::bigint, 'nothing is written for that');
select * from tap.kept(api.member_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a001", "wrapped_key": "a2V5MQ=="}, "idempotency_key": "k0", "body_mac": "00"}'), '{"external_id": "12347", "source": "shop", "phone": "eA=="}')) \gset
select is(:s, 200, 'sealed again it is merged');
select is((select sealed from loyalty.member where tenant_id = :'t'), '{"email": "c2VhbGVk", "given_name": "QWRh", "phone": "eA=="}', 'the other fields stay');
select is(:'b'::jsonb ->> 'version', '2', 'the version moves on');
select * from tap.kept(api.member_create(:'t', tap.call('{"nonce": "ffffffffffffffffffffffffffffffff", "minted": {"id": "01900000-0000-7000-8000-00000000a001", "wrapped_key": "a2V5MQ=="}, "idempotency_key": "k0", "body_mac": "00"}'), '{"external_id": "12347", "source": "shop", "phone": "eA=="}')) \gset
select is(:s, 200, 'a replay has the stored status');
select matches(:'h'::text, 'Idempotent-Replayed: true', 'and says so');
select matches(:'b'::text, 'lys1.ffffffffffffffffffffffffffffffff', 'its markers carry the nonce of this request');
select is((select version from loyalty.member where tenant_id = :'t'), 2::bigint, 'and nothing is done twice');
select * from tap.kept(api.member_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a001", "wrapped_key": "a2V5MQ=="}, "idempotency_key": "k0", "body_mac": "01"}'), '{"external_id": "99"}')) \gset
select is(:s, 422, 'the key with another body is refused');

-- sources
select * from tap.kept(api.member_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a003"}}'), '{"external_id": "12347"}')) \gset
select is(:'b'::jsonb ->> 'id', 'mem_01j0000000e008000000001801', 'without a source it is the one member under any');
select * from tap.kept(api.member_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a003", "wrapped_key": "a2V5Mw=="}}'), '{"external_id": "12347", "source": "till"}')) \gset
select is(:s, 201, 'another source makes another member');
select is((api.member_get(:'t', tap.call(), 'ext:12347')).status, 409::smallint, 'then the bare reference is ambiguous');
select is((api.member_lookup(:'t', tap.call(), '12347', null)).body::jsonb ->> 'code', 'member.ambiguous', 'and so is the look-up');
select is((api.member_lookup(:'t', tap.call(), '12347', 'till')).body::jsonb ->> 'id', 'mem_01j0000000e008000000001803', 'a source decides');
select is((api.member_get(:'t', tap.call(), 'ext:till:12347')).body::jsonb ->> 'id', 'mem_01j0000000e008000000001803', 'in a reference too');
select is((api.member_create(:'t', tap.call(), '{"external_id": "12347"}')).status, 409::smallint, 'enrolment without a source is ambiguous then');
select is((api.member_lookup(:'t', tap.call(), 'nobody', null)).status, 404::smallint, 'an unknown one is not found');
select is((api.member_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a004"}}'), '{"external_id": "f", "enrolled_at": "2999-01-01T00:00:00Z"}')).body::jsonb #>> '{errors,0,pointer}', '/enrolled_at', 'nobody is enrolled in the future');

-- change
select * from tap.kept(api.member_update(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a0ff", "wrapped_key": "eHg="}}'), 'ext:shop:12347', '{"given_name": "bmV3"}')) \gset
select is(:s, 0, 'a change of sealed fields is sealed under the key of the member');
select * from tap.kept(api.member_update(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a001", "wrapped_key": "a2V5MQ=="}}'), 'ext:shop:12347', '{"given_name": "bmV3", "email": null}')) \gset
select is(:s, 200, 'and then done');
select is((select sealed from loyalty.member where tenant_id = :'t' and member_id = '01900000-0000-7000-8000-00000000a001'), '{"given_name": "bmV3", "phone": "eA=="}', 'null removes a field');
select is((select email_blind from loyalty.member where tenant_id = :'t' and member_id = '01900000-0000-7000-8000-00000000a001'), null, 'with its blind index');
select is((api.member_update(:'t', tap.call(), 'ext:shop:12347', '{"status": "inactive"}')).body::jsonb ->> 'status', 'inactive', 'the status needs no key');
select is((api.member_update(:'t', tap.call(), 'ext:shop:12347', '{"external_id": "card-1", "source": "pos"}')).body::jsonb #> '{external_ids}', '[{"id": "card-1", "source": "pos"}, {"id": "12347", "source": "shop"}]', 'one more external id');
select is((api.member_get(:'t', tap.call(), 'ext:card-1')).body::jsonb ->> 'id', 'mem_01j0000000e008000000001801', 'by which it is found');
select is((api.member_update(:'t', tap.call(), 'ext:till:12347', '{"external_id": "card-1", "source": "pos"}')).body::jsonb ->> 'code', 'member.external_id_taken', 'that another cannot have');
update loyalty.member set status = 'blocked' where tenant_id = :'t' and member_id = '01900000-0000-7000-8000-00000000a003';
select is((api.member_update(:'t', tap.call(), 'ext:till:12347', '{"status": "active"}')).body::jsonb ->> 'code', 'member.state', 'a blocked member is not made active by PATCH');
select is((api.member_update(:'t', tap.call(), 'ext:nobody', '{"status": "active"}')).status, 404::smallint, 'an unknown member is not found');
select is((api.member_update(:'t', tap.call('{"idempotency_key": "k1", "body_mac": "00"}'), 'ext:nobody', '{"status": "active"}')).status, 404::smallint, 'a refusal is stored');
select matches((api.member_update(:'t', tap.call('{"idempotency_key": "k1", "body_mac": "00"}'), 'ext:nobody', '{"status": "active"}')).headers, 'Replayed', 'and replayed');

-- a member that an event enrolled has no key yet
select set_config('app.tenant_id', :'t', true) \gset _
select member_id as e from loyalty.members_enrol(:'t', array['ev-1'], array['shop'], array[false]) \gset
select * from tap.kept(api.member_update(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000a0fe", "wrapped_key": "eHg="}}'), 'ext:ev-1', '{"phone": "cA=="}')) \gset
select is(:'b'::jsonb, jsonb_build_object('object_id', :'e', 'wrapped_key', null), 'a member without a key asks for a new one');
select * from tap.kept(api.member_update(:'t', tap.call(jsonb_build_object('minted', jsonb_build_object('id', :'e', 'wrapped_key', 'bmV3'))), 'ext:ev-1', '{"phone": "cA=="}')) \gset
select is(:s, 200, 'and takes it');
select is((select encode(wrapped, 'escape') from loyalty.data_key where tenant_id = :'t' and object_id = :'e'), 'new', 'for good');
select is((api.member_update(:'t', tap.call(jsonb_build_object('minted', jsonb_build_object('id', :'e', 'wrapped_key', 'b3RoZXI='))), 'ext:ev-1', '{"phone": "cA=="}')).status, 0::smallint, 'a twin that minted another is asked again');

-- erased and merged
delete from loyalty.data_key where tenant_id = :'t' and object_id = :'e';
select is((api.member_get(:'t', tap.call(), 'ext:ev-1')).body::jsonb -> 'phone', 'null', 'without its key a field is null');
update loyalty.member set status = 'erased' where tenant_id = :'t' and member_id = :'e';
select is((api.member_get(:'t', tap.call(), 'ext:ev-1')).status, 404::smallint, 'an erased member is not found');
update loyalty.member set status = 'merged', merged_into = '01900000-0000-7000-8000-00000000a001' where tenant_id = :'t' and member_id = :'e';
select is((api.member_get(:'t', tap.call(), 'ext:ev-1')).body::jsonb ->> 'id', 'mem_01j0000000e008000000001801', 'a merged one is the one it went into');

-- lists
select * from tap.kept(api.member_list(:'t', tap.call(), null, null, '2')) \gset
select is(jsonb_array_length(:'b'::jsonb -> 'data'), 2, 'a page has the elements asked for');
select is(:'b'::jsonb ->> 'has_more', 'true', 'there is more');
select tap.cursor(:'b'::jsonb ->> 'next_cursor') as cur \gset
select * from tap.kept(api.member_list(:'t', tap.call(jsonb_build_object('cursor', :'cur'::jsonb)), null, null, '2')) \gset
select is(:'b'::jsonb -> 'has_more', 'false', 'the next page is the last');
select is(:'b'::jsonb #>> '{data,0,id}', 'mem_01j0000000e008000000001801', 'with the oldest member');
select is(jsonb_array_length((api.member_list(:'t', tap.call(), 'blocked', null, null)).body::jsonb -> 'data'), 1, 'by status');
update loyalty.member set email_blind = '\x0a0b' where tenant_id = :'t' and member_id = '01900000-0000-7000-8000-00000000a001';
select is((api.member_list(:'t', tap.call('{"blind": {"email": "0a0b"}}'), null, 'x', null)).body::jsonb #>> '{data,0,id}', 'mem_01j0000000e008000000001801', 'by address, through its blind index');
select is((api.member_list(:'t', tap.call(), null, 'x', null)).body::jsonb -> 'data', '[]', 'an address without an index matches nobody');
select * from finish();
rollback;
