-- Acceptance of one event: what loyalty.events_accept does, in as few statements as one needs.
-- Outcome, locks and tables: see there.

create or replace function loyalty.event_accept(p_tenant uuid, p_call jsonb, p_item jsonb,
    out status int, out event_id uuid, out member_id uuid, out problem jsonb)
language plpgsql volatile
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
#variable_conflict use_variable
declare
    v_event jsonb := p_item->'event';
    v_ref text := v_event->>'member';
    v_source text := coalesce(v_event->>'source', 'default');
    v_type text := v_event->>'type';
    v_ext text := v_event->>'external_id';
    v_mac bytea := decode(p_item->>'mac', 'hex');
    v_code text;
    v_status text;
    v_want record;
    v_key loyalty.event_key;
begin
    event_id := (p_item->>'id')::uuid;
    if v_ref is not null then
        select f.member_id, f.status, f.code
          into member_id, v_status, v_code
          from loyalty.member_find(p_tenant, v_ref, v_source) f;
        if v_status = 'blocked' then
            v_code := 'member.blocked';
        elsif v_code = 'member.not_found' then
            select s.ext, s.source into v_want from loyalty.ref_split(p_tenant, v_ref) s;
            if v_want.ext is not null and loyalty.joins_on_event(p_tenant) then
                v_code := case when loyalty.external_taken(p_tenant, v_want.ext, v_want.source)
                               then 'member.blocked' end;
            end if;
        end if;
    end if;
    if v_code is null then
        insert into loyalty.event_key (tenant_id, source, type, external_id, event_id,
                                       content_mac)
        values (p_tenant, v_source, v_type, v_ext, event_id, v_mac)
        on conflict do nothing;
    end if;
    if v_code is not null or not found then
        select k.* into v_key
          from loyalty.event_key k
         where k.tenant_id = p_tenant and k.source = v_source and k.type = v_type
           and k.external_id = v_ext;
        if v_key.event_id is not null then
            event_id := v_key.event_id;
            status := case when v_key.content_mac = v_mac then 200 else 409 end;
            if status = 409 then
                problem := loyalty.problem_json(p_call, 409, 'event.conflict', null, null);
            end if;
        elsif v_code = 'member.ambiguous' then
            status := 409;
            problem := loyalty.problem_json(p_call, 409, v_code, null, null);
        else
            status := 422;
            problem := loyalty.event_member_problem(p_call, v_code);
        end if;
        member_id := null;
        return;
    end if;
    if v_ref is not null and member_id is null then
        select m.member_id into member_id
          from loyalty.members_enrol(p_tenant, array[v_want.ext],
                   array[coalesce(v_want.source, v_source)],
                   array[v_want.source is not null]) m;
    end if;
    insert into loyalty.event (tenant_id, event_id, type, source, external_id, member_id,
                               occurred_at, received_at, facts, sealed, wrapped, traceparent)
    values (p_tenant, event_id, v_type, v_source, v_ext, member_id,
            (v_event->>'occurred_at')::timestamptz, clock_timestamp(),
            jsonb_build_object('source', v_source) || (v_event - '{member,attributes}'::text[]),
            p_item->>'sealed', decode(p_item->>'wrapped_key', 'base64'),
            p_call->>'traceparent');
    insert into loyalty.event_log (shard, tenant_id, event_id, member_id)
    values (loyalty.shard_of(coalesce(member_id, event_id)), p_tenant, event_id, member_id);
    status := 202;
end $$;
comment on function loyalty.event_accept(uuid, jsonb, jsonb) is 'accepts one event';

-- whether an external id stands although member_find gave nobody: its member is erased
create or replace function loyalty.external_taken(p_tenant uuid, p_external_id text,
    p_source text) returns boolean
language plpgsql stable as $$
begin
    return exists (select from loyalty.member_external x
                    where x.tenant_id = p_tenant and x.external_id = p_external_id
                      and (p_source is null or x.source = p_source));
end $$;
comment on function loyalty.external_taken(uuid, text, text) is
    'whether an external id stands, whatever became of its member';
