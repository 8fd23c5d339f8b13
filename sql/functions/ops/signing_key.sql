-- The platform's keys that sign access tokens. The private half is sealed by the caller.
-- Writes: signing_key, revocation, change (kinds signing_key, revocation).

-- Adds a key or moves it to another state. One key of an algorithm is current:
-- the present one becomes previous.
create or replace function ops.signing_key_put(p_key jsonb) returns void
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_kid text;
    v_state text := coalesce(p_key->>'state', 'current');
begin
    if v_state = 'current' then
        for v_kid in
            update loyalty.signing_key k
               set state = 'previous'
             where k.state = 'current' and k.alg = p_key->>'alg' and k.kid <> p_key->>'kid'
            returning k.kid
        loop
            perform loyalty.change_add(null, 'signing_key', v_kid);
        end loop;
    end if;
    insert into loyalty.signing_key as k (kid, alg, public_pem, sealed_private, state)
    values (p_key->>'kid', p_key->>'alg', p_key->>'pem',
            decode(p_key->>'sealed_private', 'base64'), v_state)
    on conflict (kid) do update set state = excluded.state;
    perform loyalty.change_add(null, 'signing_key', p_key->>'kid');
end $$;
comment on function ops.signing_key_put(jsonb) is
    'adds a signing key or moves it to another state';

-- the key of this id, or with null the current one (ES256 before RS256):
-- {"kid","alg","pem","state","sealed_private"}
create or replace function ops.signing_key_get(p_kid text) returns jsonb
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.signing_key;
begin
    select k.* into v_row
      from loyalty.signing_key k
     where case when p_kid is null then k.state = 'current' else k.kid = p_kid end
     order by k.alg
     limit 1;
    return loyalty.dir_signing_key(v_row) || jsonb_build_object('sealed_private',
        translate(encode(v_row.sealed_private, 'base64'), E'\n', ''));
end $$;
comment on function ops.signing_key_get(text) is 'a signing key with its sealed private half';

-- what was issued before p_not_before to this session, user, member, tenant or kid is void
create or replace function ops.revocation_put(p_tenant uuid, p_kind text, p_ref text,
    p_not_before timestamptz, p_expires timestamptz) returns void
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    insert into loyalty.revocation as r (tenant_id, kind, ref, not_before, expires_at)
    values (p_tenant, p_kind, p_ref, p_not_before, p_expires)
    on conflict (tenant_id, kind, ref) do update
       set not_before = greatest(r.not_before, excluded.not_before),
           expires_at = greatest(r.expires_at, excluded.expires_at);
    perform loyalty.change_add(p_tenant, 'revocation', p_kind || ':' || p_ref);
end $$;
comment on function ops.revocation_put(uuid, text, text, timestamptz, timestamptz) is
    'voids what was issued before an instant';
