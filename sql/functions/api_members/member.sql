-- GET and PATCH /members/{id}, GET /members/lookup, GET /members.
-- Refuses: 404 member.not_found, 409 member.ambiguous, member.state, member.external_id_taken;
-- for a PATCH with personal fields the first answer is 0 (reseal), which writes nothing.
-- Locks (PATCH): idempotency key → enrolment lock of a new external id → member.
-- Writes (PATCH): see loyalty.member_merge.

create or replace function loyalty.member_answer(p_tenant uuid, p_call jsonb, p_member uuid,
    p_code text) returns api.answer
language plpgsql stable as $$
declare
    v_row loyalty.member;
begin
    if p_code is not null then
        return loyalty.problem(p_call, case p_code when 'member.ambiguous' then 409 else 404 end,
                               p_code);
    end if;
    select m.* into v_row
      from loyalty.member m
     where m.tenant_id = p_tenant and m.member_id = p_member;
    return loyalty.answer(200, loyalty.member_text(p_call, v_row),
                          loyalty.etag_line(v_row.version));
end $$;
comment on function loyalty.member_answer(uuid, jsonb, uuid, text) is
    'a member, or why there is none, as an answer';

create or replace function api.member_get(p_tenant uuid, p_call jsonb, p_member text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_found record;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select f.member_id, f.code into v_found from loyalty.member_find(p_tenant, p_member) f;
    return loyalty.member_answer(p_tenant, p_call, v_found.member_id, v_found.code);
end $$;
comment on function api.member_get(uuid, jsonb, text) is 'GET /members/{member}';

create or replace function api.member_lookup(p_tenant uuid, p_call jsonb, p_external_id text,
    p_source text) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_found record;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select f.member_id, f.code into v_found
      from loyalty.member_by_external(p_tenant, p_external_id, p_source) f;
    return loyalty.member_answer(p_tenant, p_call, v_found.member_id, v_found.code);
end $$;
comment on function api.member_lookup(uuid, jsonb, text, text) is 'GET /members/lookup';

create or replace function api.member_update(p_tenant uuid, p_call jsonb, p_member text,
    p_body jsonb) returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_found record;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select f.member_id, f.code into v_found from loyalty.member_find(p_tenant, p_member) f;
    if v_found.code is null then
        v_answer := loyalty.member_reseal(p_tenant, p_call, v_found.member_id,
                                          loyalty.member_sealed(p_body));
        if v_answer.status is not null then
            return v_answer;
        end if;
    end if;
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'member_update');
    if v_answer.status is not null then
        return v_answer;
    end if;
    if v_found.code is not null then
        return loyalty.idempotency_end(p_tenant, p_call, 'member_update',
            loyalty.member_answer(p_tenant, p_call, null, v_found.code));
    end if;
    return loyalty.member_merge(p_tenant, p_call, 'member_update', v_found.member_id, p_body);
end $$;
comment on function api.member_update(uuid, jsonb, text, jsonb) is 'PATCH /members/{member}';

-- Newest first. A page looks at 10,000 rows at most: a rare status gives short pages, not slow
-- ones. The address is compared by its blind index (call.blind).
create or replace function api.member_list(p_tenant uuid, p_call jsonb, p_status text,
    p_email text, p_limit text) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_limit int := loyalty.list_limit(p_limit);
    v_after uuid := coalesce((p_call#>>'{cursor,id}')::uuid,
                             'ffffffff-ffff-ffff-ffff-ffffffffffff');
    v_data json[] := array[]::json[];
    v_next uuid;
    v_seen int := 0;
    v_rows refcursor;
    v_row loyalty.member;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    if p_email is null then
        open v_rows for
            select m.*
              from loyalty.member m
             where m.tenant_id = p_tenant and m.member_id < v_after
             order by m.member_id desc
             limit 10001;
    else
        open v_rows for
            select m.*
              from loyalty.member m
             where m.tenant_id = p_tenant and m.member_id < v_after
               and m.email_blind = decode(p_call#>>'{blind,email}', 'hex')
             order by m.member_id desc
             limit 10001;
    end if;
    loop
        fetch v_rows into v_row;
        exit when not found;
        v_seen := v_seen + 1;
        if cardinality(v_data) = v_limit or v_seen > 10000 then
            return loyalty.list_answer(p_call, v_data, jsonb_build_object('id', v_next));
        end if;
        v_next := v_row.member_id;
        if p_status is null or v_row.status = p_status then
            v_data := v_data || loyalty.member_text(p_call, v_row)::json;
        end if;
    end loop;
    return loyalty.list_answer(p_call, v_data, null);
end $$;
comment on function api.member_list(uuid, jsonb, text, text, text) is 'GET /members';
