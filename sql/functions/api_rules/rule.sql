-- POST, GET /earning-rules, PUT /earning-rules/{id}/draft.
-- A rule has a draft, which can be changed, and versions, which cannot; one of them is in force.
-- The draft is kept as it was sent: the worker checks its types when it is published.
-- Refuses: 404 rule.not_found, 409 rule.state, 422 program.not_found in a body, 428 and 412
-- (If-Match, or If-None-Match: * for a first draft).
-- Locks: idempotency key → rule. Writes: rule.

create or replace function loyalty.rule_text(p_row loyalty.rule) returns text
language plpgsql stable as $$
declare
    v_version loyalty.rule_version;
begin
    if p_row.published_number is not null then
        select v.* into v_version
          from loyalty.rule_version v
         where v.tenant_id = p_row.tenant_id and v.rule_id = p_row.rule_id
           and v.number = p_row.published_number;
    end if;
    return json_build_object('object', 'earning_rule',
        'id', loyalty.id_text('rul', p_row.rule_id),
        'program', loyalty.id_text('prg', p_row.program_id), 'name', p_row.name,
        'base', p_row.is_base, 'status', p_row.state, 'draft', p_row.draft,
        'published', v_version.document, 'published_version', v_version.number,
        'published_at', loyalty.time_text(v_version.published_at), 'version', p_row.version,
        'created_at', loyalty.time_text(p_row.created_at),
        'updated_at', loyalty.time_text(p_row.updated_at))::text;
end $$;
comment on function loyalty.rule_text(loyalty.rule) is 'a rule as JSON';

create or replace function api.rule_create(p_tenant uuid, p_call jsonb, p_body jsonb)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.rule;
    v_program uuid;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'rule_create');
    if v_answer.status is not null then
        return v_answer;
    end if;
    select p.program_id into v_program
      from loyalty.program p
     where p.tenant_id = p_tenant and p.program_id = loyalty.id_uuid('prg', p_body->>'program');
    if not found then
        return loyalty.idempotency_end(p_tenant, p_call, 'rule_create',
            loyalty.problem(p_call, 422, 'program.not_found', null, jsonb_build_array(
                jsonb_build_object('pointer', '/program', 'code', 'program.not_found',
                                   'detail', loyalty.problem_title('program.not_found')))));
    end if;
    insert into loyalty.rule as r (tenant_id, rule_id, program_id, name, is_base, state, draft)
    values (p_tenant, coalesce((p_call#>>'{minted,id}')::uuid, loyalty.uuid_v7()), v_program,
            p_body->>'name', coalesce((p_body#>>'{draft,base}')::boolean, false), 'draft',
            nullif(p_body->'draft', 'null'))
    returning r.* into v_row;
    v_answer := loyalty.answer(201, loyalty.rule_text(v_row),
        'Location: /v1/earning-rules/' || loyalty.id_text('rul', v_row.rule_id) || E'\n'
            || loyalty.etag_line(v_row.version));
    return loyalty.idempotency_end(p_tenant, p_call, 'rule_create', v_answer);
end $$;
comment on function api.rule_create(uuid, jsonb, jsonb) is 'POST /earning-rules';

create or replace function api.rule_get(p_tenant uuid, p_call jsonb, p_id text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.rule;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select r.* into v_row
      from loyalty.rule r
     where r.tenant_id = p_tenant and r.rule_id = loyalty.id_uuid('rul', p_id);
    if not found then
        return loyalty.problem(p_call, 404, 'rule.not_found');
    end if;
    return loyalty.answer(200, loyalty.rule_text(v_row), loyalty.etag_line(v_row.version));
end $$;
comment on function api.rule_get(uuid, jsonb, text) is 'GET /earning-rules/{rule}';

-- the whole draft; what is published stays in force until the next publish
create or replace function api.rule_draft(p_tenant uuid, p_call jsonb, p_id text,
    p_body jsonb) returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.rule;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select r.* into v_row
      from loyalty.rule r
     where r.tenant_id = p_tenant and r.rule_id = loyalty.id_uuid('rul', p_id)
       for update;
    if not found then
        return loyalty.problem(p_call, 404, 'rule.not_found');
    end if;
    if p_call->>'if_none_match' = '*' then
        if v_row.draft is not null then
            return loyalty.problem(p_call, 412, 'precondition.failed');
        end if;
    else
        v_answer := loyalty.if_match(p_call, v_row.version);
        if v_answer.status is not null then
            return v_answer;
        end if;
    end if;
    if v_row.state = 'archived' then
        return loyalty.problem(p_call, 409, 'rule.state', 'The rule is archived.');
    end if;
    update loyalty.rule as r
       set draft = p_body,
           is_base = case when r.published_number is null
                          then coalesce((p_body->>'base')::boolean, false)
                          else r.is_base end,
           version = r.version + 1, updated_at = clock_timestamp()
     where r.tenant_id = p_tenant and r.rule_id = v_row.rule_id
    returning r.* into v_row;
    return loyalty.answer(200, loyalty.rule_text(v_row), loyalty.etag_line(v_row.version));
end $$;
comment on function api.rule_draft(uuid, jsonb, text, jsonb) is 'PUT /earning-rules/{rule}/draft';
