\ir prelude.psql
begin;
select plan(92);

-- a tenant whose clock stands where the test puts it
select tap.tenant('t-led') as t \gset
select set_config('app.tenant_id', :'t', true) as _ \gset
select program_id as p, wallet_id as w from loyalty.wallet where tenant_id = :'t' \gset
select loyalty.uuid_v7() as m, loyalty.uuid_v7() as n \gset
insert into loyalty.member (tenant_id, member_id, shard, enrolled_at)
values (:'t', :'m', 0, now()), (:'t', :'n', 0, now());
insert into loyalty.member_external (tenant_id, external_id, source, member_id)
values (:'t', '1', 'shop', :'m'), (:'t', '2', 'shop', :'n');
insert into loyalty.data_key (tenant_id, object_id, wrapped) values (:'t', :'m', '\x0001');

create or replace function tap.clock(p_tenant uuid, p_at timestamptz) returns void language sql as $$
    update loyalty.tenant set clock_offset = p_at - clock_timestamp() where tenant_id = p_tenant
$$;
create or replace function tap.wallet(p_tenant uuid, p_code text, p_more jsonb) returns uuid
language plpgsql as $$
declare
    r loyalty.wallet;
begin
    select * into r from loyalty.wallet w where w.tenant_id = p_tenant order by w.ordinal limit 1;
    r.wallet_id := loyalty.uuid_v7();
    r.code := p_code;
    r.ordinal := (select count(*) from loyalty.wallet w where w.tenant_id = p_tenant);
    r := jsonb_populate_record(r, p_more);
    insert into loyalty.wallet select r.*;
    return r.wallet_id;
end $$;
-- the operation with a key of its own
create sequence tap.keys;
create or replace function tap.go(p_tenant uuid, p_fn text, p_body jsonb, p_more jsonb default '{}')
returns table (s int, b jsonb, h text, c jsonb) language plpgsql as $$
declare
    a api.answer;
begin
    execute format('select * from api.%I($1, $2, $3)', p_fn) into a using p_tenant,
        tap.call(jsonb_build_object('idempotency_key', 'k' || nextval('tap.keys'), 'body_mac', '00')
                 || p_more), p_body;
    return query select a.status::int, a.body::jsonb, a.headers, a.changes::jsonb;
end $$;
create or replace function tap.on(p_tenant uuid, p_fn text, p_id text, p_body jsonb default null)
returns table (s int, b jsonb, h text, c jsonb) language plpgsql as $$
declare
    a api.answer;
begin
    execute format('select * from api.%I($1, $2, $3, $4)', p_fn) into a using p_tenant,
        tap.call(jsonb_build_object('idempotency_key', 'k' || nextval('tap.keys'), 'body_mac', '00')),
        p_id, p_body;
    return query select a.status::int, a.body::jsonb, a.headers, a.changes::jsonb;
end $$;
create or replace function tap.earn(p_tenant uuid, p_wallet uuid, p_member uuid, p_points bigint,
    p_at timestamptz, p_order uuid default null, p_shares jsonb default null) returns uuid
language plpgsql as $$
declare
    v_entry uuid;
    v_event uuid := loyalty.uuid_v7();
    v_rule uuid := loyalty.uuid_v7();
begin
    select e.entry_id into v_entry from loyalty.book_earns(p_tenant, jsonb_build_array(
        jsonb_build_object('event', v_event, 'member', p_member, 'wallet', p_wallet,
            'points', p_points, 'at', p_at, 'rule', v_rule, 'rule_version', v_rule,
            'order', p_order, 'shares', p_shares))) e;
    insert into loyalty.evaluation (tenant_id, event_id, rule_version_id, outcome, points, entry_id, trace)
    values (p_tenant, v_event, v_rule, 'matched', p_points, v_entry, '{"a":1}');
    insert into loyalty.event_outcome (tenant_id, event_id, status, processed_at)
    values (p_tenant, v_event, 'processed', now());
    return v_entry;
end $$;
create or replace function tap.back(p_tenant uuid, p_item jsonb) returns jsonb
language plpgsql as $$
declare
    v_event uuid := loyalty.uuid_v7();
    v_out jsonb;
begin
    select r.outcome into v_out from loyalty.book_reversal(p_tenant, jsonb_build_array(
        p_item || jsonb_build_object('event', v_event, 'at', loyalty.tenant_now(p_tenant)))) r;
    insert into loyalty.event_outcome (tenant_id, event_id, status, processed_at)
    values (p_tenant, v_event, 'processed', now());
    return v_out - 'entries';
end $$;
-- available pending held debt, as a read shows them
create or replace function tap.bal(p_tenant uuid, p_ref text, p_wallet text) returns text
language sql as $$
    select concat_ws(' ', x ->> 'available', x ->> 'pending', x ->> 'held', x ->> 'debt')
      from (select (api.balance_list(p_tenant, tap.call(), p_ref)).body::jsonb -> 'data' as d) a,
           jsonb_array_elements(a.d) x where x ->> 'wallet' = p_wallet
$$;
create or replace function tap.stored(p_wallet uuid, p_member uuid) returns text language sql as $$
    select concat_ws(' ', available, pending, held, debt) from loyalty.balance
     where wallet_id = p_wallet and member_id = p_member
$$;

select tap.clock(:'t', '2020-03-01 10:00Z');

-- reading
select tap.kept(api.balance_list(:'t', tap.call(), 'ext:1')) as kept \gset
select is((tap.kept(api.balance_list(:'t', tap.call(), 'ext:1'))).h, E'ETag: "0.0.0.0.0"\n', 'a member without a booking has zeros and an ETag');
select is((tap.kept(api.balance_list(:'t', tap.call(), 'ext:1'))).c::jsonb, jsonb_build_array(
    jsonb_build_object('k', 'balance', 'm', :'m', 'o', 0, 'n', 1, 'w', 'points', 'b', '[0,0,0,0,0,0,0,0]'::jsonb, 'v', 0, 'f', null, 'e', null),
    jsonb_build_object('k', 'alias', 'm', :'m', 'r', 'ext:1')), 'and fills balance and alias');
select is((tap.kept(api.balance_list(:'t', tap.call(), 'ext:nobody'))).s, 404, 'an unknown member is 404');
select is((tap.kept(api.balance_list(:'t', tap.call(), 'mem_00000000000000000000000000'))).s, 404, 'by its own id too');
select is((select count(*) from loyalty.balance where tenant_id = :'t'), 0::bigint, 'a read makes no balance');

-- adjustments
select s, b, c from tap.go(:'t', 'adjustment_create', jsonb_build_object('member', 'ext:1', 'points', 100, 'reason', 'c2VhbGVk'), jsonb_build_object('minted', jsonb_build_object('id', :'m', 'wrapped_key', 'AAE='))) \gset a_
select is(:'a_s'::text, '201', 'a credit');
select is(:'a_b'::jsonb #>> '{entries,0,reason}', 'lys1.00112233445566778899aabbccddeeff.' || :'m' || '.reason.AAE=.c2VhbGVk', 'its reason comes as a marker');
select is(:'a_c'::jsonb #> '{0,b}', '[100,0,0,0,100,0,0,0]'::jsonb, 'and the new balance fills the cache');
select is((select s from tap.go(:'t', 'adjustment_create', '{"member":"ext:1","points":1,"reason":"YQ=="}', '{"minted":{"id":"01900000-0000-7000-8000-000000000001","wrapped_key":"AAI="}}')), 0, 'a reason sealed under another key: seal again');
select is((select b from tap.go(:'t', 'adjustment_create', '{"member":"ext:1","points":1,"reason":"YQ=="}', '{"minted":{"id":"01900000-0000-7000-8000-000000000001","wrapped_key":"AAI="}}')), jsonb_build_object('object_id', :'m', 'wrapped_key', 'AAE='), 'under this one');
select is((select s || ' ' || (b ->> 'code') from tap.go(:'t', 'adjustment_create', '{"member":"ext:1","points":-101}')), '422 points.insufficient', 'a debit of more than is there');
select is((select s || ' ' || (b ->> 'code') from tap.go(:'t', 'adjustment_create', '{"member":"ext:1","points":0}')), '422 value.invalid', 'of nothing');
select is((select s || ' ' || (b ->> 'code') from tap.go(:'t', 'adjustment_create', '{"member":"ext:1","points":9007199254740991}')), '422 points.overflow', 'a credit beyond the largest');
select is((select s || ' ' || (b -> 'errors')::text from tap.go(:'t', 'adjustment_create', '{"member":"ext:9","wallet":"gold","points":1}')), '422 [{"code": "member.not_found", "pointer": "/member"}, {"code": "wallet.not_found", "pointer": "/wallet"}]', 'every fault is named');
select is((tap.kept(api.adjustment_create(:'t', tap.call(), '{"member":"ext:1","points":1}'))).s, 400, 'no Idempotency-Key: 400');
update loyalty.member set status = 'blocked' where member_id = :'n';
select is((select s || ' ' || (b ->> 'code') from tap.go(:'t', 'adjustment_create', '{"member":"ext:2","points":1}')), '409 member.state', 'a blocked member takes no part');
update loyalty.member set status = 'active' where member_id = :'n';
select is(tap.stored(:'w', :'m'), '100 0 0 0', 'refusals left the balance alone');
select is((select version from loyalty.balance where member_id = :'m'), 1::bigint, 'and its version');

-- idempotency
select a.s, a.b, a.h from tap.kept(api.redemption_create(:'t', tap.call('{"idempotency_key":"same","body_mac":"aa"}'), '{"member":"ext:1","points":10}')) a \gset r1_
select a.s, a.b, a.h from tap.kept(api.redemption_create(:'t', tap.call('{"idempotency_key":"same","body_mac":"aa","nonce":"ffffffffffffffffffffffffffffffff"}'), '{"member":"ext:1","points":10}')) a \gset r2_
select is(:'r2_b'::text, :'r1_b'::text, 'the same again is the same answer');
select matches(:'r2_h'::text, 'Idempotent-Replayed: true', 'that says so');
select is(tap.stored(:'w', :'m'), '90 0 0 0', 'and takes nothing twice');
select is((tap.kept(api.redemption_create(:'t', tap.call('{"idempotency_key":"same","body_mac":"bb"}'), '{"member":"ext:1","points":11}'))).s, 422, 'another body under the key: 422');
select is((tap.kept(api.redemption_create(:'t', tap.call('{"idempotency_key":"same","body_mac":"bb","principal":"01900000-0000-7000-8000-0000000000cc"}'), '{"member":"ext:1","points":1}'))).s, 201, 'the key of another principal is another key');
select is((select s || ' ' || (b ->> 'code') from tap.go(:'t', 'redemption_create', '{"member":"ext:1","reward":"rwd_1"}')), '422 reward.unavailable', 'a reward');

-- a redemption undone
select :'r1_b'::jsonb ->> 'id' as rid \gset
select is((select s from tap.on(:'t', 'redemption_cancel', :'rid')), 200, 'a redemption is cancelled');
select is((select s from tap.on(:'t', 'redemption_cancel', :'rid')), 409, 'once');
select is((select b -> 'entries' -> 1 ->> 'type' from (select (api.redemption_get(:'t', tap.call(), :'rid')).body::jsonb as b) x), 'redeem_reversal', 'its entries tell');
select is((tap.kept(api.redemption_get(:'t', tap.call(), 'rdm_00000000000000000000000000'))).s, 404, 'none such: 404');
select is((tap.kept(api.redemption_cancel(:'t', tap.call('{"idempotency_key":"zz"}'), 'ent_x'))).s, 404, 'a wrong id: 404');

-- expiry: every lot, however it was made; held points never; a read shows it before it is booked
select tap.wallet(:'t', 'roll', '{"expiry_policy":"rolling","expiry_days":10}') as roll \gset
select tap.earn(:'t', :'roll', :'m', 50, '2020-03-01 10:00Z') as e1 \gset
select s as x from tap.go(:'t', 'adjustment_create', '{"member":"ext:1","wallet":"roll","points":30}') \gset
select b ->> 'id' as rid from tap.go(:'t', 'redemption_create', '{"member":"ext:1","wallet":"roll","points":20}') \gset
select b ->> 'id' as hid, b from tap.go(:'t', 'hold_create', '{"member":"ext:1","wallet":"roll","points":5,"expires_in":2592000}') \gset h_
select is(tap.bal(:'t', 'ext:1', 'roll'), '55 0 5 0', 'earned, credited, spent, held');
select is((select (x ->> 'f') || ' ' || (x ->> 'e') from jsonb_array_elements((tap.kept(api.balance_list(:'t', tap.call(), 'ext:1'))).c::jsonb) x where x ->> 'w' = 'roll') is not null, true, 'the fill says until when it holds and what expires next');
select is((select b -> 'data' -> 1 -> 'next_expiry' ->> 'points' from (select (api.balance_list(:'t', tap.call(), 'ext:1')).body::jsonb as b) x), '25', 'next expiry: the free part of the first lot');
select max(expires_at) as last from loyalty.lot where wallet_id = :'roll' \gset
select is((select (x.balance).available from loyalty.balance b, loyalty.balance_at(b, :'last'::timestamptz - interval '1 microsecond') x where b.wallet_id = :'roll'), 30::bigint, 'a lot is there until its instant');
select is((select (x.balance).available from loyalty.balance b, loyalty.balance_at(b, :'last') x where b.wallet_id = :'roll'), 0::bigint, 'and gone at it');
select tap.clock(:'t', '2020-03-11 10:00:30Z');
select is(tap.bal(:'t', 'ext:1', 'roll'), '0 0 5 0', 'ten days on all of it is gone but what is held');
select is(tap.stored(:'roll', :'m'), '55 0 5 0', 'though nothing was booked');
select is((select array_agg(l ->> 'status' order by l ->> 'original') from jsonb_array_elements((api.lot_list(:'t', tap.call(), 'ext:1', null, 'roll', null)).body::jsonb -> 'data') l), array['expired', 'open'], 'lots show it too');
select is((select b -> 'data' -> 0 ->> 'remaining' from (select (api.lot_list(:'t', tap.call(), 'ext:1', 'open', 'roll', null)).body::jsonb as b) x), '5', 'the held five');
set local role loyalty_work_exec;
select is(work.due_settle(100), 1, 'the timer books it');
reset role;
select set_config('app.tenant_id', :'t', true) as _ \gset
select is(tap.stored(:'roll', :'m'), '0 0 5 0', 'as it was shown');
select is((select string_agg(loyalty.entry_type_text(type) || points, ' ' order by seq) from loyalty.entry where wallet_id = :'roll'), 'earn50 adjust_credit30 redeem-20 expire-25 expire-30', 'an entry for each instant');
select is(work.due_settle(100), 0, 'once');

-- cancelled after the lot expired: back, and gone at once
select is((select s from tap.on(:'t', 'redemption_cancel', :'rid')), 200, 'a redemption is cancelled after its lot expired');
select is(tap.bal(:'t', 'ext:1', 'roll'), '0 0 5 0', 'nothing is left of it');
select is((select string_agg(loyalty.entry_type_text(type) || points, ' ' order by seq) from loyalty.entry where wallet_id = :'roll' and seq > 5), 'redeem_reversal20 expire-20', 'two entries say why');
-- held points outlive their lot; what comes back goes
select is((select b ->> 'status' from tap.on(:'t', 'hold_capture', :'h_hid', '{"points":2}')), 'partially_captured', 'held points are captured after their lot''s expiry');
select is((select concat_ws(' ', b ->> 'captured', b ->> 'released') from (select (api.hold_get(:'t', tap.call(), :'h_hid')).body::jsonb as b) x), '2 3', 'the rest is released');
select is(tap.bal(:'t', 'ext:1', 'roll'), '0 0 0 0', 'and expires with its lot');
select is((select s from tap.on(:'t', 'hold_release', :'h_hid')), 409, 'a hold ends once');

-- a hold ends by the clock, whoever looks
select b ->> 'id' as hid from tap.go(:'t', 'hold_create', '{"member":"ext:1","wallet":"points","points":9,"expires_in":60}') \gset
select tap.clock(:'t', '2020-03-11 10:02Z');
select is((select b ->> 'status' from (select (api.hold_get(:'t', tap.call(), :'hid')).body::jsonb as b) x), 'expired', 'a hold past its end is expired');
select is((select s || ' ' || (b ->> 'code') from tap.on(:'t', 'hold_capture', :'hid', '{}')), '409 hold.not_active', 'and cannot be captured');
select is((select state from loyalty.hold where hold_id = loyalty.id_uuid('hld', :'hid')), 'expired', 'the refusal kept what it settled');
select b ->> 'id' as hid from tap.go(:'t', 'hold_create', '{"member":"ext:1","wallet":"points","points":9}') \gset
select is((select s || ' ' || (b ->> 'code') from tap.on(:'t', 'hold_capture', :'hid', '{"points":10}')), '422 points.exceed_hold', 'more than is held');
select is((select b ->> 'status' from tap.on(:'t', 'hold_capture', :'hid', '{"points":4,"keep_rest":true}')), 'active', 'part of it, the rest kept');
select is((select b ->> 'status' from tap.on(:'t', 'hold_capture', :'hid', '{}')), 'captured', 'the rest of it');

-- refunds by share: any split sums to the same, nothing twice
select loyalty.uuid_v7() as o1, loyalty.uuid_v7() as o2, loyalty.uuid_v7() as o3 \gset
select tap.earn(:'t', :'w', :'n', 10, '2020-03-01Z', :'o1', '[7,3]') as _ \gset
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o1', 'lines', '[{"line":1,"quantity":"1","ordered":"3"}]'::jsonb)) ->> 'points', '2', 'a third of 7');
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o1', 'lines', '[{"line":1,"quantity":"1","ordered":"3"}]'::jsonb)) ->> 'points', '2', 'two thirds');
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o1', 'lines', '[{"line":1,"quantity":"1","ordered":"3"},{"line":2,"quantity":"5","ordered":"5"}]'::jsonb)) ->> 'points', '6', 'the rest and the other line');
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o1', 'lines', '[{"line":1,"quantity":"9","ordered":"3"}]'::jsonb)) ->> 'points', '0', 'more than was ordered takes no more');
select is(tap.stored(:'w', :'n'), '0 0 0 0', 'all of it is back');
select tap.earn(:'t', :'w', :'n', 100, '2020-03-01Z', :'o2', '[100]') as _ \gset
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o2', 'amount', '3.33', 'total', '10')) ->> 'points', '33', 'by amount');
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o2', 'amount', '6.67', 'total', '10')) ->> 'points', '67', 'the rest by amount');
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o2', 'lines', '[{"line":1,"quantity":"1","ordered":"1"}]'::jsonb)) ->> 'points', '0', 'and by line nothing is left');

-- spent points: debt, repaid before anything becomes available
select tap.earn(:'t', :'w', :'n', 100, '2020-03-01Z', :'o3', '[60,40]') as _ \gset
select s as x from tap.go(:'t', 'redemption_create', '{"member":"ext:2","wallet":"points","points":80}') \gset
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o3', 'lines', '[{"line":1,"quantity":"1","ordered":"1"}]'::jsonb)), '{"points": 60, "clipped": 0, "debt": 40}', 'a shortfall becomes debt');
select is(tap.stored(:'w', :'n'), '0 0 0 40', 'available is not negative');
select is((select s from tap.go(:'t', 'hold_create', '{"member":"ext:2","wallet":"points","points":1}')), 422, 'nothing can be held');
select tap.earn(:'t', :'w', :'n', 30, '2020-03-02Z') as _ \gset
select is(tap.stored(:'w', :'n'), '0 0 0 10', 'an earning repays');
select s as x from tap.go(:'t', 'adjustment_create', '{"member":"ext:2","wallet":"points","points":25}') \gset
select is(tap.stored(:'w', :'n'), '15 0 0 0', 'a credit too, the rest is available');
select is((select earned - spent - expired - reversed from loyalty.balance where wallet_id = :'w' and member_id = :'n'), 15::bigint, 'lifetime adds up');
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'wallet', :'w', 'points', 20)), '{"points": 20, "clipped": 0, "debt": 5}', 'without an order: the points given');

-- a redemption's points come back into debt first
select is((select s from tap.on(:'t', 'redemption_cancel', (select loyalty.id_text('rdm', redemption_id) from loyalty.redemption where member_id = :'n'))), 200, 'the redemption is cancelled');
select is(tap.stored(:'w', :'n'), '75 0 0 0', '80 less the debt of 5');

-- within the balance: the rest is told, and not asked for again
update loyalty.program set return_policy = 'within_balance' where program_id = :'p';
select loyalty.uuid_v7() as o4 \gset
select tap.wallet(:'t', 'within', '{}') as within \gset
select tap.earn(:'t', :'within', :'n', 50, '2020-03-01Z', :'o4', '[50]') as _ \gset
select s as x from tap.go(:'t', 'redemption_create', '{"member":"ext:2","wallet":"within","points":45}') \gset
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o4', 'lines', '[{"line":1,"quantity":"1","ordered":"2"}]'::jsonb)), '{"points": 5, "clipped": 20, "debt": 0}', 'no more than there is');
select tap.earn(:'t', :'within', :'n', 40, '2020-03-01Z') as _ \gset
select is(tap.back(:'t', jsonb_build_object('member', :'n', 'order', :'o4', 'lines', '[{"line":1,"quantity":"1","ordered":"2"}]'::jsonb)), '{"points": 25, "clipped": 0, "debt": 0}', 'what was clipped is not taken later');
update loyalty.program set return_policy = 'debt' where program_id = :'p';

-- pending: by time, by event, taken back before it matures
select tap.wallet(:'t', 'wait', '{"pending_policy":"after","pending_days":14}') as wait \gset
select tap.wallet(:'t', 'ship', '{"pending_policy":"on_event","pending_event":"order.fulfilled"}') as ship \gset
select loyalty.uuid_v7() as o5, loyalty.uuid_v7() as o6 \gset
select tap.earn(:'t', :'wait', :'m', 70, '2020-03-11Z', :'o5', '[70]') as _ \gset
select is(tap.bal(:'t', 'ext:1', 'wait'), '0 70 0 0', 'points wait');
select is((select s from tap.go(:'t', 'redemption_create', '{"member":"ext:1","wallet":"wait","points":1}')), 422, 'and cannot be spent');
select is(tap.back(:'t', jsonb_build_object('member', :'m', 'order', :'o5', 'amount', '1', 'total', '2')), '{"points": 35, "clipped": 0, "debt": 0}', 'half is taken back while it waits');
select is((select loyalty.entry_type_text(type) from loyalty.entry where wallet_id = :'wait' and seq = 2), 'cancel_pending', 'as cancel_pending');
select tap.clock(:'t', '2020-03-25 00:01Z');
select is(tap.bal(:'t', 'ext:1', 'wait'), '35 0 0 0', 'the other half matures');
select tap.earn(:'t', :'ship', :'m', 8, '2020-03-11Z', :'o6', '[8]') as _ \gset
select tap.earn(:'t', :'ship', :'m', 9, '2020-03-11Z') as _ \gset
select is(loyalty.book_activate(:'t', :'ship', :'m', :'o6', '2020-03-24Z'), 8::bigint, 'an event matures its order''s points');
select is(tap.bal(:'t', 'ext:1', 'ship'), '8 9 0 0', 'and no others');

-- terms in the program's time zone
select is(loyalty.lot_expires('calendar', null, 12::smallint, 'Europe/London', '2020-06-15Z'), '2021-01-01 00:00Z', 'to the end of the year');
select is(loyalty.lot_expires('calendar', 365, 3::smallint, 'Europe/Berlin', '2020-06-15Z'), '2022-03-31 22:00Z', 'the first end of March a year or more after');
select is(loyalty.lot_expires('rolling', 30, null, 'Europe/Berlin', '2020-03-10 23:30Z'), '2020-04-09 22:30Z', 'days are days of the place, across a clock change');
select tap.wallet(:'t', 'idle', '{"expiry_policy":"inactivity","expiry_days":30}') as idle \gset
select tap.earn(:'t', :'idle', :'m', 5, '2020-03-01Z') as _ \gset
select tap.earn(:'t', :'idle', :'m', 6, '2020-03-20Z') as _ \gset
select is((select array_agg(distinct expires_at) from loyalty.lot where wallet_id = :'idle'), array['2020-04-19 00:00Z'::timestamptz], 'activity prolongs every lot');

-- lists
select (api.entry_list(:'t', tap.call(), 'ext:1', 'roll', null, '3')).body as page \gset
select is((select array_agg((e ->> 'seq')::int) from jsonb_array_elements((api.entry_list(:'t', tap.call(jsonb_build_object('cursor', tap.cursor(:'page'::jsonb ->> 'next_cursor'))), 'ext:1', 'roll', null, '100')).body::jsonb -> 'data') e), (select array_agg(g order by g desc) from generate_series(1, (select max(seq)::int - 3 from loyalty.entry where wallet_id = :'roll')) g), 'a cursor goes on where the page ended, newest first');
select is((select b #>> '{data,0,type}' from (select (api.entry_list(:'t', tap.call(), 'ext:1', null, 'adjust_credit', '1')).body::jsonb as b) x), 'adjust_credit', 'entries of one type');
select is((select b -> 'trace' ->> 'a' from (select (api.entry_trace(:'t', tap.call(), loyalty.id_text('ent', :'e1'))).body::jsonb as b) x), null, 'an evaluation of no rule version has no trace to show');
select is((tap.kept(api.entry_get(:'t', tap.call(), loyalty.id_text('ent', :'e1')))).s, 200, 'one entry');

-- all of it holds, and the audit sees what does not
select is_empty('select * from ops.audit()', 'the invariants hold');
create or replace function tap.spoilt(p_sql text) returns text language plpgsql as $$
declare
    v_out text;
begin
    execute p_sql;
    perform set_config('app.tenant_id', '', true);
    select string_agg(distinct a.invariant, ' ' order by a.invariant) into v_out from ops.audit() a;
    raise exception 'undo' using errcode = 'ZZ999', detail = coalesce(v_out, 'none');
exception when sqlstate 'ZZ999' then
    get stacked diagnostics v_out = pg_exception_detail;
    return v_out;
end $$;
select is((select array_agg(c || ' ' || tap.spoilt(format('update loyalty.entry set %s where entry_id = %L', c, :'e1'))) from unnest(array['seq = 99', 'type = 14', 'points = points + 1', 'effective_at = now()', 'recorded_at = now()', 'available_after = 7', 'pending_after = 7', 'held_after = 7', 'debt_after = 7', 'event_id = null', 'rule_version_id = null', 'hold_id = wallet_id', 'redemption_id = wallet_id', 'reverses = wallet_id', 'reason = ''x''']) c where tap.spoilt(format('update loyalty.entry set %s where entry_id = %L', c, :'e1')) !~ 'chain.hash'), null, 'any change of a hashed field breaks the chain');
select is((select array_agg(c) from unnest(array[
    'update loyalty.balance set available = available + 1, earned = earned + 1',
    'update loyalty.balance set due_at = ''infinity'' where due_at < ''infinity''',
    'update loyalty.balance set head_hash = sha256(head_hash)',
    'update loyalty.lot set remaining = remaining - 1 where remaining > 1 and held = 0',
    'update loyalty.lot set reversed = reversed + 1 where reversed < original',
    'update loyalty.hold set captured = 0, released = amount, state = ''released''',
    'delete from loyalty.movement where ord = 1',
    'delete from loyalty.entry where type = 8',
    'update loyalty.order_earn set shares[1] = shares[1] + 1',
    'update loyalty.order_earn set taken[1] = points + 1',
    'update loyalty.redemption set status = ''completed'' where status = ''cancelled''',
    'update loyalty.evaluation set points = points + 1',
    'update loyalty.event_outcome set status = ''rejected''',
    'update loyalty.idempotency set status = null']) c where tap.spoilt(c) = 'none'), null, 'and so does anything else');

select * from finish();
rollback;
