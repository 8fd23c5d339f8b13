-- How a member looks, and how one is found by external id. Personal fields leave as markers that
-- the module opens; a field whose key is gone (erased) is null.
-- Reads: member, member_external, data_key. Locks nothing, writes nothing.

create or replace function loyalty.member_text(p_call jsonb, p_row loyalty.member) returns text
language plpgsql stable as $$
declare
    v_key bytea;
    v_external json;
begin
    select coalesce(json_agg(json_build_object('source', x.source, 'id', x.external_id)
                             order by x.created_at, x.source, x.external_id), '[]')
      into v_external
      from loyalty.member_external x
     where x.tenant_id = p_row.tenant_id and x.member_id = p_row.member_id;
    if p_row.sealed <> '{}' then
        select k.wrapped into v_key
          from loyalty.data_key k
         where k.tenant_id = p_row.tenant_id and k.object_id = p_row.member_id;
    end if;
    return json_build_object('object', 'member', 'id', loyalty.id_text('mem', p_row.member_id),
        'status', p_row.status, 'external_ids', v_external,
        'email', loyalty.sealed_out(p_call, p_row.member_id, 'email', v_key,
                                    p_row.sealed->>'email'),
        'given_name', loyalty.sealed_out(p_call, p_row.member_id, 'given_name', v_key,
                                         p_row.sealed->>'given_name'),
        'family_name', loyalty.sealed_out(p_call, p_row.member_id, 'family_name', v_key,
                                          p_row.sealed->>'family_name'),
        'phone', loyalty.sealed_out(p_call, p_row.member_id, 'phone', v_key,
                                    p_row.sealed->>'phone'),
        'birth_date', loyalty.sealed_out(p_call, p_row.member_id, 'birth_date', v_key,
                                         p_row.sealed->>'birth_date'),
        'address', loyalty.sealed_out(p_call, p_row.member_id, 'address', v_key,
                                      p_row.sealed->>'address'),
        'referral_code', p_row.referral_code,
        'merged_into', loyalty.id_text('mem', p_row.merged_into),
        'enrolled_at', loyalty.time_text(p_row.enrolled_at), 'version', p_row.version,
        'created_at', loyalty.time_text(p_row.created_at),
        'updated_at', loyalty.time_text(p_row.updated_at))::text;
end $$;
comment on function loyalty.member_text(jsonb, loyalty.member) is 'a member as JSON';

-- p_source null: the tenant's one member with this external id, or of several the one under
-- `default`, else member.ambiguous. After merges; an erased member is not found.
create or replace function loyalty.member_by_external(p_tenant uuid, p_external_id text,
    p_source text, out member_id uuid, out code text)
language plpgsql stable as $$
#variable_conflict use_column
declare
    v_ids uuid[];
    v_own uuid;
    v_status text;
begin
    select array_agg(distinct x.member_id),
           (array_agg(x.member_id) filter (
                where x.source = coalesce(p_source, 'default')))[1]
      into v_ids, v_own
      from loyalty.member_external x
     where x.tenant_id = p_tenant and x.external_id = p_external_id
       and (p_source is null or x.source = p_source);
    if cardinality(v_ids) > 1 and v_own is null then
        code := 'member.ambiguous';
        return;
    end if;
    select f.member_id, f.status
      into member_id, v_status
      from loyalty.member_follow(p_tenant, case when cardinality(v_ids) = 1 then v_ids[1]
                                                else v_own end) f;
    if v_status is null or v_status = 'erased' then
        member_id := null;
        code := 'member.not_found';
    end if;
end $$;
comment on function loyalty.member_by_external(uuid, text, text) is
    'the member with an external id, under one source or any';

-- the personal fields of a body, sealed; a null one is to be removed
create or replace function loyalty.member_sealed(p_body jsonb) returns jsonb
language plpgsql immutable as $$
begin
    return (select coalesce(jsonb_object_agg(f.key, f.value), '{}')
              from jsonb_each(p_body) f
             where f.key in ('email', 'given_name', 'family_name', 'phone', 'birth_date',
                             'address'));
end $$;
comment on function loyalty.member_sealed(jsonb) is 'the personal fields of a body';

-- Null when what the module sealed is sealed under the key of this member, which is kept then.
-- Otherwise the answer that asks for it: under the stored key, or with wrapped_key null under a
-- new one.
create or replace function loyalty.member_reseal(p_tenant uuid, p_call jsonb, p_member uuid,
    p_sealed jsonb) returns api.answer
language plpgsql stable as $$
declare
    v_key bytea;
begin
    if jsonb_strip_nulls(p_sealed) = '{}' then
        return null;
    end if;
    select k.wrapped into v_key
      from loyalty.data_key k
     where k.tenant_id = p_tenant and k.object_id = p_member;
    if (p_call#>>'{minted,id}')::uuid is distinct from p_member
            or v_key <> decode(p_call#>>'{minted,wrapped_key}', 'base64') then
        return loyalty.reseal(p_member, v_key);
    end if;
    return null;
end $$;
comment on function loyalty.member_reseal(uuid, jsonb, uuid, jsonb) is
    'asks for sealing under the member''s key, unless it was';
