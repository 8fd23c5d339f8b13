-- GET, PATCH, DELETE /webhook-endpoints/{id} and POST /webhook-endpoints/{id}/test.
-- Refuses: 404 endpoint.not_found, 409 endpoint.state, 428 and 412 (If-Match), 422 with
-- every fault.
-- Locks: idempotency key → webhook_endpoint. Writes: webhook_endpoint, endpoint_secret, outbox.

create or replace function api.endpoint_get(p_tenant uuid, p_call jsonb, p_id text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.webhook_endpoint;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select e.* into v_row
      from loyalty.webhook_endpoint e
     where e.tenant_id = p_tenant and e.endpoint_id = loyalty.id_uuid('whe', p_id)
       and e.deleted_at is null;
    if not found then
        return loyalty.problem(p_call, 404, 'endpoint.not_found');
    end if;
    return loyalty.answer(200, loyalty.endpoint_text(v_row, null),
                          loyalty.etag_line(v_row.version));
end $$;
comment on function api.endpoint_get(uuid, jsonb, text) is 'GET /webhook-endpoints/{endpoint}';

-- the status may be set to active (it starts afresh) or disabled
create or replace function api.endpoint_update(p_tenant uuid, p_call jsonb, p_id text,
    p_body jsonb) returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.webhook_endpoint;
    v_errors jsonb;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'endpoint_update');
    if v_answer.status is not null then
        return v_answer;
    end if;
    select e.* into v_row
      from loyalty.webhook_endpoint e
     where e.tenant_id = p_tenant and e.endpoint_id = loyalty.id_uuid('whe', p_id)
       and e.deleted_at is null
       for update;
    if not found then
        v_answer := loyalty.problem(p_call, 404, 'endpoint.not_found');
    else
        v_answer := loyalty.if_match(p_call, v_row.version);
    end if;
    if v_answer.status is null then
        v_errors := loyalty.endpoint_faults(p_tenant, p_body);
        if v_errors <> '[]' then
            v_answer := loyalty.problem(p_call, 422, 'value.invalid', null, v_errors);
        end if;
    end if;
    if v_answer.status is null then
        update loyalty.webhook_endpoint as e
           set url = coalesce(p_body->>'url', e.url),
               event_types = case when p_body ? 'event_types'
                                  then array(select jsonb_array_elements_text(
                                                 p_body->'event_types'))
                                  else e.event_types end,
               description = case when p_body ? 'description'
                                  then coalesce(p_body->>'description', '')
                                  else e.description end,
               status = coalesce(p_body->>'status', e.status),
               fail_since = case when p_body->>'status' = 'active' then null
                                 else e.fail_since end,
               metadata = coalesce(nullif(p_body->'metadata', 'null'), e.metadata),
               version = e.version + 1, updated_at = clock_timestamp()
         where e.tenant_id = p_tenant and e.endpoint_id = v_row.endpoint_id
        returning e.* into v_row;
        v_answer := loyalty.answer(200, loyalty.endpoint_text(v_row, null),
                                   loyalty.etag_line(v_row.version));
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'endpoint_update', v_answer);
end $$;
comment on function api.endpoint_update(uuid, jsonb, text, jsonb) is
    'PATCH /webhook-endpoints/{endpoint}';

-- The endpoint gets nothing more and its secrets are gone; its deliveries stay, what was on its
-- way has failed.
create or replace function api.endpoint_delete(p_tenant uuid, p_call jsonb, p_id text)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.webhook_endpoint;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select e.* into v_row
      from loyalty.webhook_endpoint e
     where e.tenant_id = p_tenant and e.endpoint_id = loyalty.id_uuid('whe', p_id)
       and e.deleted_at is null
       for update;
    if not found then
        return loyalty.problem(p_call, 404, 'endpoint.not_found');
    end if;
    v_answer := loyalty.if_match(p_call, v_row.version);
    if v_answer.status is not null then
        return v_answer;
    end if;
    update loyalty.webhook_endpoint as e
       set status = 'disabled', deleted_at = clock_timestamp(), version = e.version + 1,
           updated_at = clock_timestamp()
     where e.tenant_id = p_tenant and e.endpoint_id = v_row.endpoint_id;
    delete from loyalty.endpoint_secret s
     where s.tenant_id = p_tenant and s.endpoint_id = v_row.endpoint_id;
    update loyalty.delivery as d
       set status = 'failed', lease_until = null, updated_at = clock_timestamp()
     where d.tenant_id = p_tenant and d.endpoint_id = v_row.endpoint_id
       and d.status in ('queued', 'retrying');
    return loyalty.answer(204, '');
end $$;
comment on function api.endpoint_delete(uuid, jsonb, text) is
    'DELETE /webhook-endpoints/{endpoint}';

-- sends one endpoint.test message to this endpoint alone
create or replace function api.endpoint_test(p_tenant uuid, p_call jsonb, p_id text)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.webhook_endpoint;
    v_message uuid;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'endpoint_test');
    if v_answer.status is not null then
        return v_answer;
    end if;
    select e.* into v_row
      from loyalty.webhook_endpoint e
     where e.tenant_id = p_tenant and e.endpoint_id = loyalty.id_uuid('whe', p_id)
       and e.deleted_at is null;
    if not found then
        v_answer := loyalty.problem(p_call, 404, 'endpoint.not_found');
    elsif v_row.status = 'disabled' then
        v_answer := loyalty.problem(p_call, 409, 'endpoint.state',
            'The endpoint is disabled.');
    else
        v_message := loyalty.uuid_v7();
        insert into loyalty.outbox (tenant_id, message_id, type, occurred_at, data)
        values (p_tenant, v_message, 'endpoint.test', clock_timestamp(),
                jsonb_build_object('endpoint', loyalty.id_text('whe', v_row.endpoint_id)));
        v_answer := loyalty.answer(202, json_build_object('object', 'webhook_message',
                'id', loyalty.id_text('msg', v_message), 'type', 'endpoint.test',
                'endpoint', loyalty.id_text('whe', v_row.endpoint_id))::text,
            'Location: /v1/webhook-deliveries?endpoint='
                || loyalty.id_text('whe', v_row.endpoint_id) || E'\n', '[{"k":"poke"}]');
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'endpoint_test', v_answer);
end $$;
comment on function api.endpoint_test(uuid, jsonb, text) is
    'POST /webhook-endpoints/{endpoint}/test';
