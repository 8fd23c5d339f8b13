-- An event and what became of it: GET /events/{id}, and what callers wait for.
-- Refuses: 404 event.not_found. Locks nothing, writes nothing.

-- the event alone; its attributes leave as a marker that the module opens
create or replace function loyalty.event_json(p_call jsonb, p_row loyalty.event) returns jsonb
language plpgsql stable as $$
declare
    v_outcome loyalty.event_outcome;
begin
    select o.* into v_outcome
      from loyalty.event_outcome o
     where o.tenant_id = p_row.tenant_id and o.event_id = p_row.event_id;
    return jsonb_build_object('object', 'event', 'id', loyalty.id_text('evt', p_row.event_id),
        'status', coalesce(v_outcome.status, 'received'), 'type', p_row.type,
        'source', p_row.source, 'external_id', p_row.external_id,
        'member', loyalty.id_text('mem', p_row.member_id),
        'occurred_at', loyalty.time_text(p_row.occurred_at),
        'received_at', loyalty.time_text(p_row.received_at),
        'processed_at', loyalty.time_text(v_outcome.processed_at),
        'order', p_row.facts->'order', 'refund', p_row.facts->'refund',
        'attributes', loyalty.sealed_out(p_call, p_row.event_id, 'attributes', p_row.wrapped,
                                         p_row.sealed));
end $$;
comment on function loyalty.event_json(jsonb, loyalty.event) is 'an event as JSON';
