-- API keys. Only the digest is stored; the text is made and shown by the caller, once.
-- Writes: api_key, change (kind api_key, ref the digest in hex).

-- p_key: {"id":uuid,"digest":hex,"prefix","last4","name","kind":"secret|publishable",
--   "mode":"live|test","scopes":[…],"addresses":[cidr…],"api_version":date,
--   "expires_at":time|null}
-- Raises when the key's mode is not the tenant's, or the tenant is unknown.
create or replace function ops.key_create(p_tenant uuid, p_key jsonb) returns jsonb
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_mode text;
    v_row loyalty.api_key;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select t.mode into v_mode from loyalty.tenant t where t.tenant_id = p_tenant;
    if not found then
        raise exception 'unknown tenant' using errcode = 'no_data_found';
    end if;
    if v_mode <> coalesce(p_key->>'mode', v_mode) then
        raise exception 'the tenant is in % mode', v_mode using errcode = 'check_violation';
    end if;
    insert into loyalty.api_key as k (tenant_id, key_id, digest, prefix, last4, name, kind, mode,
                                      scopes, addresses, api_version, state, expires_at)
    values (p_tenant, (p_key->>'id')::uuid, decode(p_key->>'digest', 'hex'), p_key->>'prefix',
            p_key->>'last4', coalesce(p_key->>'name', ''), coalesce(p_key->>'kind', 'secret'),
            v_mode,
            coalesce((select array_agg(s order by s) from jsonb_array_elements_text(
                          coalesce(p_key->'scopes', '[]')) s), '{}'),
            coalesce((select array_agg(a::cidr) from jsonb_array_elements_text(
                          coalesce(p_key->'addresses', '[]')) a), '{}'),
            coalesce((p_key->>'api_version')::date, date '2026-11-01'), 'active',
            (p_key->>'expires_at')::timestamptz)
    returning k.* into v_row;
    perform loyalty.change_add(p_tenant, 'api_key', encode(v_row.digest, 'hex'));
    return loyalty.dir_api_key(v_row) || jsonb_build_object(
        'key', loyalty.id_text('key', v_row.key_id), 'name', v_row.name);
end $$;
comment on function ops.key_create(uuid, jsonb) is 'stores an API key by its digest';

-- false when there is no such key that is not revoked already
create or replace function ops.key_revoke(p_tenant uuid, p_key uuid) returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_digest bytea;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    update loyalty.api_key k
       set state = 'revoked'
     where k.tenant_id = p_tenant and k.key_id = p_key and k.state <> 'revoked'
    returning k.digest into v_digest;
    if not found then
        return false;
    end if;
    perform loyalty.change_add(p_tenant, 'api_key', encode(v_digest, 'hex'));
    return true;
end $$;
comment on function ops.key_revoke(uuid, uuid) is 'revokes an API key';

create or replace function ops.key_list(p_tenant uuid) returns setof jsonb
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    return query
    select jsonb_build_object('id', loyalty.id_text('key', k.key_id), 'name', k.name,
               'kind', k.kind, 'mode', k.mode, 'prefix', k.prefix, 'last4', k.last4,
               'state', k.state, 'scopes', to_jsonb(k.scopes), 'expires_at', k.expires_at,
               'last_used_at', k.last_used_at)
      from loyalty.api_key k
     where k.tenant_id = p_tenant
     order by k.key_id;
end $$;
comment on function ops.key_list(uuid) is 'API keys of a tenant';
