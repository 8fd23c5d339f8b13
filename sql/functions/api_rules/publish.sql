-- POST /earning-rules/{id}/publish: the worker compiles the draft and puts it in force.
-- The answer is 202 with the command to wait for; api.command_result gives what came of it.
-- Refuses: 404 rule.not_found, 422 rule.no_draft, 409 rule.state, 412 when If-Match is
-- sent and stale.
-- Locks: idempotency key → rule. Writes: command.

create or replace function api.rule_publish(p_tenant uuid, p_call jsonb, p_id text)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.rule;
    v_command uuid;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'rule_publish');
    if v_answer.status is not null then
        return v_answer;
    end if;
    select r.* into v_row
      from loyalty.rule r
     where r.tenant_id = p_tenant and r.rule_id = loyalty.id_uuid('rul', p_id)
       for share;
    if not found then
        v_answer := loyalty.problem(p_call, 404, 'rule.not_found');
    elsif v_row.state = 'archived' then
        v_answer := loyalty.problem(p_call, 409, 'rule.state', 'The rule is archived.');
    elsif v_row.draft is null then
        v_answer := loyalty.problem(p_call, 422, 'rule.no_draft');
    elsif p_call->>'if_match' is not null then
        v_answer := loyalty.if_match(p_call, v_row.version);
    end if;
    if v_answer.status is null then
        v_command := loyalty.uuid_v7();
        insert into loyalty.command (tenant_id, command_id, kind, args, principal)
        values (p_tenant, v_command, 'rule.publish',
                jsonb_build_object('rule', v_row.rule_id, 'version', v_row.version),
                jsonb_build_object('id', p_call->'principal', 'kind', p_call->'kind'));
        v_answer := loyalty.answer(202,
            json_build_object('object', 'command', 'id', loyalty.id_text('cmd', v_command),
                              'status', 'queued')::text,
            'Location: /v1/earning-rules/' || loyalty.id_text('rul', v_row.rule_id) || E'\n',
            jsonb_build_array(jsonb_build_object('k', 'wait', 'id', v_command),
                              jsonb_build_object('k', 'poke', 'l', 'commands'))::text);
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'rule_publish', v_answer);
end $$;
comment on function api.rule_publish(uuid, jsonb, text) is 'POST /earning-rules/{rule}/publish';

-- What came of a command: the worker's answer, with `status` from its row. A problem gets this
-- request's id. 202 when it is still queued, 404 when there is none.
create or replace function api.command_result(p_tenant uuid, p_call jsonb, p_id uuid)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.command;
    v_rule loyalty.rule;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select c.* into v_row
      from loyalty.command c
     where c.tenant_id = p_tenant and c.command_id = p_id;
    if not found then
        return loyalty.problem(p_call, 404, 'command.not_found');
    end if;
    if v_row.state <> 'done' then
        return loyalty.answer(202, json_build_object('object', 'command',
            'id', loyalty.id_text('cmd', v_row.command_id), 'status', 'queued')::text);
    end if;
    if v_row.status >= 400 then
        return loyalty.problem(p_call, v_row.status, v_row.answer->>'code',
                               v_row.answer->>'detail', v_row.answer->'errors');
    end if;
    if v_row.kind = 'rule.publish' then
        select r.* into v_rule
          from loyalty.rule r
         where r.tenant_id = p_tenant and r.rule_id = (v_row.args->>'rule')::uuid;
        return loyalty.answer(v_row.status, loyalty.rule_text(v_rule),
                              loyalty.etag_line(v_rule.version));
    end if;
    return loyalty.answer(v_row.status, v_row.answer::text);
end $$;
comment on function api.command_result(uuid, jsonb, uuid) is 'what came of a command';
