\ir prelude.psql
begin;
select plan(33);
select tap.tenant('t-rules') as t \gset
select set_config('app.tenant_id', :'t', true) as _ \gset
select loyalty.id_text('prg', program_id) as p from loyalty.program where tenant_id = :'t' \gset

select * from tap.kept(api.rule_create(:'t', tap.call('{"minted": {"id": "01900000-0000-7000-8000-00000000c001"}}'), jsonb_build_object('program', :'p', 'name', 'A point a pound'))) \gset
select is(:s, 201, 'a rule is made');
select is(:'b'::jsonb - '{created_at,updated_at,program}'::text[], '{"object": "earning_rule", "id": "rul_01j0000000e008000000001g01", "name": "A point a pound", "base": false, "status": "draft", "draft": null, "published": null, "published_version": null, "published_at": null, "version": 1}', 'without a draft');
select :'b'::jsonb ->> 'id' as r \gset
select is((api.rule_create(:'t', tap.call(), '{"program": "prg_01j0000000e008000000001801", "name": "x"}')).status, 422::smallint, 'in a body an unknown program is a fault');
select is((api.rule_create(:'t', tap.call(), '{"program": "prg_01j0000000e008000000001801", "name": "x"}')).body::jsonb #>> '{errors,0,pointer}', '/program', 'with its place');
select is((api.rule_get(:'t', tap.call(), 'rul_01j0000000e008000000001801')).body::jsonb ->> 'code', 'rule.not_found', 'an unknown rule is not found');

-- drafts
select is((api.rule_publish(:'t', tap.call(), :'r')).body::jsonb ->> 'code', 'rule.no_draft', 'there is nothing to publish');
select is((api.rule_draft(:'t', tap.call(), :'r', '{"trigger": {"event": "order.paid"}, "effects": [{}]}')).status, 428::smallint, 'a draft needs If-Match');
select is((api.rule_draft(:'t', tap.call('{"if_none_match": "*"}'), :'r', '{"trigger": {"event": "order.paid"}, "effects": [{}], "base": true}')).status, 200::smallint, 'or If-None-Match: * for the first');
select is((api.rule_draft(:'t', tap.call('{"if_none_match": "*"}'), :'r', '{"trigger": {"event": "order.paid"}, "effects": [{}]}')).status, 412::smallint, 'the first only');
select is((api.rule_draft(:'t', tap.call('{"if_match": "\"v1\""}'), :'r', '{}')).status, 412::smallint, 'or the present version');
select * from tap.kept(api.rule_draft(:'t', tap.call('{"if_match": "\"v2\""}'), :'r', '{"trigger": {"event": "order.paid"}, "effects": [{"type": "fixed"}], "base": true}')) \gset
select is(:s, 200, 'then it is replaced');
select is(:'b'::jsonb #>> '{draft,effects,0,type}', 'fixed', 'as a whole');
select is(:'b'::jsonb -> 'base', 'true', 'base is the draft''s before anything is published');
select is(:'h'::text, E'ETag: "v3"\n', 'with the new ETag');
select is((api.rule_draft(:'t', tap.call('{"if_none_match": "*"}'), 'rul_01j0000000e008000000001801', '{}')).status, 404::smallint, 'of a rule that stands');

-- publication
select * from tap.kept(api.rule_publish(:'t', tap.call('{"idempotency_key": "p", "body_mac": "00"}'), :'r')) \gset
select is(:s, 202, 'publication is the worker''s');
select is(:'c'::jsonb #>> '{0,k}', 'wait', 'there is something to wait for');
select is(:'c'::jsonb -> 1, '{"k": "poke", "l": "commands"}', 'and the worker is woken');
select (:'c'::jsonb #>> '{0,id}') as cmd \gset
select is((select kind || ' ' || (args ->> 'rule') || ' ' || (args ->> 'version') from loyalty.command where tenant_id = :'t' and command_id = :'cmd'), 'rule.publish 01900000-0000-7000-8000-00000000c001 3', 'the command names rule and version');
select is(:'b'::jsonb, jsonb_build_object('object', 'command', 'id', loyalty.id_text('cmd', :'cmd'), 'status', 'queued'), 'the answer is the command');
select is((api.command_result(:'t', tap.call(), :'cmd')).status, 202::smallint, 'it is queued');
select is((api.rule_publish(:'t', tap.call('{"idempotency_key": "p", "body_mac": "00"}'), :'r')).body::jsonb ->> 'id', loyalty.id_text('cmd', :'cmd'), 'the same key makes no second');
update loyalty.command set state = 'done', status = 422, answer = '{"code": "rule.invalid", "errors": [{"pointer": "/effects/0", "code": "x", "detail": "y"}]}' where tenant_id = :'t' and command_id = :'cmd';
select * from tap.kept(api.command_result(:'t', tap.call('{"request_id": "req_other"}'), :'cmd')) \gset
select is(:s, 422, 'what the worker refused is refused');
select is(:'b'::jsonb -> 'errors', '[{"pointer": "/effects/0", "code": "x", "detail": "y"}]', 'with every fault');
select is(:'b'::jsonb ->> 'instance', 'req_other', 'under the id of the request that asks');
update loyalty.command set status = 200, answer = '{}' where tenant_id = :'t' and command_id = :'cmd';
insert into loyalty.rule_version (tenant_id, rule_version_id, rule_id, number, document, program, checksum, catalogue_digest, published_at) values (:'t', loyalty.uuid_v7(), '01900000-0000-7000-8000-00000000c001', 1, '{"trigger": {"event": "order.paid"}}', '', '', '', '2026-11-01');
update loyalty.rule set state = 'active', published_number = 1 where tenant_id = :'t';
select * from tap.kept(api.command_result(:'t', tap.call(), :'cmd')) \gset
select is(:s, 200, 'what it did is the rule');
select is(:'b'::jsonb -> 'published', '{"trigger": {"event": "order.paid"}}', 'with the document in force');
select is(:'b'::jsonb -> 'published_version', '1', 'and its number');
select is((api.command_result(:'t', tap.call(), loyalty.uuid_v7())).status, 404::smallint, 'an unknown command is not found');
select is((api.rule_publish(:'t', tap.call('{"if_match": "\"v1\""}'), :'r')).status, 412::smallint, 'If-Match counts when it is sent');
update loyalty.rule set state = 'archived' where tenant_id = :'t';
select is((api.rule_publish(:'t', tap.call(), :'r')).body::jsonb ->> 'code', 'rule.state', 'an archived rule stays so');

-- lists
select is(jsonb_array_length((api.rule_list(:'t', tap.call(), :'p', null, null)).body::jsonb -> 'data'), 1, 'rules of a program');
select is((api.rule_list(:'t', tap.call(), null, 'active', null)).body::jsonb -> 'data', '[]', 'by status');
select * from finish();
rollback;
