-- POST /entries/adjustments: credit (makes a lot) or debit (soonest expiry
-- first) by hand.  The reason comes sealed under the member's key.
-- Refuses: 400 idempotency.required, 409 member.ambiguous, member.state, 422
-- member.not_found, wallet.not_found, wallet.required, value.invalid (0),
-- points.insufficient, points.overflow.
-- Locks: idempotency → balance.  Writes: idempotency, data_key, balance, lot,
-- movement, entry, change, outbox.

create or replace function api.adjustment_create(p_tenant uuid, p_call jsonb, p_body jsonb)
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
    w           loyalty.wallet;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_now := loyalty.tenant_now(p_tenant);
    select * into v_target from loyalty.balance_target(p_tenant, p_call, p_body);
    w := v_target.wallet;
    if v_target.member_id is not null then
        v_answer := loyalty.member_reseal(p_tenant, p_call, v_target.member_id,
            jsonb_build_object('reason', p_body -> 'reason'));
        if v_answer.status is not null then
            return v_answer;
        end if;
    end if;
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'adjustment_create', true);
    if v_answer.status is not null then
        return v_answer;
    end if;
    v_answer := v_target.problem;
    if v_answer.status is null and v_points = 0 then
        v_answer := loyalty.points_problem(p_call, 'value.invalid');
    end if;
    if v_answer.status is null then
        b := loyalty.balance_lock(p_tenant, w.wallet_id, v_target.member_id, v_now, v_points > 0);
        if v_points < 0 and coalesce(b.available, 0) < -v_points then
            v_answer := loyalty.points_problem(p_call, 'points.insufficient');
        elsif v_points > 0 and b.earned + v_points > 9007199254740991 then
            v_answer := loyalty.points_problem(p_call, 'points.overflow');
        end if;
    end if;
    if v_answer.status is not null then
        return loyalty.idempotency_end(p_tenant, p_call, 'adjustment_create', v_answer);
    end if;

    if p_body ->> 'reason' is not null then
        insert into loyalty.data_key (tenant_id, object_id, wrapped)
        values (p_tenant, v_target.member_id, decode(p_call #>> '{minted,wrapped_key}', 'base64'))
        on conflict do nothing;
    end if;
    select p.timezone into v_timezone from loyalty.program p
     where p.tenant_id = p_tenant and p.program_id = w.program_id;
    perform loyalty.lots_prolong(b, w.expiry_policy, w.expiry_days, v_timezone, v_now);
    e := loyalty.entry_new(b, case when v_points > 0 then 10 else 11 end::smallint);
    e.effective_at := v_now;
    e.principal_kind := p_call ->> 'kind';
    e.principal_id := (p_call ->> 'principal')::uuid;
    e.reason := p_body ->> 'reason';
    if v_points > 0 then
        b := loyalty.book_credit(b, e, v_points, 15::smallint, v_now,
            loyalty.lot_expires(w.expiry_policy, w.expiry_days, w.expiry_month, v_timezone, v_now),
            v_now);
    else
        b := loyalty.book_debit(b, e, -v_points, 15::smallint);
    end if;
    b := loyalty.balance_finish(b, v_now);

    select * into v_after from loyalty.member_balances(p_tenant, v_target.member_id, v_now);
    v_answer := loyalty.answer(201, json_build_object('object', 'adjustment',
        'entries', to_json(loyalty.entries_text(p_tenant, p_call, array[e.entry_id])),
        'balances', to_json(v_after.data))::text, null, v_after.fills::text);
    return loyalty.idempotency_end(p_tenant, p_call, 'adjustment_create', v_answer);
end
$$;
comment on function api.adjustment_create(uuid, jsonb, jsonb) is 'credit or debit by hand';
