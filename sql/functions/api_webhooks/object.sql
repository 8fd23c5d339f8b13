-- How a webhook endpoint and a delivery look. A secret is given once, by the answer that made it.
-- Reads: delivery_attempt.

create or replace function loyalty.endpoint_text(p_row loyalty.webhook_endpoint, p_secret text)
returns text
language plpgsql stable as $$
declare
    v_json json;
begin
    v_json := json_build_object('object', 'webhook_endpoint',
        'id', loyalty.id_text('whe', p_row.endpoint_id), 'url', p_row.url,
        'event_types', to_json(p_row.event_types), 'description', nullif(p_row.description, ''),
        'status', p_row.status, 'api_version', p_row.api_version, 'sequence', p_row.sequence,
        'failing_since', loyalty.time_text(p_row.fail_since), 'metadata', p_row.metadata,
        'version', p_row.version,
        'created_at', loyalty.time_text(p_row.created_at),
        'updated_at', loyalty.time_text(p_row.updated_at));
    if p_secret is null then
        return v_json::text;
    end if;
    return left(v_json::text, -1) || ', "secret" : ' || to_json(p_secret)::text || '}';
end $$;
comment on function loyalty.endpoint_text(loyalty.webhook_endpoint, text) is 'an endpoint as JSON';

create or replace function loyalty.delivery_text(p_row loyalty.delivery) returns text
language plpgsql stable as $$
declare
    v_attempts json;
begin
    select coalesce(json_agg(json_build_object('attempt', a.attempt,
                        'started_at', loyalty.time_text(a.started_at), 'duration_ms', a.ms,
                        'status', a.status, 'error', a.error, 'response', a.response)
                    order by a.attempt), '[]')
      into v_attempts
      from loyalty.delivery_attempt a
     where a.tenant_id = p_row.tenant_id and a.delivery_id = p_row.delivery_id;
    return json_build_object('object', 'webhook_delivery',
        'id', loyalty.id_text('whd', p_row.delivery_id),
        'endpoint', loyalty.id_text('whe', p_row.endpoint_id),
        'message', loyalty.id_text('msg', p_row.message_id), 'type', p_row.body::json->>'type',
        'sequence', p_row.sequence, 'status', p_row.status, 'attempt', p_row.attempt,
        'next_at', case when p_row.status in ('queued', 'retrying')
                        then loyalty.time_text(p_row.next_at) end,
        'last_attempt', v_attempts->-1, 'attempts', v_attempts,
        'created_at', loyalty.time_text(p_row.created_at),
        'updated_at', loyalty.time_text(p_row.updated_at))::text;
end $$;
comment on function loyalty.delivery_text(loyalty.delivery) is
    'a delivery with its attempts as JSON';
