-- GET /earning-rules. Locks nothing, writes nothing. A program that is unknown has no rules.

create or replace function api.rule_list(p_tenant uuid, p_call jsonb, p_program text,
    p_status text, p_limit text) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_limit int := loyalty.list_limit(p_limit);
    v_after uuid := coalesce((p_call#>>'{cursor,id}')::uuid,
                             'ffffffff-ffff-ffff-ffff-ffffffffffff');
    v_data json[] := array[]::json[];
    v_next uuid;
    v_row loyalty.rule;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    for v_row in
        select r.*
          from loyalty.rule r
         where r.tenant_id = p_tenant and r.rule_id < v_after
           and (p_program is null or r.program_id = loyalty.id_uuid('prg', p_program))
           and (p_status is null or r.state = p_status)
         order by r.rule_id desc
         limit v_limit + 1
    loop
        if cardinality(v_data) = v_limit then
            return loyalty.list_answer(p_call, v_data, jsonb_build_object('id', v_next));
        end if;
        v_next := v_row.rule_id;
        v_data := v_data || loyalty.rule_text(v_row)::json;
    end loop;
    return loyalty.list_answer(p_call, v_data, null);
end $$;
comment on function api.rule_list(uuid, jsonb, text, text, text) is 'GET /earning-rules';
