\ir prelude.psql
begin;
select plan(36);
select tap.tenant('t-dir') as t \gset
select ops.key_create(:'t', '{"id": "01900000-0000-7000-8000-00000000f001", "digest": "d1a0000000000000000000000000000000000000000000000000000000000001", "prefix": "lsk_test_abc", "last4": "wxyz", "kind": "secret", "scopes": ["b:read", "a:read"], "addresses": ["10.0.0.0/8"], "expires_at": "2100-01-01T00:00:00Z"}') as _ \gset
select ops.signing_key_put('{"kid": "k1", "alg": "ES256", "pem": "PEM", "sealed_private": "AAAA"}') as _ \gset

-- the snapshot
create temp table snap as select * from dir.snapshot();
select is((select kind from snap limit 1), 'mark', 'the first row is the mark');
select lives_ok('select ref::pg_snapshot from snap where kind = ''mark''', 'a snapshot');
select is((select data from snap where kind = 'tenant' and ref = :'t'), jsonb_build_object('id', :'t', 'slug', 't-dir', 'mode', 'test', 'plan', 'standard', 'status', 'active', 'origins', '[]'::jsonb, 'wallets', '[{"code": "points", "ordinal": 0}]'::jsonb, 'timezone', 'UTC', 'generation', 1, 'wrapped_key', 'AAAA'), 'the record of a tenant');
select is((select data from snap where kind = 'host' and ref = 't-dir.example'), jsonb_build_object('tenant', :'t'), 'of a host');
select is((select data from snap where kind = 'api_key' and ref = 'd1a0000000000000000000000000000000000000000000000000000000000001'), jsonb_build_object('id', '01900000-0000-7000-8000-00000000f001', 'tenant', :'t', 'kind', 'secret', 'mode', 'test', 'scopes', '["a:read", "b:read"]'::jsonb, 'addresses', '["10.0.0.0/8"]'::jsonb, 'api_version', '2026-11-01', 'state', 'active', 'expires_at', 4102444800000000), 'of an API key, by its digest');
select is((select data from snap where kind = 'signing_key' and ref = 'k1'), '{"kid": "k1", "alg": "ES256", "pem": "PEM", "state": "current"}', 'of a signing key, without its private half');
select is((select data ->> 'inflight_batches' from snap where kind = 'plan' and ref = 'standard'), '16', 'of a plan');
select is((select data ->> 'code' from snap where kind = 'wallet' and data ->> 'tenant' = :'t'), 'points', 'of a wallet');

-- the feed: rows of a transaction that was in progress when the mark was taken
select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as n \gset
insert into loyalty.change (xid, tenant_id, kind, ref) values ((:n - 50)::text::xid8, :'t', 'member', 'late'), ((:n - 40)::text::xid8, :'t', 'member', 'seen'), ((:n - 20)::text::xid8, :'t', 'member', 'new');
create temp table feed as select * from dir.changes((:n - 50) || ':' || (:n - 30) || ':' || (:n - 50));
select is((select kind from feed limit 1), 'mark', 'changes begin with a mark');
select is((select array_agg(ref order by ref) from feed where kind = 'member' and tenant = :'t'), array['late', 'new'], 'who committed late is not skipped, who was seen is not told again');
select is((select data from feed where ref = 'late'), null, 'members carry no record');
select is((select data ->> 'slug' from feed where kind = 'tenant' and ref = :'t'), 't-dir', 'tenants carry theirs');
select is((select count(*) from feed f where f.kind = 'tenant' and f.ref = :'t'), 1::bigint, 'each once, however often it changed');
delete from loyalty.host where host = 't-dir.example';
select loyalty.change_add(:'t', 'host', 't-dir.example') as _ \gset
select is((select data from dir.changes((:n - 1) || ':' || (:n - 1) || ':') where kind = 'host' and ref = 't-dir.example'), null, 'what is gone has no record');
select is((select kind from dir.changes('rubbish')), 'resync', 'no snapshot: everything anew');
select is((select kind from dir.changes((:n + 100000) || ':' || (:n + 100000) || ':')), 'resync', 'a snapshot of another life: everything anew');
delete from loyalty.change where change_id = 1;
select is((select kind from dir.changes('3:3:')), 'resync', 'a mark from before what is kept: everything anew');
select is((select count(*) from dir.changes('3:3:')), 1::bigint, 'and that alone');

-- one credential
select is(dir.credential(decode('d1a0000000000000000000000000000000000000000000000000000000000001', 'hex')) ->> 'tenant', :'t'::text, 'a key by its digest');
select is(dir.credential(decode('d1a0000000000000000000000000000000000000000000000000000000000002', 'hex')), null, 'an unknown one is null');
select is(ops.key_revoke(:'t', '01900000-0000-7000-8000-00000000f001'), true, 'it is revoked');
select is(dir.credential(decode('d1a0000000000000000000000000000000000000000000000000000000000001', 'hex')) ->> 'state', 'revoked', 'and seen as such');
select is(ops.key_revoke(:'t', '01900000-0000-7000-8000-00000000f001'), false, 'once');
select is((select data ->> 'state' from dir.changes((:n - 1) || ':' || (:n - 1) || ':') where kind = 'api_key'), 'revoked', 'the feed tells it');
select is((select count(*) from dir.snapshot() where ref like 'd1a0%'), 0::bigint, 'the next snapshot leaves it out');

-- tokens
select is(dir.session_check(:'t', 'session', 's1') ->> 'revoked', 'false', 'a session stands');
select ops.revocation_put(:'t', 'session', 's1', '2026-11-01', '2100-01-01') as _ \gset
select is(dir.session_check(:'t', 'session', 's1'), jsonb_build_object('tenant', :'t', 'kind', 'session', 'ref', 's1', 'not_before', 1793491200000000, 'expires_at', 4102444800000000, 'revoked', true), 'until it is revoked');
select is((select data ->> 'ref' from dir.changes((:n - 1) || ':' || (:n - 1) || ':') where kind = 'revocation'), 's1', 'the feed tells it');
select is(dir.session_check(:'t', 'kid', 'unknown') ->> 'revoked', 'true', 'an unknown signing key is none');
select is(dir.session_check(:'t', 'kid', 'k1') ->> 'revoked', 'false', 'a known one is');

-- what callers wait for
select loyalty.uuid_v7() as e1, loyalty.uuid_v7() as e2, loyalty.uuid_v7() as c1 \gset
insert into loyalty.event_outcome (tenant_id, event_id, status, processed_at) values (:'t', :'e1', 'processed', now());
insert into loyalty.command (tenant_id, command_id, kind, args, principal) values (:'t', :'c1', 'x', '{}', '{}');
select is((select array_agg(o) from dir.outcomes(array[:'t', :'t', :'t']::uuid[], array[:'e1', :'e2', :'c1']::uuid[]) o), array[:'e1'::uuid], 'outcomes that stand');
update loyalty.command set state = 'done', status = 200, answer = '{}' where command_id = :'c1';
select is((select count(*) from dir.outcomes(array[:'t', :'t', :'t']::uuid[], array[:'e1', :'e2', :'c1']::uuid[])), 2::bigint, 'commands too');
select is((select count(*) from dir.outcomes(array[loyalty.uuid_v7()], array[:'e1']::uuid[])), 0::bigint, 'of that tenant alone');
select matches(dir.incarnation(), '^\d+-\d+-\d+\.\d+\.\d+$', 'the database has a name of its life');
select is(ops.tenant_suspend(:'t'), true, 'a tenant is suspended');
select is((select data ->> 'status' from dir.changes((:n - 1) || ':' || (:n - 1) || ':') where kind = 'tenant' and ref = :'t'), 'suspended', 'the feed tells it');
select * from finish();
rollback;
