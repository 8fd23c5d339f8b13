-- GET /programs and GET /programs/{id}/wallets.
-- Refuses: 404 program.not_found. Locks nothing, writes nothing.

create or replace function api.program_list(p_tenant uuid, p_call jsonb, p_status text,
    p_limit text) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_limit int := loyalty.list_limit(p_limit);
    v_after uuid := coalesce((p_call#>>'{cursor,id}')::uuid,
                             'ffffffff-ffff-ffff-ffff-ffffffffffff');
    v_data json[] := array[]::json[];
    v_next uuid;
    v_row loyalty.program;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    for v_row in
        select p.*
          from loyalty.program p
         where p.tenant_id = p_tenant and p.program_id < v_after
           and (p_status is null or p.status = p_status)
         order by p.program_id desc
         limit v_limit + 1
    loop
        if cardinality(v_data) = v_limit then
            return loyalty.list_answer(p_call, v_data, jsonb_build_object('id', v_next));
        end if;
        v_next := v_row.program_id;
        v_data := v_data || loyalty.program_text(v_row)::json;
    end loop;
    return loyalty.list_answer(p_call, v_data, null);
end $$;
comment on function api.program_list(uuid, jsonb, text, text) is 'GET /programs';

-- oldest first, in the order of their places
create or replace function api.wallet_list(p_tenant uuid, p_call jsonb, p_program text,
    p_limit text) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_limit int := loyalty.list_limit(p_limit);
    v_after int := coalesce((p_call#>>'{cursor,ordinal}')::int, -1);
    v_program uuid := loyalty.id_uuid('prg', p_program);
    v_data json[] := array[]::json[];
    v_next int;
    v_row loyalty.wallet;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    if not exists (select from loyalty.program p
                    where p.tenant_id = p_tenant and p.program_id = v_program) then
        return loyalty.problem(p_call, 404, 'program.not_found');
    end if;
    for v_row in
        select w.*
          from loyalty.wallet w
         where w.tenant_id = p_tenant and w.program_id = v_program and w.ordinal > v_after
         order by w.ordinal
         limit v_limit + 1
    loop
        if cardinality(v_data) = v_limit then
            return loyalty.list_answer(p_call, v_data, jsonb_build_object('ordinal', v_next));
        end if;
        v_next := v_row.ordinal;
        v_data := v_data || loyalty.wallet_text(v_row)::json;
    end loop;
    return loyalty.list_answer(p_call, v_data, null);
end $$;
comment on function api.wallet_list(uuid, jsonb, text, text) is
    'GET /programs/{program}/wallets';
