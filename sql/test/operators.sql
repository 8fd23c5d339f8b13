\ir prelude.psql
begin;
select plan(32);
select loyalty.uuid_v7() as t \gset
select set_config('t.made', ops.tenant_create(:'t', '{"slug": "T-Ops", "name": "Ops", "mode": "test", "plan": "demo", "timezone": "Europe/London", "currency": "GBP", "wrapped_key": "QUJD", "hosts": ["Ops.Example", "b.example"], "origins": ["https://x.example"], "program": {"name": "Points"}, "wallet": {"code": "points"}, "owner": {"id": "01900000-0000-7000-8000-00000000f0aa", "email_blind": "0a", "sealed": {"email": "eA=="}, "wrapped_key": "a2V5", "password_hash": "$argon2id$v=19$x"}}')::text, true) as _ \gset
select is(current_setting('t.made')::jsonb ->> 'created', 'true', 'a tenant is made');
select is(current_setting('t.made')::jsonb ->> 'slug', 't-ops', 'its slug is lower case');
select is(current_setting('t.made')::jsonb ->> 'ten', loyalty.id_text('ten', :'t'), 'with the id that was given');
select is((select array_agg(host order by host) from loyalty.host where tenant_id = :'t'), array['b.example', 'ops.example'], 'with its hosts');
select is((select name || ' ' || status || ' ' || join_policy || ' ' || return_policy || ' ' || timezone from loyalty.program where tenant_id = :'t'), 'Points active on_first_event debt Europe/London', 'with a program');
select is((select code || ' ' || ordinal || ' ' || scale || ' ' || pending_policy || ' ' || expiry_policy || ' ' || limits from loyalty.wallet where tenant_id = :'t'), 'points 0 0 immediate none {}', 'with a wallet');
select is((select role || ' ' || password_hash from loyalty.app_user where tenant_id = :'t'), 'owner $argon2id$v=19$x', 'with an owner');
select is((select encode(wrapped, 'escape') from loyalty.data_key where tenant_id = :'t' and object_id = '01900000-0000-7000-8000-00000000f0aa'), 'key', 'and the owner''s key');
select is((select array_agg(distinct kind order by kind) from loyalty.change where tenant_id = :'t'), array['host', 'program', 'tenant', 'wallet'], 'caches are told');
select is((select encode(wrapped_key, 'escape') from loyalty.tenant where tenant_id = :'t'), 'ABC', 'its key is kept');
select is(ops.tenant_create(loyalty.uuid_v7(), '{"slug": "t-ops", "wrapped_key": "QUJD"}') - '{created_at}'::text[], (current_setting('t.made')::jsonb || '{"created": false}') - '{created_at}'::text[], 'the same slug again is the same tenant');
select throws_ok($$select ops.tenant_create(loyalty.uuid_v7(), '{"slug": "t-other", "plan": "no such", "wrapped_key": "QUJD"}')$$, '22023', null, 'an unknown plan is refused');
select throws_ok($$select ops.tenant_create(loyalty.uuid_v7(), '{"slug": "t-other", "plan": "demo", "timezone": "Mars/Base", "wrapped_key": "QUJD"}')$$, '22023', null, 'and an unknown time zone');
select throws_ok($$select ops.tenant_create(loyalty.uuid_v7(), '{"slug": "-bad", "wrapped_key": "QUJD"}')$$, '23514', null, 'a slug must be a host label');
select is((ops.plan_put('{"code": "p1", "request_rate": 1, "request_burst": 2, "key_rate": 3, "key_burst": 4}')) ->> 'inflight_batches', '16', 'a plan with the default caps');
select is((ops.plan_put('{"code": "p1", "request_rate": 9, "request_burst": 2, "key_rate": 3, "key_burst": 4}')) ->> 'request_rate', '9', 'and changed');
select is((select count(*) from loyalty.change where kind = 'plan' and ref = 'p1'), 2::bigint, 'each is told');
select is(ops.tenant_put(:'t', 'p1', array['https://y.example']), true, 'a tenant gets another plan');
select is((select plan_code || origins::text from loyalty.tenant where tenant_id = :'t'), 'p1{https://y.example}', 'and origins');
select is(ops.tenant_resume(:'t'), false, 'an active tenant is not resumed');
select is(ops.tenant_suspend(:'t'), true, 'it is suspended');
select is(ops.tenant_resume(:'t'), true, 'and resumed');
select is(ops.user_put(:'t', '{"id": "01900000-0000-7000-8000-00000000f0ab", "email_blind": "0a", "wrapped_key": "a2V5", "password_hash": "x"}'), false, 'an address is one user''s');

-- keys
select is(ops.key_create(:'t', '{"id": "01900000-0000-7000-8000-00000000f002", "digest": "d2a0000000000000000000000000000000000000000000000000000000000001", "prefix": "lsk_test_abc", "last4": "wxyz", "name": "till"}') ->> 'mode', 'test', 'a key has the mode of its tenant');
select throws_ok(format($$select ops.key_create(%L, '{"id": "01900000-0000-7000-8000-00000000f003", "digest": "d2a0000000000000000000000000000000000000000000000000000000000002", "prefix": "p", "last4": "l", "mode": "live"}')$$, :'t'), '23514', null, 'and no other');
select throws_ok($$select ops.key_create(loyalty.uuid_v7(), '{"id": "01900000-0000-7000-8000-00000000f003", "digest": "d2a0000000000000000000000000000000000000000000000000000000000002", "prefix": "p", "last4": "l"}')$$, 'P0002', null, 'an unknown tenant has none');
select is((select k ->> 'name' from ops.key_list(:'t') k), 'till', 'keys are listed');
select ops.signing_key_put('{"kid": "k1", "alg": "ES256", "pem": "PEM", "sealed_private": "QUJD"}') as _ \gset
select ops.signing_key_put('{"kid": "k2", "alg": "ES256", "pem": "PEM", "sealed_private": "REVG"}') as _ \gset
select is((select state from loyalty.signing_key where kid = 'k1'), 'previous', 'a new signing key takes the place of the old');
select is(ops.signing_key_get(null) ->> 'sealed_private', 'REVG', 'the current one');

-- jobs
insert into loyalty.job (tenant_id, queue, kind, state, attempt, last_error) values (:'t', 'q', 'k', 'discarded', 20, 'no') returning job_id as j \gset
select is((select x ->> 'last_error' from ops.jobs_list(:'t', 'q', 'discarded', 10) x), 'no', 'jobs are listed');
select ops.jobs_retry(:j) as _ \gset
select is((select state || ' ' || max_attempts from loyalty.job where job_id = :j), 'available 21', 'tried again');
select is(array[ops.jobs_cancel(:j), ops.jobs_cancel(:j)], array[true, false], 'and cancelled, once');
select * from finish();
rollback;
