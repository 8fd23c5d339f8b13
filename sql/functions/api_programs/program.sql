-- POST, GET, PATCH /programs and /programs/{id}/activate, /pause.
-- A program is draft until it is activated; paused programs earn nothing; archived ones neither.
-- Refuses: 404 program.not_found, 428 and 412 (If-Match), 422 with every fault, 409 program.state.
-- Locks: idempotency key → program. Writes: program, change (kind program).

create or replace function loyalty.program_text(p_row loyalty.program) returns text
language plpgsql stable as $$
begin
    return json_build_object('object', 'program', 'id', loyalty.id_text('prg', p_row.program_id),
        'name', p_row.name, 'status', p_row.status, 'timezone', p_row.timezone,
        'join_policy', p_row.join_policy, 'return_policy', p_row.return_policy,
        'refund_wait_hours', (extract(epoch from p_row.refund_wait) / 3600)::int,
        'late_policy', p_row.late_policy, 'metadata', p_row.metadata, 'version', p_row.version,
        'created_at', loyalty.time_text(p_row.created_at),
        'updated_at', loyalty.time_text(p_row.updated_at))::text;
end $$;
comment on function loyalty.program_text(loyalty.program) is 'a program as JSON';

-- what a schema cannot say: the time zone must be one the database knows
create or replace function loyalty.program_faults(p_body jsonb) returns jsonb
language plpgsql stable as $$
declare
    v_zone text := p_body->>'timezone';
begin
    if v_zone is not null then
        if v_zone !~ '^[A-Z][A-Za-z_]*(/[A-Za-z0-9_+-]+)*$' then
            raise invalid_parameter_value;
        end if;
        perform now() at time zone v_zone;
    end if;
    return jsonb '[]';
exception when invalid_parameter_value then
    return jsonb_build_array(jsonb_build_object('pointer', '/timezone',
        'code', 'value.invalid', 'detail', 'A name of the IANA time zone database.'));
end $$;
comment on function loyalty.program_faults(jsonb) is
    'faults of a program that a schema cannot say';

create or replace function api.program_create(p_tenant uuid, p_call jsonb, p_body jsonb)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.program;
    v_errors jsonb;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'program_create');
    if v_answer.status is not null then
        return v_answer;
    end if;
    v_errors := loyalty.program_faults(p_body);
    if v_errors <> '[]' then
        return loyalty.idempotency_end(p_tenant, p_call, 'program_create',
            loyalty.problem(p_call, 422, 'value.invalid', null, v_errors));
    end if;
    insert into loyalty.program as p (tenant_id, program_id, name, status, timezone, join_policy,
                                      return_policy, refund_wait, late_policy, metadata)
    values (p_tenant, coalesce((p_call#>>'{minted,id}')::uuid, loyalty.uuid_v7()),
            p_body->>'name', 'draft',
            coalesce(p_body->>'timezone',
                     (select t.timezone from loyalty.tenant t where t.tenant_id = p_tenant)),
            coalesce(p_body->>'join_policy', 'on_first_event'),
            coalesce(p_body->>'return_policy', 'debt'),
            make_interval(hours => coalesce((p_body->>'refund_wait_hours')::int, 24)),
            coalesce(p_body->>'late_policy', 'as_it_arrives'),
            coalesce(nullif(p_body->'metadata', 'null'), '{}'))
    returning p.* into v_row;
    perform loyalty.change_add(p_tenant, 'program', v_row.program_id::text);
    v_answer := loyalty.answer(201, loyalty.program_text(v_row),
        'Location: /v1/programs/' || loyalty.id_text('prg', v_row.program_id) || E'\n'
            || loyalty.etag_line(v_row.version));
    return loyalty.idempotency_end(p_tenant, p_call, 'program_create', v_answer);
end $$;
comment on function api.program_create(uuid, jsonb, jsonb) is 'POST /programs';

create or replace function api.program_get(p_tenant uuid, p_call jsonb, p_id text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.program;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select p.* into v_row
      from loyalty.program p
     where p.tenant_id = p_tenant and p.program_id = loyalty.id_uuid('prg', p_id);
    if not found then
        return loyalty.problem(p_call, 404, 'program.not_found');
    end if;
    return loyalty.answer(200, loyalty.program_text(v_row), loyalty.etag_line(v_row.version));
end $$;
comment on function api.program_get(uuid, jsonb, text) is 'GET /programs/{program}';

-- merges what is given; metadata is replaced as a whole
create or replace function api.program_update(p_tenant uuid, p_call jsonb, p_id text,
    p_body jsonb) returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.program;
    v_errors jsonb;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'program_update');
    if v_answer.status is not null then
        return v_answer;
    end if;
    select p.* into v_row
      from loyalty.program p
     where p.tenant_id = p_tenant and p.program_id = loyalty.id_uuid('prg', p_id)
       for update;
    if not found then
        v_answer := loyalty.problem(p_call, 404, 'program.not_found');
    else
        v_answer := loyalty.if_match(p_call, v_row.version);
    end if;
    if v_answer.status is null then
        v_errors := loyalty.program_faults(p_body);
        if v_errors <> '[]' then
            v_answer := loyalty.problem(p_call, 422, 'value.invalid', null, v_errors);
        end if;
    end if;
    if v_answer.status is null then
        update loyalty.program as p
           set name = coalesce(p_body->>'name', p.name),
               timezone = coalesce(p_body->>'timezone', p.timezone),
               join_policy = coalesce(p_body->>'join_policy', p.join_policy),
               return_policy = coalesce(p_body->>'return_policy', p.return_policy),
               refund_wait = coalesce(
                   make_interval(hours => (p_body->>'refund_wait_hours')::int), p.refund_wait),
               late_policy = coalesce(p_body->>'late_policy', p.late_policy),
               metadata = coalesce(nullif(p_body->'metadata', 'null'), p.metadata),
               version = p.version + 1, updated_at = clock_timestamp()
         where p.tenant_id = p_tenant and p.program_id = v_row.program_id
        returning p.* into v_row;
        perform loyalty.change_add(p_tenant, 'program', v_row.program_id::text);
        v_answer := loyalty.answer(200, loyalty.program_text(v_row),
                                   loyalty.etag_line(v_row.version));
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'program_update', v_answer);
end $$;
comment on function api.program_update(uuid, jsonb, text, jsonb) is 'PATCH /programs/{program}';

-- to p_to from one of p_from; standing there already is no fault. If-Match is checked when sent.
create or replace function loyalty.program_move(p_tenant uuid, p_call jsonb, p_operation text,
    p_id text, p_from text[], p_to text) returns api.answer
language plpgsql volatile as $$
declare
    v_answer api.answer;
    v_row loyalty.program;
begin
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, p_operation);
    if v_answer.status is not null then
        return v_answer;
    end if;
    select p.* into v_row
      from loyalty.program p
     where p.tenant_id = p_tenant and p.program_id = loyalty.id_uuid('prg', p_id)
       for update;
    if not found then
        v_answer := loyalty.problem(p_call, 404, 'program.not_found');
    elsif p_call->>'if_match' is not null then
        v_answer := loyalty.if_match(p_call, v_row.version);
    end if;
    if v_answer.status is null and v_row.status <> p_to and v_row.status <> all (p_from) then
        v_answer := loyalty.problem(p_call, 409, 'program.state',
            'The program is ' || v_row.status || '.');
    end if;
    if v_answer.status is null then
        if v_row.status <> p_to then
            update loyalty.program as p
               set status = p_to, version = p.version + 1, updated_at = clock_timestamp()
             where p.tenant_id = p_tenant and p.program_id = v_row.program_id
            returning p.* into v_row;
            perform loyalty.change_add(p_tenant, 'program', v_row.program_id::text);
        end if;
        v_answer := loyalty.answer(200, loyalty.program_text(v_row),
                                   loyalty.etag_line(v_row.version));
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, p_operation, v_answer);
end $$;
comment on function loyalty.program_move(uuid, jsonb, text, text, text[], text) is
    'moves a program to another status';

create or replace function api.program_activate(p_tenant uuid, p_call jsonb, p_id text)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    return loyalty.program_move(p_tenant, p_call, 'program_activate', p_id,
                                array['draft', 'paused'], 'active');
end $$;
comment on function api.program_activate(uuid, jsonb, text) is 'POST /programs/{program}/activate';

create or replace function api.program_pause(p_tenant uuid, p_call jsonb, p_id text)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    return loyalty.program_move(p_tenant, p_call, 'program_pause', p_id, array['active'],
                                'paused');
end $$;
comment on function api.program_pause(uuid, jsonb, text) is 'POST /programs/{program}/pause';
