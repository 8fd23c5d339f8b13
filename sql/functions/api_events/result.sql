-- An event and what became of it: GET /events/{id}, GET /events, and the answers that callers
-- wait for. Personal data leaves as markers that the module opens.
-- Refuses: 404 event.not_found. Locks nothing, writes nothing.

-- The event alone, in its order of members; p_more are further members (entries, balances, …).
create or replace function loyalty.event_text(p_call jsonb, p_row loyalty.event, p_more text)
returns text
language plpgsql stable as $$
declare
    v_outcome loyalty.event_outcome;
begin
    select o.* into v_outcome
      from loyalty.event_outcome o
     where o.tenant_id = p_row.tenant_id and o.event_id = p_row.event_id;
    return left(json_build_object('object', 'event',
            'id', loyalty.id_text('evt', p_row.event_id),
            'status', coalesce(v_outcome.status, 'received'), 'type', p_row.type,
            'source', p_row.source, 'external_id', p_row.external_id,
            'member', loyalty.id_text('mem', p_row.member_id),
            'occurred_at', loyalty.time_text(p_row.occurred_at),
            'received_at', loyalty.time_text(p_row.received_at),
            'processed_at', loyalty.time_text(v_outcome.processed_at))::text, -1)
        || coalesce(p_more, '') || '}';
end $$;
comment on function loyalty.event_text(jsonb, loyalty.event, text) is 'an event as JSON';

-- what only a reader of events gets: its facts and its sealed attributes
create or replace function loyalty.event_facts_text(p_call jsonb, p_row loyalty.event)
returns text
language plpgsql stable as $$
begin
    return ', "order" : ' || coalesce((p_row.facts->'order')::text, 'null')
        || ', "refund" : ' || coalesce((p_row.facts->'refund')::text, 'null')
        || ', "attributes" : ' || coalesce(to_json(loyalty.sealed_out(p_call, p_row.event_id,
               'attributes', p_row.wrapped, p_row.sealed))::text, 'null');
end $$;
comment on function loyalty.event_facts_text(jsonb, loyalty.event) is
    'members of an event that hold what it says';

-- the entries that an event made, in the order they were booked
create or replace function loyalty.event_entries(p_tenant uuid, p_call jsonb, p_event uuid)
returns json
language plpgsql stable as $$
declare
    v_ids uuid[];
begin
    select array_agg(e.entry_id order by e.recorded_at, e.entry_id)
      into v_ids
      from loyalty.entry e
     where e.tenant_id = p_tenant and e.event_id = p_event;
    return to_json(loyalty.entries_text(p_tenant, p_call, v_ids));
end $$;
comment on function loyalty.event_entries(uuid, jsonb, uuid) is 'the entries that an event made';

-- The event with its entries and its member's balances, and the fills of the cache; what a caller
-- that waited gets, and who sends an event again. 200, or 202 while it is not processed and
-- nobody sent it twice.
create or replace function loyalty.event_answer(p_tenant uuid, p_call jsonb, p_event uuid,
    p_duplicate boolean) returns api.answer
language plpgsql stable as $$
declare
    v_row loyalty.event;
    v_status text;
    v_more text := '';
    v_balances record;
    v_changes jsonb := jsonb '[]';
begin
    select e.* into v_row
      from loyalty.event e
     where e.tenant_id = p_tenant and e.event_id = p_event;
    if not found then
        return loyalty.problem(p_call, 404, 'event.not_found');
    end if;
    select o.status into v_status
      from loyalty.event_outcome o
     where o.tenant_id = p_tenant and o.event_id = p_event;
    if p_duplicate then
        v_more := ', "duplicate" : true';
    end if;
    if v_status is null then
        v_changes := jsonb_build_array(jsonb_build_object('k', 'wait', 'id', p_event));
    else
        v_more := v_more || ', "entries" : '
            || loyalty.event_entries(p_tenant, p_call, p_event)::text;
        if v_row.member_id is not null then
            select b.data, b.fills
              into v_balances
              from loyalty.member_balances(p_tenant, v_row.member_id,
                                           loyalty.tenant_now(p_tenant)) b;
            v_more := v_more || ', "balances" : ' || to_json(v_balances.data)::text;
            v_changes := v_balances.fills;
        else
            v_more := v_more || ', "balances" : []';
        end if;
    end if;
    return loyalty.answer(
        case when p_duplicate or v_status is not null and v_status <> 'waiting' then 200
             else 202 end,
        loyalty.event_text(p_call, v_row, v_more),
        'Location: /v1/events/' || loyalty.id_text('evt', p_event) || E'\n',
        nullif(v_changes, '[]')::text);
end $$;
comment on function loyalty.event_answer(uuid, jsonb, uuid, boolean) is
    'an event with its outcome as an answer';

-- what a caller that waited for one event gets; p_call says duplicate where the event was there
-- before
create or replace function api.event_result(p_tenant uuid, p_call jsonb, p_id uuid)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    return loyalty.event_answer(p_tenant, p_call, p_id,
                                coalesce((p_call->>'duplicate')::boolean, false));
end $$;
comment on function api.event_result(uuid, jsonb, uuid) is 'the outcome of POST /events';

-- p_answer: the body that the batch was answered with. An item whose event is processed becomes
-- {"status":200,"id":…,"event":{…}}, one that was accepted before keeps its "duplicate":true;
-- the others stay as they are.
create or replace function api.event_batch_result(p_tenant uuid, p_call jsonb, p_answer jsonb)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_item jsonb;
    v_event api.answer;
    v_data json[] := array[]::json[];
    v_changes jsonb := jsonb '[]';
    v_filled uuid[] := array[]::uuid[];
    v_member uuid;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    for v_item in select jsonb_array_elements(p_answer->'data') loop
        if v_item->>'status' in ('200', '202') then
            v_event := loyalty.event_answer(p_tenant, p_call,
                loyalty.id_uuid('evt', v_item->>'id'), false);
            if v_event.status = 200 then
                v_data := v_data || (jsonb_build_object('status', 200, 'id', v_item->>'id')
                    || v_item || '{"status": 200}'
                    || jsonb_build_object('event', v_event.body::jsonb))::json;
                v_member := (v_event.changes::jsonb #>> '{0,m}')::uuid;
                if v_member is not null and not v_member = any (v_filled) then
                    v_changes := v_changes || v_event.changes::jsonb;
                    v_filled := v_filled || v_member;
                end if;
                continue;
            end if;
        end if;
        v_data := v_data || v_item::json;
    end loop;
    return loyalty.answer(200,
        json_build_object('object', 'batch', 'data', to_json(v_data))::text, null,
        nullif(v_changes, '[]')::text);
end $$;
comment on function api.event_batch_result(uuid, jsonb, jsonb) is
    'the outcomes of POST /events/batch';

create or replace function api.event_get(p_tenant uuid, p_call jsonb, p_event text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.event;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select e.* into v_row
      from loyalty.event e
     where e.tenant_id = p_tenant and e.event_id = loyalty.id_uuid('evt', p_event);
    if not found then
        return loyalty.problem(p_call, 404, 'event.not_found');
    end if;
    return loyalty.answer(200, loyalty.event_text(p_call, v_row,
        loyalty.event_facts_text(p_call, v_row) || ', "entries" : '
            || loyalty.event_entries(p_tenant, p_call, v_row.event_id)::text));
end $$;
comment on function api.event_get(uuid, jsonb, text) is 'GET /events/{event}';

-- The events with an external id. Natural keys begin with source and type: the pairs that the
-- tenant has, few, are found by going from one to the next in the index (1,000 at most).
create or replace function loyalty.event_ids(p_tenant uuid, p_source text, p_type text,
    p_external_id text) returns uuid[]
language plpgsql stable
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    v_source text := '';
    v_type text := '';
    v_id uuid;
    v_ids uuid[] := array[]::uuid[];
begin
    for i in 1 .. 1000 loop
        select k.source, k.type
          into v_source, v_type
          from loyalty.event_key k
         where k.tenant_id = p_tenant and (k.source, k.type) > (v_source, v_type)
         order by k.source, k.type
         limit 1;
        exit when not found;
        continue when v_source <> p_source or v_type <> p_type;
        select k.event_id into v_id
          from loyalty.event_key k
         where k.tenant_id = p_tenant and k.source = v_source and k.type = v_type
           and k.external_id = p_external_id;
        if found then
            v_ids := v_ids || v_id;
        end if;
    end loop;
    return v_ids;
end $$;
comment on function loyalty.event_ids(uuid, text, text, text) is
    'ids of the events with an external id';

-- Newest first. A page looks at 10,000 events at most: a rare type gives short pages, not slow
-- ones. An unknown member has no events. An external id is looked up by the
-- natural keys.
create or replace function api.event_list(p_tenant uuid, p_call jsonb, p_member text,
    p_type text, p_source text, p_external_id text, p_limit text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = ''
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    v_limit int := loyalty.list_limit(p_limit);
    v_after uuid := coalesce((p_call#>>'{cursor,id}')::uuid,
                             'ffffffff-ffff-ffff-ffff-ffffffffffff');
    v_found record;
    v_ids uuid[];
    v_data json[] := array[]::json[];
    v_next uuid;
    v_seen int := 0;
    v_rows refcursor;
    v_row loyalty.event;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    if p_member is not null then
        select f.member_id, f.code into v_found from loyalty.member_find(p_tenant, p_member) f;
        if v_found.code = 'member.ambiguous' then
            return loyalty.problem(p_call, 409, 'member.ambiguous');
        elsif v_found.code is not null then
            return loyalty.list_answer(p_call, v_data, null);
        end if;
        open v_rows for
            select e.*
              from loyalty.event e
             where e.tenant_id = p_tenant and e.member_id = v_found.member_id
               and e.event_id < v_after
             order by e.event_id desc
             limit 10001;
    elsif p_external_id is not null then
        v_ids := loyalty.event_ids(p_tenant, p_source, p_type, p_external_id);
        open v_rows for
            select e.*
              from loyalty.event e
             where e.tenant_id = p_tenant and e.event_id = any (v_ids) and e.event_id < v_after
             order by e.event_id desc
             limit 10001;
    else
        open v_rows for
            select e.*
              from loyalty.event e
             where e.tenant_id = p_tenant and e.event_id < v_after
             order by e.event_id desc
             limit 10001;
    end if;
    loop
        fetch v_rows into v_row;
        exit when not found;
        v_seen := v_seen + 1;
        if cardinality(v_data) = v_limit or v_seen > 10000 then
            return loyalty.list_answer(p_call, v_data, jsonb_build_object('id', v_next));
        end if;
        v_next := v_row.event_id;
        if (p_type is null or v_row.type = p_type)
                and (p_source is null or v_row.source = p_source)
                and (p_external_id is null or v_row.external_id = p_external_id) then
            v_data := v_data || loyalty.event_text(p_call, v_row,
                                    loyalty.event_facts_text(p_call, v_row))::json;
        end if;
    end loop;
    return loyalty.list_answer(p_call, v_data, null);
end $$;
comment on function api.event_list(uuid, jsonb, text, text, text, text, text) is
    'GET /events';
