-- The records of the directory, as the edge keeps them in shared memory.
-- Each gives null when the row is gone. Instants are microseconds since 1970, null for never.
-- Reads: plan, tenant, wallet, host, api_key, signing_key, revocation. Locks and refuses nothing.

create or replace function loyalty.dir_us(p_at timestamptz) returns bigint
language sql immutable parallel safe
return case when isfinite(p_at) then (extract(epoch from p_at) * 1000000)::bigint end;
comment on function loyalty.dir_us(timestamptz) is
    'microseconds since 1970; null for null and infinity';

create or replace function loyalty.dir_plan(p loyalty.plan) returns jsonb
language plpgsql stable as $$
begin
    if p.plan_code is null then
        return null;
    end if;
    return jsonb_build_object('code', p.plan_code, 'request_rate', p.request_rate,
        'request_burst', p.request_burst, 'key_rate', p.key_rate, 'key_burst', p.key_burst,
        'inflight_writes', p.inflight_writes, 'inflight_batches', p.inflight_batches);
end $$;
comment on function loyalty.dir_plan(loyalty.plan) is 'directory record of a plan';

-- the wallets are read under the tenant's policy, so the setting must name this tenant
create or replace function loyalty.dir_tenant(t loyalty.tenant) returns jsonb
language plpgsql stable as $$
declare
    v_wallets jsonb;
begin
    if t.tenant_id is null then
        return null;
    end if;
    select coalesce(jsonb_agg(jsonb_build_object('code', w.code, 'ordinal', w.ordinal)
                              order by w.ordinal), '[]')
      into v_wallets
      from loyalty.wallet w
     where w.tenant_id = t.tenant_id;
    return jsonb_build_object('id', t.tenant_id, 'slug', t.slug, 'status', t.status,
        'mode', t.mode, 'plan', t.plan_code, 'generation', t.generation,
        'wrapped_key', translate(encode(t.wrapped_key, 'base64'), E'\n', ''),
        'origins', to_jsonb(coalesce(t.origins, '{}')), 'wallets', v_wallets,
        'timezone', t.timezone);
end $$;
comment on function loyalty.dir_tenant(loyalty.tenant) is 'directory record of a tenant';

create or replace function loyalty.dir_wallet(w loyalty.wallet) returns jsonb
language plpgsql stable as $$
begin
    if w.wallet_id is null then
        return null;
    end if;
    return jsonb_build_object('id', w.wallet_id, 'tenant', w.tenant_id, 'program', w.program_id,
        'code', w.code, 'ordinal', w.ordinal);
end $$;
comment on function loyalty.dir_wallet(loyalty.wallet) is 'directory record of a wallet';

create or replace function loyalty.dir_api_key(k loyalty.api_key) returns jsonb
language plpgsql stable as $$
begin
    if k.key_id is null then
        return null;
    end if;
    return jsonb_build_object('id', k.key_id, 'tenant', k.tenant_id, 'kind', k.kind,
        'mode', k.mode, 'scopes', to_jsonb(coalesce(k.scopes, '{}')),
        'addresses', to_jsonb(coalesce(k.addresses, '{}')::text[]),
        'api_version', k.api_version, 'state', k.state,
        'expires_at', loyalty.dir_us(k.expires_at));
end $$;
comment on function loyalty.dir_api_key(loyalty.api_key) is 'directory record of an API key';

create or replace function loyalty.dir_signing_key(k loyalty.signing_key) returns jsonb
language plpgsql stable as $$
begin
    if k.kid is null then
        return null;
    end if;
    return jsonb_build_object('kid', k.kid, 'alg', k.alg, 'pem', k.public_pem,
        'state', k.state);
end $$;
comment on function loyalty.dir_signing_key(loyalty.signing_key) is
    'directory record of a signing key';

create or replace function loyalty.dir_revocation(r loyalty.revocation) returns jsonb
language plpgsql stable as $$
begin
    if r.ref is null then
        return null;
    end if;
    return jsonb_build_object('tenant', r.tenant_id, 'kind', r.kind, 'ref', r.ref,
        'not_before', loyalty.dir_us(r.not_before),
        'expires_at', loyalty.dir_us(r.expires_at));
end $$;
comment on function loyalty.dir_revocation(loyalty.revocation) is
    'directory record of a revocation';
