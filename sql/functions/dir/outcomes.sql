-- Which of the events and commands that callers wait for have their outcome. The arrays run in
-- parallel. An event whose refund waits for its order counts: the answer says so.
-- Reads: event_outcome, command. Locks nothing.

create or replace function dir.outcomes(p_tenants uuid[], p_ids uuid[]) returns setof uuid
language plpgsql stable rows 100 security definer set search_path = '' set app.tenant_id = ''
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return query
    select w.id
      from unnest(p_tenants, p_ids) as w (tenant_id, id)
     where exists (select from loyalty.event_outcome o
                    where o.tenant_id = w.tenant_id and o.event_id = w.id)
        or exists (select from loyalty.command c
                    where c.tenant_id = w.tenant_id and c.command_id = w.id
                      and c.state = 'done');
end $$;
comment on function dir.outcomes(uuid[], uuid[]) is 'which events and commands have their outcome';
