-- Idempotency-Key: the row is inserted first, so that a parallel twin waits
-- for it and then replays; the answer is stored last, in the same commit.
-- Scope: tenant, principal, operation.
-- Refuses: 400 idempotency.required, 422 idempotency.mismatch (same key, other
-- body), 409 idempotency.running (the twin runs for longer than lock_timeout).
-- Locks: the idempotency row (first of all locks).  Writes: idempotency.

create or replace function loyalty.idempotency_running(p_call jsonb) returns api.answer
language plpgsql as
$$
begin
    return loyalty.answer(409, loyalty.problem_json(p_call, 409, 'idempotency.running',
        null, null)::text, E'Retry-After: 1\n');
end
$$;
comment on function loyalty.idempotency_running(jsonb) is 'a twin of the call is under way';

-- status null: go on.  Otherwise the answer to give as it is.
create or replace function loyalty.idempotency_begin(p_tenant uuid, p_call jsonb,
    p_operation text, p_required boolean default false) returns api.answer
language plpgsql as
$$
declare
    v_key       text := p_call ->> 'idempotency_key';
    v_principal uuid := coalesce((p_call ->> 'principal')::uuid,
                                 '00000000-0000-0000-0000-000000000000');
    v_mac       bytea := decode(coalesce(p_call ->> 'body_mac', ''), 'hex');
    v_row       loyalty.idempotency;
    v_found     boolean;
begin
    if v_key is null then
        if p_required then
            return loyalty.problem(p_call, 400, 'idempotency.required');
        end if;
        return null;
    end if;
    begin
        insert into loyalty.idempotency (tenant_id, principal_id, operation, key, body_mac, nonce)
        values (p_tenant, v_principal, p_operation, v_key, v_mac,
                coalesce(p_call ->> 'nonce', ''))
        on conflict do nothing;
        v_found := found;
    exception
        when lock_not_available then
            return loyalty.idempotency_running(p_call);
    end;
    if v_found then
        return null;
    end if;
    select * into v_row from loyalty.idempotency i
     where i.tenant_id = p_tenant and i.principal_id = v_principal
       and i.operation = p_operation and i.key = v_key;
    if v_row.body_mac is distinct from v_mac then
        return loyalty.problem(p_call, 422, 'idempotency.mismatch');
    end if;
    if v_row.status is null then
        return loyalty.idempotency_running(p_call);
    end if;
    -- markers count only with the nonce of the present request
    return loyalty.answer(v_row.status,
        case when v_row.nonce = '' then v_row.body
             else replace(v_row.body, v_row.nonce, p_call ->> 'nonce') end,
        coalesce(v_row.headers, '') || E'Idempotent-Replayed: true\n');
end
$$;
comment on function loyalty.idempotency_begin(uuid, jsonb, text, boolean) is
    'takes an Idempotency-Key, or gives the stored answer';

-- stores and returns the answer
create or replace function loyalty.idempotency_end(p_tenant uuid, p_call jsonb,
    p_operation text, p_answer api.answer) returns api.answer
language plpgsql as
$$
begin
    if p_call ->> 'idempotency_key' is not null then
        update loyalty.idempotency i
           set status = p_answer.status, headers = p_answer.headers, body = p_answer.body
         where i.tenant_id = p_tenant
           and i.principal_id = coalesce((p_call ->> 'principal')::uuid,
                                         '00000000-0000-0000-0000-000000000000')
           and i.operation = p_operation and i.key = p_call ->> 'idempotency_key';
    end if;
    return p_answer;
end
$$;
comment on function loyalty.idempotency_end(uuid, jsonb, text, api.answer) is
    'stores the answer of a call under its Idempotency-Key';
