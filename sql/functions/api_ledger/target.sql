-- Whose balance an operation means, for bodies with "member" and "wallet".
-- Refuses (as problem): 422 member.not_found, 409 member.ambiguous,
-- 409 member.state (blocked), 422 wallet.not_found, 422 wallet.required.
-- Locks nothing, writes nothing.

create or replace function loyalty.balance_target(p_tenant uuid, p_call jsonb, p_body jsonb,
    out member_id uuid, out wallet loyalty.wallet, out problem api.answer)
language plpgsql stable as
$$
#variable_conflict use_column
declare
    v_found     record;
    v_faults    jsonb := '[]';
    v_code      text;
    v_wallets   int;
begin
    select * into v_found from loyalty.member_find(p_tenant, p_body ->> 'member');
    if v_found.code = 'member.ambiguous' then
        problem := loyalty.problem(p_call, 409, 'member.ambiguous');
        return;
    end if;
    if v_found.code is not null then
        v_code := v_found.code;
        v_faults := v_faults || jsonb_build_object('pointer', '/member', 'code', v_found.code);
    end if;
    if p_body ->> 'wallet' is not null then
        select * into wallet from loyalty.wallet w
         where w.tenant_id = p_tenant and w.code = p_body ->> 'wallet';
        if not found then
            v_code := coalesce(v_code, 'wallet.not_found');
            v_faults := v_faults
                || jsonb_build_object('pointer', '/wallet', 'code', 'wallet.not_found');
        end if;
    else
        select count(*) into v_wallets from loyalty.wallet w where w.tenant_id = p_tenant;
        if v_wallets <> 1 then
            v_code := coalesce(v_code, 'wallet.required');
            v_faults := v_faults
                || jsonb_build_object('pointer', '/wallet', 'code', 'wallet.required');
        else
            select * into wallet from loyalty.wallet w where w.tenant_id = p_tenant;
        end if;
    end if;
    if v_code is not null then
        problem := loyalty.problem(p_call, 422, v_code, null, v_faults);
    elsif v_found.status = 'blocked' then
        problem := loyalty.problem(p_call, 409, 'member.state');
    end if;
    member_id := v_found.member_id;
end
$$;
comment on function loyalty.balance_target(uuid, jsonb, jsonb) is
    'member and wallet that a body names, or why not';

-- 422 with the place of the fault
create or replace function loyalty.points_problem(p_call jsonb, p_code text) returns api.answer
language plpgsql stable as
$$
begin
    return loyalty.problem(p_call, 422, p_code, null,
        jsonb_build_array(jsonb_build_object('pointer', '/points', 'code', p_code)));
end
$$;
comment on function loyalty.points_problem(jsonb, text) is 'a refusal for the points asked for';
