-- POST /events and POST /events/batch.
-- Refuses (one event): 409 event.conflict, member.ambiguous, 422 member.not_found, member.blocked;
-- in a batch these are outcomes of items and the answer is 200.
-- Locks, writes: idempotency key, then see loyalty.event_accept and loyalty.events_accept.

-- 202 with the id; the same again 200 with its stored outcome and "duplicate": true
create or replace function api.event_create(p_tenant uuid, p_call jsonb, p_body jsonb)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_event record;
    v_id text;
    v_changes jsonb;
    v_keyed boolean := p_call->>'idempotency_key' is not null;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    if v_keyed then
        v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'event_create');
        if v_answer.status is not null then
            return v_answer;
        end if;
    end if;
    v_event := loyalty.event_accept(p_tenant, p_call, p_body);
    if v_event.status = 202 then
        v_id := loyalty.id_text('evt', v_event.event_id);
        v_changes := jsonb_build_array(
            jsonb_build_object('k', 'wait', 'id', v_event.event_id),
            jsonb_build_object('k', 'poke', 'l', 'rules'));
        if p_body#>>'{event,member}' like 'ext:%' then
            v_changes := v_changes || jsonb_build_object('k', 'alias',
                'r', p_body#>>'{event,member}', 'm', v_event.member_id);
        end if;
        v_answer := loyalty.answer(202,
            json_build_object('object', 'event', 'id', v_id, 'status', 'received')::text,
            'Location: /v1/events/' || v_id || E'\n', v_changes::text);
    elsif v_event.status = 200 then
        v_answer := loyalty.event_answer(p_tenant, p_call, v_event.event_id, true);
    else
        v_answer := loyalty.answer(v_event.status, v_event.problem::text);
    end if;
    if v_keyed then
        return loyalty.idempotency_end(p_tenant, p_call, 'event_create', v_answer);
    end if;
    return v_answer;
end $$;
comment on function api.event_create(uuid, jsonb, jsonb) is 'POST /events';

-- The outcomes of a batch as rows of the answer's data, and what to wait for.
create or replace function loyalty.batch_data(p_tenant uuid, p_call jsonb, p_items jsonb,
    out data json, out changes jsonb)
language plpgsql volatile as $$
begin
    select json_agg(case a.status
                        when 202 then json_build_object('status', 202,
                                          'id', loyalty.id_text('evt', a.event_id))
                        when 200 then json_build_object('status', 200,
                                          'id', loyalty.id_text('evt', a.event_id),
                                          'duplicate', true)
                        else json_build_object('status', a.status, 'problem', a.problem) end
                    order by a.n),
           jsonb_agg(jsonb_build_object('k', 'wait', 'id', a.event_id) order by a.n)
               filter (where a.status in (200, 202))
      into data, changes
      from loyalty.events_accept(p_tenant, p_call, p_items) a;
end $$;
comment on function loyalty.batch_data(uuid, jsonb, jsonb) is 'outcomes of a batch''s items';

-- One outcome an item, in order. All items in one go; should that fail on something unforeseen,
-- each by itself, so that one bad item harms no other. Conflicts with other writers are not
-- unforeseen: they are raised and the call is sent once more.
create or replace function api.event_batch(p_tenant uuid, p_call jsonb, p_body jsonb)
returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_batch record;
    v_item jsonb;
    v_data json[] := array[]::json[];
    v_changes jsonb := jsonb '[]';
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'event_batch');
    if v_answer.status is not null then
        return v_answer;
    end if;
    begin
        select b.data, b.changes
          into v_batch
          from loyalty.batch_data(p_tenant, p_call, p_body->'items') b;
    exception
        when data_exception or integrity_constraint_violation or internal_error
                or program_limit_exceeded or raise_exception then
            for v_item in select jsonb_array_elements(p_body->'items') loop
                begin
                    select b.data, b.changes
                      into v_batch
                      from loyalty.batch_data(p_tenant, p_call, jsonb_build_array(v_item)) b;
                    v_data := v_data || (v_batch.data->0);
                    v_changes := v_changes || coalesce(v_batch.changes, '[]');
                exception
                    when data_exception or integrity_constraint_violation or internal_error
                            or program_limit_exceeded or raise_exception then
                        v_data := v_data || json_build_object('status', 422, 'problem',
                            loyalty.problem_json(p_call, 422, 'value.invalid', null, null));
                end;
            end loop;
            select to_json(v_data) as data, v_changes as changes into v_batch;
    end;
    v_answer := loyalty.answer(200,
        json_build_object('object', 'batch', 'data', coalesce(v_batch.data, '[]'))::text, null,
        (coalesce(v_batch.changes, '[]') || '[{"k":"poke","l":"rules"}]')::text);
    return loyalty.idempotency_end(p_tenant, p_call, 'event_batch', v_answer);
end $$;
comment on function api.event_batch(uuid, jsonb, jsonb) is 'POST /events/batch';
