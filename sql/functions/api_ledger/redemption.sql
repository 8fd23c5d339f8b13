-- POST /redemptions, GET /redemptions/{redemption}, POST …/cancel.
-- A cancelled redemption gives its points back to the lots they came from,
-- with their old expiry: a lot that expired meanwhile is opened and expires at
-- once, in the same transaction, as two entries.  Debt is repaid first.
-- Refuses: 400 idempotency.required, 404 redemption.not_found, 409
-- redemption.not_cancellable, member.ambiguous, member.state, 422
-- reward.unavailable, member.not_found, wallet.not_found, wallet.required,
-- points.insufficient.
-- Locks: idempotency → balance.  Writes: idempotency, balance, lot, movement,
-- entry, redemption, change, outbox.

create or replace function api.redemption_create(p_tenant uuid, p_call jsonb, p_body jsonb)
returns api.answer
language plpgsql volatile security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_now       timestamptz;
    v_points    constant bigint := (p_body ->> 'points')::bigint;
    v_answer    api.answer;
    v_target    record;
    v_after     record;
    v_timezone  text;
    b           loyalty.balance;
    e           loyalty.entry;
    r           loyalty.redemption;
    w           loyalty.wallet;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_now := loyalty.tenant_now(p_tenant);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'redemption_create', true);
    if v_answer.status is not null then
        return v_answer;
    end if;
    if p_body ? 'reward' then
        v_answer := loyalty.problem(p_call, 422, 'reward.unavailable', null,
            '[{"pointer": "/reward", "code": "reward.unavailable"}]');
    else
        select * into v_target from loyalty.balance_target(p_tenant, p_call, p_body);
        v_answer := v_target.problem;
        w := v_target.wallet;
    end if;
    if v_answer.status is null then
        b := loyalty.balance_lock(p_tenant, w.wallet_id, v_target.member_id, v_now, false);
        if coalesce(b.available, 0) < v_points then
            v_answer := loyalty.points_problem(p_call, 'points.insufficient');
        end if;
    end if;
    if v_answer.status is not null then
        return loyalty.idempotency_end(p_tenant, p_call, 'redemption_create', v_answer);
    end if;

    if w.expiry_policy = 'inactivity' then
        select p.timezone into v_timezone from loyalty.program p
         where p.tenant_id = p_tenant and p.program_id = w.program_id;
        perform loyalty.lots_prolong(b, w.expiry_policy, w.expiry_days, v_timezone, v_now);
    end if;
    e := loyalty.entry_new(b, 5::smallint);
    e.effective_at := v_now;
    e.redemption_id := e.entry_id;
    e.principal_kind := p_call ->> 'kind';
    e.principal_id := (p_call ->> 'principal')::uuid;
    b := loyalty.book_debit(b, e, v_points, 11::smallint);
    insert into loyalty.redemption (tenant_id, redemption_id, wallet_id, member_id, points, status)
    values (p_tenant, e.entry_id, w.wallet_id, b.member_id, v_points, 'completed')
    returning * into r;
    perform loyalty.outbox_add(p_tenant, 'redemption.completed', b.member_id, v_now,
        jsonb_build_object('redemption', loyalty.id_text('rdm', r.redemption_id),
            'member', loyalty.id_text('mem', b.member_id), 'points', v_points, 'hold', null));
    b := loyalty.balance_finish(b, v_now);

    select * into v_after from loyalty.member_balances(p_tenant, b.member_id, v_now);
    v_answer := loyalty.answer(201,
        (loyalty.redemption_text(r, loyalty.entries_text(p_tenant, p_call, array[e.entry_id]))
         || jsonb_build_object('balances', to_jsonb(v_after.data)))::text,
        'Location: /v1/redemptions/' || loyalty.id_text('rdm', r.redemption_id) || E'\n',
        v_after.fills::text);
    return loyalty.idempotency_end(p_tenant, p_call, 'redemption_create', v_answer);
end
$$;
comment on function api.redemption_create(uuid, jsonb, jsonb) is 'spends points at once';

create or replace function api.redemption_get(p_tenant uuid, p_call jsonb, p_redemption text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    r loyalty.redemption;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select * into r from loyalty.redemption x
     where x.tenant_id = p_tenant and x.redemption_id = loyalty.id_uuid('rdm', p_redemption);
    if not found then
        return loyalty.problem(p_call, 404, 'redemption.not_found');
    end if;
    return loyalty.answer(200, loyalty.redemption_text(r,
        loyalty.entries_text(p_tenant, p_call, loyalty.redemption_entries(r)))::text);
end
$$;
comment on function api.redemption_get(uuid, jsonb, text) is 'one redemption';

create or replace function loyalty.redemption_undo(p_tenant uuid, p_call jsonb,
    p_redemption text) returns api.answer
language plpgsql volatile as
$$
declare
    v_now       constant timestamptz := loyalty.tenant_now(p_tenant);
    v_lots      uuid[];
    v_amounts   bigint[];
    v_count     int;
    v_after     record;
    b           loyalty.balance;
    e           loyalty.entry;
    r           loyalty.redemption;
begin
    select * into r from loyalty.redemption x
     where x.tenant_id = p_tenant and x.redemption_id = loyalty.id_uuid('rdm', p_redemption);
    if not found then
        return loyalty.problem(p_call, 404, 'redemption.not_found');
    end if;
    b := loyalty.balance_lock(p_tenant, r.wallet_id, r.member_id, v_now, false);
    select * into r from loyalty.redemption x
     where x.tenant_id = p_tenant and x.redemption_id = r.redemption_id;
    if r.status <> 'completed' then
        return loyalty.problem(p_call, 409, 'redemption.not_cancellable',
                               'The redemption is ' || r.status || '.');
    end if;

    select array_agg(m.lot_id order by m.ord), array_agg(m.amount order by m.ord)
      into v_lots, v_amounts
      from loyalty.movement m
     where m.tenant_id = p_tenant and m.subject_id = r.redemption_id and m.to_bucket = 11;
    v_count := cardinality(v_lots);
    e := loyalty.entry_new(b, 6::smallint);
    e.points := r.points;
    e.effective_at := v_now;
    e.hold_id := r.hold_id;
    e.redemption_id := r.redemption_id;
    e.reverses := r.redemption_id;
    e.principal_kind := p_call ->> 'kind';
    e.principal_id := (p_call ->> 'principal')::uuid;
    b := loyalty.entry_add(b, e, array_fill(11::smallint, array[v_count]),
        array_fill(2::smallint, array[v_count]), v_amounts, v_lots);
    update loyalty.redemption x
       set status = 'cancelled', reversed_points = x.points, updated_at = now()
     where x.tenant_id = p_tenant and x.redemption_id = r.redemption_id
    returning * into r;
    perform loyalty.outbox_add(p_tenant, 'redemption.cancelled', b.member_id, v_now,
        jsonb_build_object('redemption', loyalty.id_text('rdm', r.redemption_id),
            'member', loyalty.id_text('mem', b.member_id), 'points', r.points));
    b := loyalty.balance_finish(b, v_now);

    select * into v_after from loyalty.member_balances(p_tenant, b.member_id, v_now);
    return loyalty.answer(200,
        (loyalty.redemption_text(r,
             loyalty.entries_text(p_tenant, p_call, loyalty.redemption_entries(r)))
         || jsonb_build_object('balances', to_jsonb(v_after.data)))::text,
        null, v_after.fills::text);
end
$$;
comment on function loyalty.redemption_undo(uuid, jsonb, text) is
    'gives the points of a redemption back to their lots';

create or replace function api.redemption_cancel(p_tenant uuid, p_call jsonb,
    p_redemption text, p_body jsonb default null) returns api.answer
language plpgsql volatile security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_answer api.answer;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'redemption_cancel', true);
    if v_answer.status is not null then
        return v_answer;
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'redemption_cancel',
        loyalty.redemption_undo(p_tenant, p_call, p_redemption));
end
$$;
comment on function api.redemption_cancel(uuid, jsonb, text, jsonb) is 'undoes a redemption';
