-- Tenants: made whole in one commit, found by slug, suspended and resumed.
-- Locks: the slug's unique row. Writes: tenant, host, program, wallet, app_user, data_key, change
-- (kinds tenant, host, program, wallet).

-- p_args: {"slug","name","mode":"live|test","plan","timezone","currency","locale",
--   "wrapped_key":b64,"hosts":[…],"origins":[…],
--   "program":{"name","join_policy","return_policy"}|null, "wallet":{"code","unit_one","unit_many",
--   "scale"}|null,
--   "owner":{"id":uuid,"email_blind":hex,"sealed":{field: b64},"wrapped_key":b64,"password_hash"}
--   |null}
-- The caller mints the id, for it wraps the tenant's key for it. A slug that stands already is
-- answered with its tenant and "created": false, and nothing is written.
create or replace function ops.tenant_create(p_tenant uuid, p_args jsonb) returns jsonb
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_slug text := lower(p_args->>'slug');
    v_host text;
    v_owner jsonb := nullif(p_args->'owner', 'null');
    v_program uuid;
    v_wallet uuid;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    perform ops.plan_ensure(coalesce(p_args->>'plan', 'standard'));
    if not exists (select from loyalty.plan p
                    where p.plan_code = coalesce(p_args->>'plan', 'standard')) then
        raise 'plan "%" is not known', p_args->>'plan' using errcode = 'invalid_parameter_value';
    end if;
    if loyalty.program_faults(p_args) <> '[]' then
        raise 'time zone "%" is not known', p_args->>'timezone'
            using errcode = 'invalid_parameter_value';
    end if;
    insert into loyalty.tenant (tenant_id, slug, name, status, mode, plan_code, timezone,
                                currency, locale, wrapped_key, origins)
    values (p_tenant, v_slug, coalesce(p_args->>'name', v_slug), 'active',
            coalesce(p_args->>'mode', 'live'), coalesce(p_args->>'plan', 'standard'),
            coalesce(p_args->>'timezone', 'UTC'), coalesce(p_args->>'currency', 'GBP'),
            coalesce(p_args->>'locale', 'en'), decode(p_args->>'wrapped_key', 'base64'),
            coalesce((select array_agg(o) from jsonb_array_elements_text(
                          coalesce(p_args->'origins', '[]')) o), '{}'))
    on conflict (slug) do nothing;
    if not found then
        return ops.tenant_find(v_slug) || '{"created": false}';
    end if;
    for v_host in
        select distinct lower(h) from jsonb_array_elements_text(
            coalesce(p_args->'hosts', '[]')) h order by 1
    loop
        insert into loyalty.host (host, tenant_id) values (v_host, p_tenant);
        perform loyalty.change_add(p_tenant, 'host', v_host);
    end loop;
    if jsonb_typeof(p_args->'program') = 'object' then
        v_program := loyalty.uuid_v7();
        insert into loyalty.program (tenant_id, program_id, name, status, timezone, join_policy,
                                     return_policy, late_policy)
        values (p_tenant, v_program, coalesce(p_args->'program'->>'name', 'Points'), 'active',
                coalesce(p_args->>'timezone', 'UTC'),
                coalesce(p_args->'program'->>'join_policy', 'on_first_event'),
                coalesce(p_args->'program'->>'return_policy', 'debt'), 'as_it_arrives');
        perform loyalty.change_add(p_tenant, 'program', v_program::text);
    end if;
    if v_program is not null and jsonb_typeof(p_args->'wallet') = 'object' then
        v_wallet := loyalty.uuid_v7();
        insert into loyalty.wallet (tenant_id, wallet_id, program_id, code, ordinal, unit_one,
                                    unit_many, scale, pending_policy, expiry_policy)
        values (p_tenant, v_wallet, v_program, coalesce(p_args->'wallet'->>'code', 'points'), 0,
                coalesce(p_args->'wallet'->>'unit_one', 'point'),
                coalesce(p_args->'wallet'->>'unit_many', 'points'),
                coalesce((p_args->'wallet'->>'scale')::smallint, 0), 'immediate', 'none');
        perform loyalty.change_add(p_tenant, 'wallet', v_wallet::text);
    end if;
    if jsonb_typeof(v_owner) = 'object' then
        insert into loyalty.app_user (tenant_id, user_id, sealed, email_blind, password_hash,
                                      role, status)
        values (p_tenant, (v_owner->>'id')::uuid, coalesce(v_owner->'sealed', '{}'),
                decode(v_owner->>'email_blind', 'hex'), v_owner->>'password_hash',
                coalesce(v_owner->>'role', 'owner'), 'active');
        insert into loyalty.data_key (tenant_id, object_id, wrapped)
        values (p_tenant, (v_owner->>'id')::uuid, decode(v_owner->>'wrapped_key', 'base64'));
    end if;
    perform loyalty.change_add(p_tenant, 'tenant', p_tenant::text);
    return ops.tenant_find(v_slug) || '{"created": true}';
end $$;
comment on function ops.tenant_create(uuid, jsonb) is
    'makes a tenant whole, or finds it by its slug';

-- the tenant by its slug, with what the command line needs to act for it; null when unknown
create or replace function ops.tenant_find(p_slug text) returns jsonb
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.tenant;
begin
    select t.* into v_row from loyalty.tenant t where t.slug = lower(p_slug);
    if not found then
        return null;
    end if;
    perform set_config('app.tenant_id', v_row.tenant_id::text, true);
    return loyalty.dir_tenant(v_row) || jsonb_build_object(
        'ten', loyalty.id_text('ten', v_row.tenant_id), 'name', v_row.name,
        'currency', v_row.currency, 'created_at', v_row.created_at,
        'hosts', (select coalesce(jsonb_agg(h.host order by h.host), '[]')
                    from loyalty.host h where h.tenant_id = v_row.tenant_id),
        'programs', (select coalesce(jsonb_agg(jsonb_build_object('id', p.program_id,
                                'prg', loyalty.id_text('prg', p.program_id), 'name', p.name,
                                'status', p.status) order by p.program_id), '[]')
                       from loyalty.program p where p.tenant_id = v_row.tenant_id));
end $$;
comment on function ops.tenant_find(text) is 'a tenant by its slug';

create or replace function ops.tenant_list() returns setof jsonb
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
begin
    return query
    select jsonb_build_object('id', loyalty.id_text('ten', t.tenant_id), 'slug', t.slug,
               'name', t.name, 'status', t.status, 'mode', t.mode, 'plan', t.plan_code)
      from loyalty.tenant t order by t.slug;
end $$;
comment on function ops.tenant_list() is 'tenants';

-- provisioning|active → suspended and back; false when the tenant was not in a state for it
create or replace function ops.tenant_suspend(p_tenant uuid) returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    update loyalty.tenant t
       set status = 'suspended', updated_at = clock_timestamp()
     where t.tenant_id = p_tenant and t.status in ('provisioning', 'active');
    if not found then
        return false;
    end if;
    perform loyalty.change_add(p_tenant, 'tenant', p_tenant::text);
    return true;
end $$;
comment on function ops.tenant_suspend(uuid) is 'suspends a tenant';

create or replace function ops.tenant_resume(p_tenant uuid) returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    update loyalty.tenant t
       set status = 'active', updated_at = clock_timestamp()
     where t.tenant_id = p_tenant and t.status in ('provisioning', 'suspended');
    if not found then
        return false;
    end if;
    perform loyalty.change_add(p_tenant, 'tenant', p_tenant::text);
    return true;
end $$;
comment on function ops.tenant_resume(uuid) is 'reinstates a tenant';

-- another plan, or other origins; null leaves as it is. False for an unknown tenant.
create or replace function ops.tenant_put(p_tenant uuid, p_plan text, p_origins text[])
returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    update loyalty.tenant t
       set plan_code = coalesce(p_plan, t.plan_code), origins = coalesce(p_origins, t.origins),
           updated_at = clock_timestamp()
     where t.tenant_id = p_tenant;
    if not found then
        return false;
    end if;
    perform loyalty.change_add(p_tenant, 'tenant', p_tenant::text);
    return true;
end $$;
comment on function ops.tenant_put(uuid, text, text[]) is 'changes plan or origins of a tenant';

-- an owner or other user of the team; see tenant_create for p_user. False when the e-mail stands.
create or replace function ops.user_put(p_tenant uuid, p_user jsonb) returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    insert into loyalty.app_user (tenant_id, user_id, sealed, email_blind, password_hash, role,
                                  status)
    values (p_tenant, (p_user->>'id')::uuid, coalesce(p_user->'sealed', '{}'),
            decode(p_user->>'email_blind', 'hex'), p_user->>'password_hash',
            coalesce(p_user->>'role', 'owner'), 'active')
    on conflict do nothing;
    if not found then
        return false;
    end if;
    insert into loyalty.data_key (tenant_id, object_id, wrapped)
    values (p_tenant, (p_user->>'id')::uuid, decode(p_user->>'wrapped_key', 'base64'));
    return true;
end $$;
comment on function ops.user_put(uuid, jsonb) is 'adds a user of the team';
