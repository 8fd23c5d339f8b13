-- POST /members: enrols, or merges the given fields into the member that has this external id
-- under this source (without a source: under any).
-- Personal fields come sealed under the minted id and key; for a member that exists the first
-- answer is 0 (reseal), which writes nothing.
-- Refuses: 409 member.ambiguous, 422 value.invalid (enrolled_at in the future).
-- Locks: idempotency key → enrolment lock of the external id → member.
-- Writes: member, member_external, data_key, change (kind member), outbox (member.enrolled,
-- member.updated).

create or replace function api.member_create(p_tenant uuid, p_call jsonb, p_body jsonb)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.member;
    v_ext text := p_body->>'external_id';
    v_source text := coalesce(p_body->>'source', 'default');
    v_sealed jsonb := loyalty.member_sealed(p_body);
    v_found record;
    v_enrolled timestamptz;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select f.member_id, f.code into v_found
      from loyalty.member_by_external(p_tenant, v_ext, nullif(v_source, 'default')) f;
    if v_found.member_id is not null then
        v_answer := loyalty.member_reseal(p_tenant, p_call, v_found.member_id, v_sealed);
        if v_answer.status is not null then
            return v_answer;
        end if;
    end if;
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'member_create');
    if v_answer.status is not null then
        return v_answer;
    end if;
    perform pg_advisory_xact_lock(loyalty.enrol_lock_key(p_tenant, v_ext));
    select f.member_id, f.code into v_found
      from loyalty.member_by_external(p_tenant, v_ext, nullif(v_source, 'default')) f;
    if v_found.member_id is not null then
        return loyalty.member_merge(p_tenant, p_call, 'member_create', v_found.member_id,
                                    p_body);
    end if;
    v_enrolled := coalesce((p_body->>'enrolled_at')::timestamptz, loyalty.tenant_now(p_tenant));
    if v_found.code = 'member.ambiguous' then
        v_answer := loyalty.problem(p_call, 409, 'member.ambiguous');
    elsif v_enrolled > loyalty.tenant_now(p_tenant) then
        v_answer := loyalty.problem(p_call, 422, 'value.invalid', null, jsonb_build_array(
            jsonb_build_object('pointer', '/enrolled_at', 'code', 'value.invalid',
                               'detail', 'It lies in the future.')));
    else
        insert into loyalty.member as m (tenant_id, member_id, status, shard, enrolled_at,
                                         sealed, email_blind)
        select p_tenant, i.id, 'active', loyalty.shard_of(i.id), v_enrolled,
               jsonb_strip_nulls(v_sealed),
               case when v_sealed->>'email' is not null
                    then decode(p_call#>>'{blind,email}', 'hex') end
          from (select coalesce((p_call#>>'{minted,id}')::uuid, loyalty.uuid_v7()) as id) i
        returning m.* into v_row;
        insert into loyalty.member_external (tenant_id, external_id, source, member_id)
        values (p_tenant, v_ext, v_source, v_row.member_id);
        insert into loyalty.data_key (tenant_id, object_id, wrapped)
        select p_tenant, v_row.member_id, decode(p_call#>>'{minted,wrapped_key}', 'base64')
         where p_call#>>'{minted,wrapped_key}' is not null;
        -- with several sources the reference without a source changes its meaning
        insert into loyalty.change (tenant_id, kind, ref)
        select distinct p_tenant, 'member', x.member_id::text
          from loyalty.member_external x
         where x.tenant_id = p_tenant and x.external_id = v_ext;
        perform loyalty.outbox_add(p_tenant, 'member.enrolled', v_row.member_id, v_enrolled,
            jsonb_build_object('member', loyalty.id_text('mem', v_row.member_id)));
        v_answer := loyalty.answer(201, loyalty.member_text(p_call, v_row),
            'Location: /v1/members/' || loyalty.id_text('mem', v_row.member_id) || E'\n'
                || loyalty.etag_line(v_row.version),
            jsonb_build_array(jsonb_build_object('k', 'member', 'm', v_row.member_id))::text);
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'member_create', v_answer);
end $$;
comment on function api.member_create(uuid, jsonb, jsonb) is 'POST /members';

-- Merges the given fields into a member and answers 200 with it; the last part of creation and of
-- PATCH, after idempotency_begin. A key that changed meanwhile gives the reseal answer again.
create or replace function loyalty.member_merge(p_tenant uuid, p_call jsonb, p_operation text,
    p_member uuid, p_body jsonb) returns api.answer
language plpgsql volatile as $$
declare
    v_answer api.answer;
    v_row loyalty.member;
    v_sealed jsonb := loyalty.member_sealed(p_body);
    v_status text := p_body->>'status';
    v_ext text := case when p_operation <> 'member_create' then p_body->>'external_id' end;
    v_source text := coalesce(p_body->>'source', 'default');
    v_holder uuid;
begin
    if v_ext is not null then
        perform pg_advisory_xact_lock(loyalty.enrol_lock_key(p_tenant, v_ext));
        select x.member_id into v_holder
          from loyalty.member_external x
         where x.tenant_id = p_tenant and x.external_id = v_ext
           and x.source is not distinct from v_source;    -- see loyalty.event_accept()
        if v_holder <> p_member then
            return loyalty.idempotency_end(p_tenant, p_call, p_operation,
                loyalty.problem(p_call, 409, 'member.external_id_taken'));
        end if;
    end if;
    select m.* into v_row
      from loyalty.member m
     where m.tenant_id = p_tenant and m.member_id = p_member
       for no key update;
    if v_status is not null and v_row.status not in ('active', 'inactive') then
        return loyalty.idempotency_end(p_tenant, p_call, p_operation,
            loyalty.problem(p_call, 409, 'member.state',
                            'The member is ' || v_row.status || '.'));
    end if;
    v_answer := loyalty.member_reseal(p_tenant, p_call, p_member, v_sealed);
    if v_answer.status is not null then
        delete from loyalty.idempotency i
         where i.tenant_id = p_tenant and i.principal_id = (p_call->>'principal')::uuid
           and i.operation = p_operation and i.key = p_call->>'idempotency_key';
        return v_answer;
    end if;
    if v_sealed = '{}' and v_ext is null and v_status is null then
        return loyalty.idempotency_end(p_tenant, p_call, p_operation,
            loyalty.answer(200, loyalty.member_text(p_call, v_row),
                           loyalty.etag_line(v_row.version)));
    end if;
    if jsonb_strip_nulls(v_sealed) <> '{}' then
        insert into loyalty.data_key (tenant_id, object_id, wrapped)
        values (p_tenant, p_member, decode(p_call#>>'{minted,wrapped_key}', 'base64'))
        on conflict do nothing;
    end if;
    if v_ext is not null and v_holder is null then
        insert into loyalty.member_external (tenant_id, external_id, source, member_id)
        values (p_tenant, v_ext, v_source, p_member);
    end if;
    update loyalty.member as m
       set sealed = jsonb_strip_nulls(m.sealed || v_sealed),
           email_blind = case when not v_sealed ? 'email' then m.email_blind
                              when v_sealed->>'email' is null then null
                              else decode(p_call#>>'{blind,email}', 'hex') end,
           status = coalesce(v_status, m.status),
           version = m.version + 1, updated_at = clock_timestamp()
     where m.tenant_id = p_tenant and m.member_id = p_member
    returning m.* into v_row;
    insert into loyalty.change (tenant_id, kind, ref)
    select distinct p_tenant, 'member', i.id::text
      from (select p_member as id
             union all
            select x.member_id
              from loyalty.member_external x
             where x.tenant_id = p_tenant and x.external_id = v_ext) i;
    perform loyalty.outbox_add(p_tenant, 'member.updated', p_member, v_row.updated_at,
        jsonb_build_object('member', loyalty.id_text('mem', p_member)));
    return loyalty.idempotency_end(p_tenant, p_call, p_operation,
        loyalty.answer(200, loyalty.member_text(p_call, v_row), loyalty.etag_line(v_row.version),
            jsonb_build_array(jsonb_build_object('k', 'member', 'm', p_member))::text));
end $$;
comment on function loyalty.member_merge(uuid, jsonb, text, uuid, jsonb) is
    'merges fields into a member and ends the call';
