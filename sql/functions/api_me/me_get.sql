-- GET /me: who calls, for which tenant, with which scopes. Locks nothing, writes nothing.

create or replace function api.me_get(p_tenant uuid, p_call jsonb) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_tenant loyalty.tenant;
    v_kind text := p_call->>'kind';
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select t.* into v_tenant from loyalty.tenant t where t.tenant_id = p_tenant;
    return loyalty.answer(200, json_build_object('object', 'me', 'kind', v_kind,
        'id', loyalty.id_text(case v_kind when 'user' then 'usr' when 'member' then 'mem'
                                          else 'key' end, (p_call->>'principal')::uuid),
        'tenant', json_build_object('id', loyalty.id_text('ten', p_tenant),
            'slug', v_tenant.slug, 'name', v_tenant.name, 'mode', v_tenant.mode,
            'timezone', v_tenant.timezone, 'currency', v_tenant.currency),
        'scopes', coalesce(p_call->'scopes', '[]'))::text);
end $$;
comment on function api.me_get(uuid, jsonb) is 'GET /me';
