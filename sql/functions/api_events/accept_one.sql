-- Acceptance of one event: what loyalty.events_accept does, in as few statements as one needs:
-- a statement costs more here than the rows it touches. Functions are called in expressions,
-- which need no plan to be started.
-- Outcome, locks and tables: see there.

-- The member of an external id that is not bound to a source, enrolled under p_source if there
-- is none yet: loyalty.members_enrol() for one. Caches are not told: none can hold what is new.
-- Locks: the enrolment lock. Writes: member, member_external, outbox.
create or replace function loyalty.member_enrol(p_tenant uuid, p_external_id text, p_source text)
returns uuid
language plpgsql volatile
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    v_id uuid := loyalty.uuid_v7();
    v_now timestamptz := loyalty.tenant_now(p_tenant);
    v_locked text;
    v_found uuid;
begin
    v_locked := pg_advisory_xact_lock(loyalty.enrol_lock_key(p_tenant, p_external_id))::text;
    select x.member_id into v_found
      from loyalty.member_external x
     where x.tenant_id = p_tenant and x.external_id = p_external_id
     order by (x.source = p_source) desc
     limit 1;
    if found then
        return v_found;
    end if;
    with new_member as (
        insert into loyalty.member (tenant_id, member_id, status, shard, enrolled_at)
        values (p_tenant, v_id, 'active', loyalty.shard_of(v_id), v_now))
    insert into loyalty.member_external (tenant_id, external_id, source, member_id)
    values (p_tenant, p_external_id, p_source, v_id);
    if loyalty.has_endpoint(p_tenant) then
        insert into loyalty.outbox (tenant_id, message_id, type, member_id, occurred_at, data)
        values (p_tenant, loyalty.uuid_v7(), 'member.enrolled', v_id, v_now,
                jsonb_build_object('member', loyalty.id_text('mem', v_id)));
    end if;
    return v_id;
end $$;
comment on function loyalty.member_enrol(uuid, text, text) is
    'finds or enrols the member of an external id';

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
    v_plain text;
    v_new boolean := false;
    v_joins boolean;
    v_want record;
    v_found record;
    v_key loyalty.event_key;
begin
    event_id := (p_item->>'id')::uuid;
    -- an external id under the event's own source is that member's, whatever others there are
    if v_ref like 'ext:_%' and strpos(substr(v_ref, 5), ':') = 0 then
        v_plain := substr(v_ref, 5);
        -- not "=": a source has many members, its index is no way to one of them
        select m.member_id into member_id
          from (select y.member_id from loyalty.member_external y
                 where y.tenant_id = p_tenant and y.external_id = v_plain
                   and y.source is not distinct from v_source
                offset 0) x
          cross join lateral (
            select y.member_id, y.status from loyalty.member y
             where y.tenant_id = p_tenant and y.member_id = x.member_id offset 0) m
         where m.status in ('active', 'inactive');
        if member_id is null then
            -- nobody's external id, and whether its first event enrols a member
            select not exists (select from loyalty.member_external x
                                where x.tenant_id = p_tenant and x.external_id = v_plain),
                   coalesce((select bool_or(p.join_policy = 'on_first_event')
                               from loyalty.program p
                              where p.tenant_id = p_tenant and p.status <> 'archived'), true)
              into v_new, v_joins;
            if v_new and not v_joins then
                v_code := 'member.not_found';
            end if;
        end if;
    end if;
    if v_ref is not null and member_id is null and not v_new then
        v_found := loyalty.member_find(p_tenant, v_ref, v_source);
        member_id := v_found.member_id;
        v_status := v_found.status;
        v_code := v_found.code;
        if v_status = 'blocked' then
            v_code := 'member.blocked';
        elsif v_code = 'member.not_found' then
            v_want := loyalty.ref_split(p_tenant, v_ref);
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
    if v_new then
        member_id := loyalty.member_enrol(p_tenant, v_plain, v_source);
    elsif v_ref is not null and member_id is null then
        select m.member_id into member_id
          from loyalty.members_enrol(p_tenant, array[v_want.ext],
                   array[coalesce(v_want.source, v_source)],
                   array[v_want.source is not null]) m;
    end if;
    with new_event as (
        insert into loyalty.event (tenant_id, event_id, type, source, external_id, member_id,
                                   occurred_at, received_at, facts, sealed, wrapped, traceparent)
        values (p_tenant, event_id, v_type, v_source, v_ext, member_id,
                (v_event->>'occurred_at')::timestamptz, clock_timestamp(),
                jsonb_build_object('source', v_source)
                    || (v_event - '{member,attributes}'::text[]),
                p_item->>'sealed', decode(p_item->>'wrapped_key', 'base64'),
                p_call->>'traceparent'))
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
