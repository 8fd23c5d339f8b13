-- The whole directory. The first row is kind `mark`: ref is the snapshot that dir.changes goes on
-- from. STABLE on purpose: every query inside sees the caller's one snapshot, the mark included.
-- Reads: plan, tenant, host, wallet, api_key, signing_key, revocation. Locks nothing.

create or replace function dir.snapshot() returns table (kind text, ref text, data jsonb)
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_tenant loyalty.tenant;
begin
    return query select 'mark'::text, pg_catalog.pg_current_snapshot()::text, null::jsonb;
    return query
    select 'plan'::text, p.plan_code::text, loyalty.dir_plan(p)
      from loyalty.plan p order by p.plan_code;
    for v_tenant in
        select t.* from loyalty.tenant t where t.status <> 'closed' order by t.tenant_id
    loop
        perform set_config('app.tenant_id', v_tenant.tenant_id::text, true);
        return query select 'tenant'::text, v_tenant.tenant_id::text, loyalty.dir_tenant(v_tenant);
        return query
        select 'wallet'::text, w.wallet_id::text, loyalty.dir_wallet(w)
          from loyalty.wallet w
         where w.tenant_id = v_tenant.tenant_id
         order by w.ordinal;
    end loop;
    perform set_config('app.tenant_id', '', true);
    return query
    select 'host'::text, h.host::text, pg_catalog.jsonb_build_object('tenant', h.tenant_id)
      from loyalty.host h order by h.host;
    return query
    select 'api_key'::text, pg_catalog.encode(k.digest, 'hex'), loyalty.dir_api_key(k)
      from loyalty.api_key k
     where k.state <> 'revoked'
       and (k.expires_at is null or k.expires_at > pg_catalog.now())
     order by k.digest;
    return query
    select 'signing_key'::text, k.kid::text, loyalty.dir_signing_key(k)
      from loyalty.signing_key k
     where k.state <> 'revoked' order by k.kid;
    return query
    select 'revocation'::text, r.kind || ':' || r.ref, loyalty.dir_revocation(r)
      from loyalty.revocation r
     where r.expires_at is null or r.expires_at > pg_catalog.now()
     order by r.tenant_id, r.kind, r.ref;
end $$;
comment on function dir.snapshot() is 'the whole directory, with the mark that changes go on from';
