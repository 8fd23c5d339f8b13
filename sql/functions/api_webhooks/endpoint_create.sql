-- POST /webhook-endpoints. The id, the endpoint's key and the sealed secret come from the module
-- (call.minted); the answer shows the secret, once.
-- Refuses: 422 with every fault (url, event_types), 422 endpoint.too_many over 50 endpoints.
-- Locks: idempotency key. Writes: webhook_endpoint, endpoint_secret.

create or replace function api.endpoint_create(p_tenant uuid, p_call jsonb, p_body jsonb)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_errors jsonb;
    v_row loyalty.webhook_endpoint;
    v_minted jsonb := p_call->'minted';
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'endpoint_create');
    if v_answer.status is not null then
        return v_answer;
    end if;
    v_errors := loyalty.endpoint_faults(p_tenant, p_body);
    if v_errors <> '[]' then
        return loyalty.idempotency_end(p_tenant, p_call, 'endpoint_create',
            loyalty.problem(p_call, 422, 'value.invalid', null, v_errors));
    end if;
    if (select count(*) from loyalty.webhook_endpoint e where e.tenant_id = p_tenant
           and e.deleted_at is null) >= 50 then
        return loyalty.idempotency_end(p_tenant, p_call, 'endpoint_create',
            loyalty.problem(p_call, 422, 'endpoint.too_many',
                            'A tenant has at most 50 endpoints.'));
    end if;
    insert into loyalty.webhook_endpoint as e (tenant_id, endpoint_id, url, event_types,
                                               description, status, api_version, metadata)
    values (p_tenant, (v_minted->>'id')::uuid, p_body->>'url',
            array(select jsonb_array_elements_text(coalesce(p_body->'event_types', '[]'))),
            coalesce(p_body->>'description', ''), 'active',
            date '2026-11-01',
            coalesce(p_body->'metadata', '{}'))
    returning e.* into v_row;
    insert into loyalty.endpoint_secret (tenant_id, endpoint_id, number, sealed, wrapped)
    values (p_tenant, v_row.endpoint_id, 1, v_minted->>'secret_sealed',
            decode(v_minted->>'wrapped_key', 'base64'));
    v_answer := loyalty.answer(201,
        loyalty.endpoint_text(v_row, loyalty.sealed_out(p_call, v_row.endpoint_id, 'secret',
            decode(v_minted->>'wrapped_key', 'base64'), v_minted->>'secret_sealed')),
        'Location: /v1/webhook-endpoints/' || loyalty.id_text('whe', v_row.endpoint_id) || E'\n'
            || loyalty.etag_line(v_row.version));
    return loyalty.idempotency_end(p_tenant, p_call, 'endpoint_create', v_answer);
end $$;
comment on function api.endpoint_create(uuid, jsonb, jsonb) is 'POST /webhook-endpoints';

-- every fault of the members that are there, with its pointer
create or replace function loyalty.endpoint_faults(p_tenant uuid, p_body jsonb) returns jsonb
language plpgsql stable as $$
declare
    v_errors jsonb := jsonb '[]';
    v_type text;
    v_n int := 0;
begin
    if p_body ? 'url' and (length(p_body->>'url') > 2048
                           or p_body->>'url' !~ '^https?://[^/?#@[:space:]]+([/?][^#[:space:]]*)?$')
    then
        v_errors := v_errors || jsonb_build_object('pointer', '/url', 'code', 'value.invalid',
            'detail', 'An https URL of at most 2048 characters, without user and fragment.');
    elsif p_body->>'url' ~ '^http:' and exists (
            select from loyalty.tenant t where t.tenant_id = p_tenant and t.mode = 'live') then
        v_errors := v_errors || jsonb_build_object('pointer', '/url', 'code', 'value.invalid',
            'detail', 'A live tenant''s endpoint is reached by https.');
    end if;
    if jsonb_typeof(p_body->'event_types') = 'array' then
        for v_type in select jsonb_array_elements_text(p_body->'event_types') loop
            if v_type !~ '^(\*|[a-z_]+(\.[a-z_]+)*(\.\*)?)$' or length(v_type) > 64 then
                v_errors := v_errors || jsonb_build_object(
                    'pointer', '/event_types/' || v_n, 'code', 'value.invalid',
                    'detail', 'A type such as points.earned, or points.*.');
            end if;
            v_n := v_n + 1;
        end loop;
    end if;
    return v_errors;
end $$;
comment on function loyalty.endpoint_faults(uuid, jsonb) is
    'faults of an endpoint that a schema cannot say';
