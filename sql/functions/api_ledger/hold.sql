-- POST /holds, GET /holds/{hold}, POST /holds/{hold}/capture, …/release.
-- Points are set aside with the lots they come from (soonest expiry first) and
-- do not expire while held.  Capture takes soonest expiry first and releases
-- the rest unless keep_rest; what is given back after its expiry expires in
-- the same transaction.
-- Refuses: 400 idempotency.required, 404 hold.not_found, 409 hold.not_active,
-- member.ambiguous, member.state, 422 member.not_found, wallet.not_found,
-- wallet.required, points.insufficient, points.exceed_hold.
-- Locks: idempotency → balance.  Writes: idempotency, balance, hold, hold_lot,
-- lot, movement, entry, redemption, change, outbox.

create or replace function api.hold_create(p_tenant uuid, p_call jsonb, p_body jsonb)
returns api.answer
language plpgsql volatile security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_now       timestamptz;
    v_points    constant bigint := (p_body ->> 'points')::bigint;
    v_answer    api.answer;
    v_target    record;
    v_take      record;
    v_after     record;
    v_n         int;
    v_at        timestamptz;
    b           loyalty.balance;
    h           loyalty.hold;
    w           loyalty.wallet;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_now := loyalty.tenant_now(p_tenant);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'hold_create', true);
    if v_answer.status is not null then
        return v_answer;
    end if;
    select * into v_target from loyalty.balance_target(p_tenant, p_call, p_body);
    v_answer := v_target.problem;
    w := v_target.wallet;
    if v_answer.status is null then
        b := loyalty.balance_lock(p_tenant, w.wallet_id, v_target.member_id, v_now, false);
        if coalesce(b.available, 0) < v_points then
            v_answer := loyalty.points_problem(p_call, 'points.insufficient');
        end if;
    end if;
    if v_answer.status is not null then
        return loyalty.idempotency_end(p_tenant, p_call, 'hold_create', v_answer);
    end if;

    v_at := greatest(clock_timestamp(), b.last_at + interval '1 microsecond');
    insert into loyalty.hold (tenant_id, hold_id, wallet_id, member_id, amount, expires_at, purpose)
    values (p_tenant, loyalty.uuid_v7_at(v_at), w.wallet_id, v_target.member_id, v_points,
        v_now + make_interval(secs => coalesce((p_body ->> 'expires_in')::int, 900)),
        p_body ->> 'purpose')
    returning * into h;
    select t.lots, t.amounts, t.taken into v_take from loyalty.lots_take(b, v_points, null) t;
    if v_take.taken <> v_points then
        raise exception 'lots of balance % % do not cover % points', b.wallet_id,
            b.member_id, v_points;
    end if;
    insert into loyalty.hold_lot (tenant_id, hold_id, lot_id, amount)
    select p_tenant, h.hold_id, t.lot, t.n from unnest(v_take.lots, v_take.amounts) t (lot, n);
    v_n := cardinality(v_take.lots);
    b := loyalty.moves_apply(b, null, h.hold_id, v_at, array_fill(2::smallint, array[v_n]),
        array_fill(3::smallint, array[v_n]), v_take.amounts, v_take.lots);
    perform loyalty.outbox_add(p_tenant, 'hold.created', b.member_id, v_now,
        loyalty.hold_text(h, v_now) - '{object,purpose}'::text[]);
    b := loyalty.balance_finish(b, v_now);

    select * into v_after from loyalty.member_balances(p_tenant, b.member_id, v_now);
    v_answer := loyalty.answer(201,
        (loyalty.hold_text(h, v_now)
         || jsonb_build_object('balances', to_jsonb(v_after.data)))::text,
        'Location: /v1/holds/' || loyalty.id_text('hld', h.hold_id) || E'\n', v_after.fills::text);
    return loyalty.idempotency_end(p_tenant, p_call, 'hold_create', v_answer);
end
$$;
comment on function api.hold_create(uuid, jsonb, jsonb) is 'sets points aside';

create or replace function api.hold_get(p_tenant uuid, p_call jsonb, p_hold text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    h loyalty.hold;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select * into h from loyalty.hold x
     where x.tenant_id = p_tenant and x.hold_id = loyalty.id_uuid('hld', p_hold);
    if not found then
        return loyalty.problem(p_call, 404, 'hold.not_found');
    end if;
    return loyalty.answer(200, loyalty.hold_text(h, loyalty.tenant_now(p_tenant))::text);
end
$$;
comment on function api.hold_get(uuid, jsonb, text) is 'one hold';

-- p_points null: none are captured, all are released
create or replace function loyalty.hold_end(p_tenant uuid, p_call jsonb, p_operation text,
    p_hold text, p_body jsonb) returns api.answer
language plpgsql volatile as
$$
declare
    v_now       constant timestamptz := loyalty.tenant_now(p_tenant);
    v_capture   constant boolean := p_operation = 'hold_capture';
    v_keep      constant boolean := coalesce((p_body ->> 'keep_rest')::boolean, false);
    v_answer    api.answer;
    v_points    bigint;
    v_left      bigint;
    v_n         bigint;
    v_after     record;
    v_lots      uuid[] := '{}';
    v_amounts   bigint[] := '{}';
    v_entries   uuid[] := '{}';
    v_count     int;
    b           loyalty.balance;
    h           loyalty.hold;
    e           loyalty.entry;
    r           record;
begin
    select * into h from loyalty.hold x
     where x.tenant_id = p_tenant and x.hold_id = loyalty.id_uuid('hld', p_hold);
    if not found then
        return loyalty.problem(p_call, 404, 'hold.not_found');
    end if;
    b := loyalty.balance_lock(p_tenant, h.wallet_id, h.member_id, v_now, false);
    select * into h from loyalty.hold x where x.tenant_id = p_tenant and x.hold_id = h.hold_id;
    v_left := h.amount - h.captured - h.released;
    v_points := case when v_capture then coalesce((p_body ->> 'points')::bigint, v_left) else 0 end;
    if h.state <> 'active' then
        return loyalty.problem(p_call, 409, 'hold.not_active',
                               'The hold is ' || h.state || '.');
    elsif v_points > v_left then
        return loyalty.points_problem(p_call, 'points.exceed_hold');
    end if;

    if v_capture then
        v_n := v_points;
        for r in
            select hl.lot_id, hl.amount
              from loyalty.hold_lot hl
              join loyalty.lot l on l.tenant_id = hl.tenant_id and l.lot_id = hl.lot_id
             where hl.tenant_id = p_tenant and hl.hold_id = h.hold_id and hl.amount > 0
             order by l.expires_at, l.lot_id
        loop
            exit when v_n = 0;
            v_lots := v_lots || r.lot_id;
            v_amounts := v_amounts || least(v_n, r.amount);
            update loyalty.hold_lot hl set amount = hl.amount - least(v_n, r.amount)
             where hl.tenant_id = p_tenant and hl.hold_id = h.hold_id and hl.lot_id = r.lot_id;
            v_n := v_n - least(v_n, r.amount);
        end loop;
        e := loyalty.entry_new(b, 5::smallint);
        e.points := -v_points;
        e.effective_at := v_now;
        e.hold_id := h.hold_id;
        e.redemption_id := e.entry_id;
        e.principal_kind := p_call ->> 'kind';
        e.principal_id := (p_call ->> 'principal')::uuid;
        v_count := cardinality(v_lots);
        b := loyalty.entry_add(b, e, array_fill(3::smallint, array[v_count]),
            array_fill(11::smallint, array[v_count]), v_amounts, v_lots);
        insert into loyalty.redemption (tenant_id, redemption_id, wallet_id, member_id, points,
            hold_id, status)
        values (p_tenant, e.entry_id, h.wallet_id, h.member_id, v_points, h.hold_id, 'completed');
        v_entries := array[e.entry_id];
        v_left := v_left - v_points;
        h.captured := h.captured + v_points;
        h.state := case when v_left > 0 then 'active'
                        when h.captured = h.amount then 'captured'
                        else 'partially_captured' end;
        update loyalty.hold x set captured = h.captured, state = h.state, updated_at = now()
         where x.tenant_id = p_tenant and x.hold_id = h.hold_id;
        perform loyalty.outbox_add(p_tenant, 'hold.captured', b.member_id, v_now,
            jsonb_build_object('hold', loyalty.id_text('hld', h.hold_id),
                'member', loyalty.id_text('mem', b.member_id), 'points', v_points));
        perform loyalty.outbox_add(p_tenant, 'redemption.completed', b.member_id, v_now,
            jsonb_build_object('redemption', loyalty.id_text('rdm', e.entry_id),
                'member', loyalty.id_text('mem', b.member_id), 'points', v_points,
                'hold', loyalty.id_text('hld', h.hold_id)));
    end if;
    if v_left > 0 and not (v_capture and v_keep) then
        select array_agg(hl.lot_id order by l.expires_at, l.lot_id),
               array_agg(hl.amount order by l.expires_at, l.lot_id)
          into v_lots, v_amounts
          from loyalty.hold_lot hl
          join loyalty.lot l on l.tenant_id = hl.tenant_id and l.lot_id = hl.lot_id
         where hl.tenant_id = p_tenant and hl.hold_id = h.hold_id and hl.amount > 0;
        v_count := cardinality(v_lots);
        b := loyalty.hold_release(b, h.hold_id,
            case when h.captured > 0 then 'partially_captured' else 'released' end, v_now,
            array_fill(3::smallint, array[v_count]), array_fill(2::smallint, array[v_count]),
            v_amounts, v_lots);
    end if;
    b := loyalty.balance_finish(b, v_now);

    select * into h from loyalty.hold x where x.tenant_id = p_tenant and x.hold_id = h.hold_id;
    select * into v_after from loyalty.member_balances(p_tenant, b.member_id, v_now);
    return loyalty.answer(200, (loyalty.hold_text(h, v_now) || jsonb_build_object(
        'redemption', loyalty.id_text('rdm', e.redemption_id),
        'entries', to_jsonb(loyalty.entries_text(p_tenant, p_call, v_entries)),
        'balances', to_jsonb(v_after.data)))::text, null, v_after.fills::text);
end
$$;
comment on function loyalty.hold_end(uuid, jsonb, text, text, jsonb) is
    'captures points of a hold, releases the rest';

create or replace function api.hold_capture(p_tenant uuid, p_call jsonb, p_hold text,
    p_body jsonb) returns api.answer
language plpgsql volatile security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_answer api.answer;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'hold_capture', true);
    if v_answer.status is not null then
        return v_answer;
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'hold_capture',
        loyalty.hold_end(p_tenant, p_call, 'hold_capture', p_hold, p_body));
end
$$;
comment on function api.hold_capture(uuid, jsonb, text, jsonb) is 'spends points of a hold';

create or replace function api.hold_release(p_tenant uuid, p_call jsonb, p_hold text,
    p_body jsonb default null) returns api.answer
language plpgsql volatile security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_answer api.answer;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'hold_release', true);
    if v_answer.status is not null then
        return v_answer;
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'hold_release',
        loyalty.hold_end(p_tenant, p_call, 'hold_release', p_hold, null));
end
$$;
comment on function api.hold_release(uuid, jsonb, text, jsonb) is 'gives back the points of a hold';
