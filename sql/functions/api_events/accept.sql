-- Acceptance of events, one or a thousand, in few statements: the path that has to be fast.
-- Plans by index whatever the statistics say, for these tables start empty and grow without end.
--
-- Outcome per item, in the order of the items: 202 new, 200 the same event was accepted before,
-- 409 event.conflict (same natural key, other content) or member.ambiguous, 422 member.not_found
-- or member.blocked, or the status the item came with when the module refused it.
-- An item that is refused writes nothing, its natural key included.
-- Locks, in this order: event_key (key order) → enrolment locks (order of their number).
-- Writes: event_key, member, member_external, change, outbox, event, event_log.

-- An advisory lock for one external id of a tenant. There are few per tenant, so that a batch
-- that enrols a thousand members does not fill the server's lock table.
create or replace function loyalty.enrol_lock_key(p_tenant uuid, p_external_id text)
returns bigint
language sql immutable parallel safe
return (hashtextextended(p_tenant::text, 7101) & ~127::bigint)
    | (hashtextextended(p_external_id, 7102) & 127);
comment on function loyalty.enrol_lock_key(uuid, text) is 'advisory lock of an external id';

-- Finds or enrols a member for each reference (external id, source, exact); the arrays run in
-- parallel and may repeat. One that is not exact is any source's, or is enrolled under its own.
-- Gives the members by position.
create or replace function loyalty.members_enrol(p_tenant uuid, p_external_ids text[],
    p_sources text[], p_exact boolean[])
returns table (n int, member_id uuid)
language plpgsql volatile
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
#variable_conflict use_column
declare
    v_exact boolean;
    v_ext text[];
    v_source text[];
    v_id uuid[];
    v_now timestamptz := loyalty.tenant_now(p_tenant);
begin
    perform pg_advisory_xact_lock(l.k)
       from (select distinct loyalty.enrol_lock_key(p_tenant, e) as k
               from unnest(p_external_ids) e
              order by 1) l;
    foreach v_exact in array array[true, false] loop
        continue when not v_exact = any (p_exact);
        select array_agg(w.ext), array_agg(w.source), array_agg(loyalty.uuid_v7())
          into v_ext, v_source, v_id
          from (select distinct on (i.ext, case when i.exact then i.source end) i.ext, i.source
                  from unnest(p_external_ids, p_sources, p_exact)
                       with ordinality as i (ext, source, exact, n)
                  left join lateral (
                    select true as known
                      from loyalty.member_external x
                     where x.tenant_id = p_tenant and x.external_id = i.ext
                       and (not i.exact or x.source = i.source)
                     limit 1) k on true
                 where i.exact = v_exact and k.known is null
                 order by i.ext, case when i.exact then i.source end, i.n) w;
        continue when v_ext is null;
        insert into loyalty.member (tenant_id, member_id, status, shard, enrolled_at)
        select p_tenant, i.id, 'active', loyalty.shard_of(i.id), v_now
          from unnest(v_id) as i (id);
        insert into loyalty.member_external (tenant_id, external_id, source, member_id)
        select p_tenant, i.ext, i.source, i.id
          from unnest(v_ext, v_source, v_id) as i (ext, source, id);
        -- with another source the reference without one changes its meaning for the others too
        if v_exact then
            insert into loyalty.change (tenant_id, kind, ref)
            select distinct p_tenant, 'member', x.member_id::text
              from unnest(v_ext) as i (ext)
             cross join lateral (
                select y.member_id from loyalty.member_external y
                 where y.tenant_id = p_tenant and y.external_id = i.ext offset 0) x;
        end if;
        if loyalty.has_endpoint(p_tenant) then
            insert into loyalty.outbox (tenant_id, message_id, type, member_id, occurred_at, data)
            select p_tenant, loyalty.uuid_v7(), 'member.enrolled', i.id, v_now,
                   jsonb_build_object('member', loyalty.id_text('mem', i.id))
              from unnest(v_id) as i (id);
        end if;
    end loop;
    return query
    select i.n::int, m.id
      from unnest(p_external_ids, p_sources, p_exact)
           with ordinality as i (ext, source, exact, n)
      cross join lateral (
        select x.member_id as id
          from loyalty.member_external x
         where x.tenant_id = p_tenant and x.external_id = i.ext
           and (not i.exact or x.source = i.source)
         order by (x.source = i.source) desc
         limit 1) m;
end $$;
comment on function loyalty.members_enrol(uuid, text[], text[], boolean[]) is
    'finds or enrols members by external ids';

-- whether an unknown member of an event is enrolled: no program, or one that takes them
create or replace function loyalty.joins_on_event(p_tenant uuid) returns boolean
language plpgsql stable as $$
begin
    return not exists (select from loyalty.program p
                        where p.tenant_id = p_tenant and p.status <> 'archived')
        or exists (select from loyalty.program p
                    where p.tenant_id = p_tenant and p.status <> 'archived'
                      and p.join_policy = 'on_first_event');
end $$;
comment on function loyalty.joins_on_event(uuid) is 'whether an event enrols its member';

create or replace function loyalty.events_accept(p_tenant uuid, p_call jsonb, p_items jsonb)
returns table (n int, status int, event_id uuid, member_id uuid, problem jsonb)
language plpgsql volatile
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
#variable_conflict use_column
declare
    v_status int[];
    v_problem jsonb[];
    v_id uuid[];
    v_mac bytea[];
    v_type text[];
    v_source text[];
    v_ext text[];
    v_ref text[];
    v_at timestamptz[];
    v_facts jsonb[];
    v_sealed text[];
    v_wrapped bytea[];
    v_member uuid[];
    v_want text[];
    v_want_source text[];
    v_want_exact boolean[];
    v_new_ext text[];
    v_new_source text[];
    v_new_exact boolean[];
    v_new_n int[];
    v_any_new boolean := false;
    v_joins boolean;
    v_found uuid;
    v_fault jsonb;
    v_new int;
    v_won int;
    v_n int;
    v_received timestamptz := clock_timestamp();
    r record;
begin
    select array_agg(case when x.e ? 'problem' then (x.e->>'status')::int end),
           array_agg(x.e->'problem'), array_agg((x.e->>'id')::uuid),
           array_agg(decode(x.e->>'mac', 'hex')), array_agg(x.ev->>'type'),
           array_agg(x.ev->>'source'), array_agg(x.ev->>'external_id'),
           array_agg(x.ev->>'member'), array_agg((x.ev->>'occurred_at')::timestamptz),
           array_agg(x.ev - '{member,attributes}'::text[]),
           array_agg(x.e->>'sealed'), array_agg(decode(x.e->>'wrapped_key', 'base64')),
           array_agg(null::uuid), array_agg(null::text),
           array_agg(null::text), array_agg(false)
      into v_status, v_problem, v_id, v_mac, v_type, v_source, v_ext, v_ref, v_at, v_facts,
           v_sealed, v_wrapped, v_member, v_want, v_want_source,
           v_want_exact
      from (select i.e, case when i.e->'event' ? 'source' then i.e->'event'
                             else i.e->'event' || '{"source": "default"}' end as ev
              from jsonb_array_elements(p_items) with ordinality as i (e, n)
             order by i.n) x;
    if v_id is null then
        return;
    end if;

    -- accepted before
    for r in
        select i.n, k.event_id, k.same
          from unnest(v_source, v_type, v_ext, v_mac, v_status)
               with ordinality as i (source, type, ext, mac, status, n)
          cross join lateral (
            select k.event_id, k.content_mac = i.mac as same
              from loyalty.event_key k
             where k.tenant_id = p_tenant and k.source = i.source and k.type = i.type
               and k.external_id = i.ext) k
         where i.status is null
    loop
        v_id[r.n] := r.event_id;
        v_status[r.n] := case when r.same then 200 else 409 end;
    end loop;

    -- members, each distinct reference once
    for r in
        -- the id is computed below an `offset 0`: under row security only a plain column may
        -- be looked up by index
        select f.ns, f.ext, f.source, f.exact, mb.member_id, mb.status, f.ambiguous
          from (select d.ns, d.ext, coalesce(d.ref_source, d.source) as source,
                       d.ref_source is not null as exact,
                       case when d.ext is null then d.member_id
                            when cardinality(m.ids) = 1 then m.ids[1]
                            else m.own end as id,
                       coalesce(cardinality(m.ids), 0) > 1 and m.own is null as ambiguous
                  from (select g.ref, g.source, g.ns, s.ext, s.source as ref_source, s.member_id
                          from (select i.ref, i.source, array_agg(i.n::int) as ns
                                  from unnest(v_ref, v_source, v_status)
                                       with ordinality as i (ref, source, status, n)
                                 where i.status is null and i.ref is not null
                                 group by i.ref, i.source) g
                          cross join lateral (
                            select substr(g.ref, 5) as ext, null::text as source,
                                   null::uuid as member_id
                             where g.ref like 'ext:_%' and strpos(substr(g.ref, 5), ':') = 0
                             union all
                            select p.ext, p.source, p.member_id
                              from loyalty.ref_split(p_tenant, g.ref) p
                             where g.ref not like 'ext:_%'
                                or strpos(substr(g.ref, 5), ':') > 0) s
                         offset 0) d
                  left join lateral (
                    select array_agg(distinct x.member_id) as ids,
                           (array_agg(x.member_id) filter (
                                where x.source = coalesce(d.ref_source, d.source)))[1] as own
                      from loyalty.member_external x
                     where x.tenant_id = p_tenant and x.external_id = d.ext
                       and (d.ref_source is null or x.source = d.ref_source)) m
                    on d.ext is not null
                 offset 0) f
          left join lateral (
            select x.member_id, x.status
              from loyalty.member x
             where x.tenant_id = p_tenant and x.member_id = f.id
             limit 1) mb on true
    loop
        v_found := r.member_id;
        v_fault := null;
        if r.status = 'merged' then
            select f.member_id, f.status
              into v_found, r.status
              from loyalty.member_follow(p_tenant, r.member_id) f;
        end if;
        if r.ambiguous then
            v_fault := loyalty.problem_json(p_call, 409, 'member.ambiguous', null, null);
        elsif r.status = 'erased' and r.ext is null then
            v_fault := loyalty.event_member_problem(p_call, 'member.not_found');
        elsif r.status in ('blocked', 'erased') then
            v_fault := loyalty.event_member_problem(p_call, 'member.blocked');
        elsif v_found is null then
            v_joins := coalesce(v_joins, loyalty.joins_on_event(p_tenant));
            if r.ext is null or not v_joins then
                v_fault := loyalty.event_member_problem(p_call, 'member.not_found');
            end if;
        end if;
        foreach v_n in array r.ns loop
            if v_fault is not null then
                v_status[v_n] := (v_fault->>'status')::int;
                v_problem[v_n] := v_fault;
            elsif v_found is not null then
                v_member[v_n] := v_found;
            else
                v_want[v_n] := r.ext;
                v_want_source[v_n] := r.source;
                v_want_exact[v_n] := r.exact;
                v_any_new := true;
            end if;
        end loop;
    end loop;

    -- the natural keys, in their order; a twin in flight is waited for
    with taken as (
        insert into loyalty.event_key (tenant_id, source, type, external_id, event_id,
                                       content_mac)
        select p_tenant, k.source, k.type, k.ext, k.id, k.mac
          from (select distinct on (i.source, i.type, i.ext) i.*
                  from unnest(v_source, v_type, v_ext, v_id, v_mac, v_status)
                       with ordinality as i (source, type, ext, id, mac, status, n)
                 where i.status is null
                 order by i.source, i.type, i.ext, i.n) k
         order by k.source, k.type, k.ext
        on conflict do nothing
        returning 1)
    select count(*) into v_won from taken;
    select count(*) into v_new from unnest(v_status) s where s is null;
    if v_won < v_new then
        for r in
            select i.n, k.event_id, k.same
              from unnest(v_source, v_type, v_ext, v_mac, v_id, v_status)
                   with ordinality as i (source, type, ext, mac, id, status, n)
              cross join lateral (
                select k.event_id, k.content_mac = i.mac as same
                  from loyalty.event_key k
                 where k.tenant_id = p_tenant and k.source = i.source and k.type = i.type
                   and k.external_id = i.ext) k
             where i.status is null and k.event_id <> i.id
        loop
            v_id[r.n] := r.event_id;
            v_status[r.n] := case when r.same then 200 else 409 end;
        end loop;
    end if;

    -- the unknown members of what is still to be written
    if v_any_new then
        select array_agg(w.ext), array_agg(w.source), array_agg(w.exact), array_agg(w.n)
          into v_new_ext, v_new_source, v_new_exact, v_new_n
          from (select i.*
                  from unnest(v_want, v_want_source, v_want_exact, v_status)
                       with ordinality as i (ext, source, exact, status, n)
                 where i.status is null and i.ext is not null
                 order by i.n) w;
        for r in
            select m.n, m.member_id
              from loyalty.members_enrol(p_tenant, v_new_ext, v_new_source, v_new_exact) m
        loop
            v_member[v_new_n[r.n]] := r.member_id;
        end loop;
    end if;

    insert into loyalty.event (tenant_id, event_id, type, source, external_id, member_id,
                               occurred_at, received_at, facts, sealed, wrapped, traceparent)
    select p_tenant, i.id, i.type, i.source, i.ext, i.member, i.at, v_received, i.facts,
           i.sealed, i.wrapped, p_call->>'traceparent'
      from unnest(v_id, v_type, v_source, v_ext, v_member, v_at, v_facts, v_sealed, v_wrapped,
                  v_status)
           as i (id, type, source, ext, member, at, facts, sealed, wrapped, status)
     where i.status is null;
    insert into loyalty.event_log (shard, tenant_id, event_id, member_id)
    select loyalty.shard_of(coalesce(i.member, i.id)), p_tenant, i.id, i.member
      from unnest(v_id, v_member, v_status) with ordinality as i (id, member, status, n)
     where i.status is null
     order by i.n;

    return query
    select i.n::int, coalesce(i.status, 202), i.id, i.member,
           coalesce(i.problem,
                    case when i.status = 409
                         then loyalty.problem_json(p_call, 409, 'event.conflict', null, null)
                    end)
      from unnest(v_id, v_member, v_status, v_problem)
           with ordinality as i (id, member, status, problem, n)
     order by i.n;
end $$;
comment on function loyalty.events_accept(uuid, jsonb, jsonb) is 'accepts events, many at once';

create or replace function loyalty.event_member_problem(p_call jsonb, p_code text) returns jsonb
language plpgsql stable as $$
begin
    return loyalty.problem_json(p_call, 422, p_code, null,
        jsonb_build_array(jsonb_build_object('pointer', '/member', 'code', p_code)));
end $$;
comment on function loyalty.event_member_problem(jsonb, text) is
    'a refusal that points at the member';
