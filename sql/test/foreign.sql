-- What belongs to another tenant does not exist: 404 in a path and 422 in a body, the same bytes
-- as for what exists nowhere.
\ir prelude.psql
begin;
select plan(29);
select tap.tenant('t-own') as own \gset
select tap.tenant('t-other') as other \gset
select tap.call('{"if_match": "*", "minted": {"id": "01900000-0000-7000-8000-00000000e0f0", "wrapped_key": "a2V5", "secret_sealed": "c2VjcmV0"}}') as call \gset

-- one of each in the other tenant
select set_config('app.tenant_id', :'other', true) as _ \gset
select loyalty.id_text('prg', program_id) as program from loyalty.program where tenant_id = :'other' \gset
select loyalty.id_text('wal', wallet_id) as wallet from loyalty.wallet where tenant_id = :'other' \gset
select body::jsonb ->> 'id' as member from api.member_create(:'other', :'call', '{"external_id": "secret-1", "source": "shop", "phone": "eA=="}') \gset
select body::jsonb ->> 'id' as event from api.event_create(:'other', :'call', tap.item('{"external_id": "1", "member": "ext:secret-1"}')) \gset
select body::jsonb ->> 'id' as rule from api.rule_create(:'other', :'call', jsonb_build_object('program', :'program', 'name', 'x', 'draft', '{"a": 1}'::jsonb)) \gset
select body::jsonb ->> 'id' as endpoint from api.endpoint_create(:'other', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000e0f1", "wrapped_key": "a2V5", "secret_sealed": "c2VjcmV0"}}'), '{"url": "https://x.example/", "event_types": ["*"]}') \gset
insert into loyalty.command (tenant_id, command_id, kind, args, principal, state, status, answer) values (:'other', '01900000-0000-7000-8000-00000000e0f2', 'x', '{}', '{}', 'done', 200, '{"secret": 1}');
select loyalty.id_uuid('evt', :'event') as event_uuid \gset

create function tap.alike(p_own api.answer, p_none api.answer, p_status int, p_what text)
returns text language sql as $$
    select tap.is(array[(p_own).status::text, (p_own).body, (p_own).headers, (p_own).changes],
                  array[p_status::text, (p_none).body, (p_none).headers, (p_none).changes], p_what)
$$;
\set none '01j0000000e008000000001801'
select tap.alike(api.program_get(:'own', :'call', :'program'), api.program_get(:'own', :'call', 'prg_' || :'none'), 404, 'program_get');
select tap.alike(api.program_update(:'own', :'call', :'program', '{"name": "x"}'), api.program_update(:'own', :'call', 'prg_' || :'none', '{"name": "x"}'), 404, 'program_update');
select tap.alike(api.program_activate(:'own', :'call', :'program'), api.program_activate(:'own', :'call', 'prg_' || :'none'), 404, 'program_activate');
select tap.alike(api.program_pause(:'own', :'call', :'program'), api.program_pause(:'own', :'call', 'prg_' || :'none'), 404, 'program_pause');
select tap.alike(api.wallet_list(:'own', :'call', :'program', null), api.wallet_list(:'own', :'call', 'prg_' || :'none', null), 404, 'wallet_list');
select tap.alike(api.wallet_create(:'own', :'call', :'program', '{"code": "x"}'), api.wallet_create(:'own', :'call', 'prg_' || :'none', '{"code": "x"}'), 404, 'wallet_create');
select tap.alike(api.wallet_get(:'own', :'call', :'program', :'wallet'), api.wallet_get(:'own', :'call', 'prg_' || :'none', 'wal_' || :'none'), 404, 'wallet_get');
select tap.alike(api.wallet_update(:'own', :'call', :'program', :'wallet', '{}'), api.wallet_update(:'own', :'call', 'prg_' || :'none', 'wal_' || :'none', '{}'), 404, 'wallet_update');
select tap.alike(api.member_get(:'own', :'call', :'member'), api.member_get(:'own', :'call', 'mem_' || :'none'), 404, 'member_get');
select tap.alike(api.member_get(:'own', :'call', 'ext:secret-1'), api.member_get(:'own', :'call', 'ext:secret-2'), 404, 'member_get by external id');
select tap.alike(api.member_lookup(:'own', :'call', 'secret-1', null), api.member_lookup(:'own', :'call', 'secret-2', null), 404, 'member_lookup');
select tap.alike(api.member_update(:'own', :'call', :'member', '{"phone": "eA=="}'), api.member_update(:'own', :'call', 'mem_' || :'none', '{"phone": "eA=="}'), 404, 'member_update');
select tap.alike(api.event_get(:'own', :'call', :'event'), api.event_get(:'own', :'call', 'evt_' || :'none'), 404, 'event_get');
select tap.alike(api.event_result(:'own', :'call', :'event_uuid'), api.event_result(:'own', :'call', loyalty.uuid_v7()), 404, 'event_result');
select tap.alike(api.event_create(:'own', :'call', tap.item(jsonb_build_object('external_id', '1', 'member', :'member'))), api.event_create(:'own', :'call', tap.item(jsonb_build_object('external_id', '1', 'member', 'mem_' || :'none'))), 422, 'event_create for a member');
select tap.alike(api.rule_get(:'own', :'call', :'rule'), api.rule_get(:'own', :'call', 'rul_' || :'none'), 404, 'rule_get');
select tap.alike(api.rule_draft(:'own', :'call', :'rule', '{}'), api.rule_draft(:'own', :'call', 'rul_' || :'none', '{}'), 404, 'rule_draft');
select tap.alike(api.rule_publish(:'own', :'call', :'rule'), api.rule_publish(:'own', :'call', 'rul_' || :'none'), 404, 'rule_publish');
select tap.alike(api.rule_create(:'own', :'call', jsonb_build_object('program', :'program', 'name', 'x')), api.rule_create(:'own', :'call', jsonb_build_object('program', 'prg_' || :'none', 'name', 'x')), 422, 'rule_create in a program');
select tap.alike(api.rule_list(:'own', :'call', :'program', null, null), api.rule_list(:'own', :'call', 'prg_' || :'none', null, null), 200, 'rule_list of a program');
select tap.alike(api.command_result(:'own', :'call', '01900000-0000-7000-8000-00000000e0f2'), api.command_result(:'own', :'call', loyalty.uuid_v7()), 404, 'command_result');
select tap.alike(api.endpoint_get(:'own', :'call', :'endpoint'), api.endpoint_get(:'own', :'call', 'whe_' || :'none'), 404, 'endpoint_get');
select tap.alike(api.endpoint_update(:'own', :'call', :'endpoint', '{}'), api.endpoint_update(:'own', :'call', 'whe_' || :'none', '{}'), 404, 'endpoint_update');
select tap.alike(api.endpoint_test(:'own', :'call', :'endpoint'), api.endpoint_test(:'own', :'call', 'whe_' || :'none'), 404, 'endpoint_test');
select tap.alike(api.endpoint_delete(:'own', :'call', :'endpoint'), api.endpoint_delete(:'own', :'call', 'whe_' || :'none'), 404, 'endpoint_delete');
select is((api.member_list(:'own', :'call', null, null, null)).body::jsonb -> 'data', '[]', 'member_list');
select is((api.event_list(:'own', :'call', null, null, null, '1', null)).body::jsonb -> 'data', '[]', 'event_list');
select is((api.endpoint_list(:'own', :'call', null)).body::jsonb -> 'data', '[]', 'endpoint_list');
select is((api.event_create(:'own', :'call', tap.item('{"external_id": "1", "member": "ext:secret-1"}'))).status, 202::smallint, 'the same keys and external ids are free');
select * from finish();
rollback;
