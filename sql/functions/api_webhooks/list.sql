-- GET /webhook-endpoints and GET /webhook-deliveries, newest first.
-- Locks nothing, writes nothing. A deleted endpoint is not listed; its deliveries are.

create or replace function api.endpoint_list(p_tenant uuid, p_call jsonb, p_limit text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_limit int := loyalty.list_limit(p_limit);
    v_after uuid := coalesce((p_call#>>'{cursor,id}')::uuid,
                             'ffffffff-ffff-ffff-ffff-ffffffffffff');
    v_data json[] := array[]::json[];
    v_next uuid;
    v_row loyalty.webhook_endpoint;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    for v_row in
        select e.*
          from loyalty.webhook_endpoint e
         where e.tenant_id = p_tenant and e.endpoint_id < v_after and e.deleted_at is null
         order by e.endpoint_id desc
         limit v_limit + 1
    loop
        if cardinality(v_data) = v_limit then
            return loyalty.list_answer(p_call, v_data, jsonb_build_object('id', v_next));
        end if;
        v_next := v_row.endpoint_id;
        v_data := v_data || loyalty.endpoint_text(v_row, null)::json;
    end loop;
    return loyalty.list_answer(p_call, v_data, null);
end $$;
comment on function api.endpoint_list(uuid, jsonb, text) is 'GET /webhook-endpoints';

-- a page looks at 10,000 rows at most: a rare status gives short pages, not slow ones
create or replace function api.delivery_list(p_tenant uuid, p_call jsonb, p_endpoint text,
    p_status text, p_limit text) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_limit int := loyalty.list_limit(p_limit);
    v_after uuid := coalesce((p_call#>>'{cursor,id}')::uuid,
                             'ffffffff-ffff-ffff-ffff-ffffffffffff');
    v_endpoint uuid := loyalty.id_uuid('whe', p_endpoint);
    v_data json[] := array[]::json[];
    v_next uuid;
    v_seen int := 0;
    v_row loyalty.delivery;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    for v_row in
        select d.*
          from loyalty.delivery d
         where d.tenant_id = p_tenant and d.delivery_id < v_after
         order by d.delivery_id desc
         limit 10001
    loop
        v_seen := v_seen + 1;
        if cardinality(v_data) = v_limit or v_seen > 10000 then
            return loyalty.list_answer(p_call, v_data, jsonb_build_object('id', v_next));
        end if;
        v_next := v_row.delivery_id;
        if (p_endpoint is null or v_row.endpoint_id = v_endpoint)
                and (p_status is null or v_row.status = p_status) then
            v_data := v_data || loyalty.delivery_text(v_row)::json;
        end if;
    end loop;
    return loyalty.list_answer(p_call, v_data, null);
end $$;
comment on function api.delivery_list(uuid, jsonb, text, text, text) is
    'GET /webhook-deliveries';
