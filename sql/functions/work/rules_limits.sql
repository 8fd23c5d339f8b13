-- What a rule's limits and counters are measured against. Both count what is booked: the caller
-- holds the member's lock, so that nothing is added meanwhile.

-- points that a rule gave a member, by when they count
create or replace function work.rules_used(p_tenant uuid, p_member uuid, p_rule uuid,
    p_from timestamptz, p_to timestamptz) returns bigint
language plpgsql stable security definer set search_path = '' set app.tenant_id = ''
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    return (select coalesce(sum(n.points), 0)
              from loyalty.entry n
             where n.tenant_id = p_tenant and n.member_id = p_member and n.rule_id = p_rule
               and n.type in (1, 2)
               and n.effective_at >= p_from and n.effective_at < p_to);
end $$;
comment on function work.rules_used(uuid, uuid, uuid, timestamptz, timestamptz) is
    'points that a rule gave a member within a time';

-- A number of the event's facts: order.total, order.quantity, order.line_count and those of
-- refund, else what stands at the dotted path. Null if it is not there or no number.
create or replace function loyalty.fact_number(p_facts jsonb, p_fact text) returns numeric
language plpgsql immutable as $$
declare
    v_head text := split_part(p_fact, '.', 1);
    v_tail text := split_part(p_fact, '.', 2);
    v_lines jsonb;
    v_value jsonb;
begin
    if v_head in ('order', 'refund') and v_tail in ('total', 'quantity', 'line_count') then
        v_lines := p_facts->v_head->'lines';
        if v_lines is null then
            return null;
        end if;
        return (select case v_tail
                           when 'line_count' then count(*)
                           when 'quantity' then coalesce(sum((l->>'quantity')::numeric), 0)
                           else coalesce(sum((l->>'quantity')::numeric
                                    * (l->>'unit_price')::numeric
                                    - coalesce((l->>'discount')::numeric, 0)), 0) end
                  from jsonb_array_elements(v_lines) l);
    end if;
    v_value := p_facts #> string_to_array(p_fact, '.');
    if jsonb_typeof(v_value) = 'number' then
        return (v_value #>> '{}')::numeric;
    elsif jsonb_typeof(v_value) = 'string' and v_value #>> '{}' ~ '^-?[0-9]{1,30}(\.[0-9]{1,18})?$'
    then
        return (v_value #>> '{}')::numeric;
    end if;
    return null;
end $$;
comment on function loyalty.fact_number(jsonb, text) is 'a number or money fact of an event';

-- Number, or sum of a fact, of a member's evaluated events of one type with p_from <= occurred_at
-- < p_to; p_event itself does not count.
create or replace function work.rules_counter(p_tenant uuid, p_member uuid, p_event uuid,
    p_type text, p_fact text, p_from timestamptz, p_to timestamptz) returns numeric
language plpgsql stable security definer set search_path = '' set app.tenant_id = ''
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    return (select case when p_fact = '' then count(*)
                        else coalesce(sum(loyalty.fact_number(e.facts, p_fact)), 0) end
              from loyalty.event e
              join loyalty.event_outcome o on o.tenant_id = p_tenant and o.event_id = e.event_id
             where e.tenant_id = p_tenant and e.member_id = p_member and e.type = p_type
               and e.occurred_at >= p_from and e.occurred_at < p_to
               and e.event_id <> p_event and o.status = 'processed');
end $$;
comment on function work.rules_counter(uuid, uuid, uuid, text, text, timestamptz, timestamptz) is
    'a counter that a rule reads';
