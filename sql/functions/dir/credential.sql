-- One credential, straight from the tables: what the edge asks while its feed is old or its
-- directory is not yet complete (it fails closed). Reads: api_key, tenant, revocation,
-- signing_key. Locks nothing.

-- the record of one API key by the digest of its text; null when there is none
create or replace function dir.credential(p_digest bytea) returns jsonb
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_key loyalty.api_key;
begin
    select k.* into v_key from loyalty.api_key k where k.digest = p_digest;
    return loyalty.dir_api_key(v_key);
end $$;
comment on function dir.credential(bytea) is 'the record of one API key, by digest';

-- The revocation that stands against a token's session, user, member, tenant or kid: its record,
-- `{"revoked":true,…}`; `{"revoked":false}` when none does. A token issued after `not_before`
-- is good again. A signing key that is unknown or revoked counts as revoked.
create or replace function dir.session_check(p_tenant uuid, p_kind text, p_ref text)
returns jsonb
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.revocation;
begin
    if p_kind = 'kid' and not exists (select from loyalty.signing_key k
                                       where k.kid = p_ref and k.state <> 'revoked') then
        return jsonb '{"revoked": true, "not_before": null}';
    end if;
    select r.* into v_row
      from loyalty.revocation r
     where r.tenant_id = p_tenant and r.kind = p_kind and r.ref = p_ref
       and (r.expires_at is null or r.expires_at > pg_catalog.now());
    if not found then
        return jsonb '{"revoked": false}';
    end if;
    return loyalty.dir_revocation(v_row) || '{"revoked": true}';
end $$;
comment on function dir.session_check(uuid, text, text) is
    'the revocation that stands against a token';
