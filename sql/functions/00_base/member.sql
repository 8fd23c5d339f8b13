-- Which member a reference names: mem_…, ext:{id}, ext:{source}:{id}.
-- Refuses (as code): member.not_found, member.ambiguous.
-- Locks nothing, writes nothing.

-- ext:a:b is source a and id b where the source is known (an external id or an
-- event of the tenant carries it), else the id a:b.  All null: not a reference.
create or replace function loyalty.ref_split(p_tenant uuid, p_ref text,
    out ext text, out source text, out member_id uuid)
language plpgsql stable as
$$
declare
    v_head text;
begin
    if left(p_ref, 4) = 'mem_' then
        member_id := loyalty.id_uuid('mem', p_ref);
        return;
    end if;
    if left(p_ref, 4) <> 'ext:' or length(p_ref) = 4 then
        return;
    end if;
    ext := substr(p_ref, 5);
    if strpos(ext, ':') > 1 then
        v_head := split_part(ext, ':', 1);
        if exists (select from loyalty.member_external x
                    where x.tenant_id = p_tenant and x.source = v_head)
           or exists (select from loyalty.event_key k
                       where k.tenant_id = p_tenant and k.source = v_head)
        then
            source := v_head;
            ext := substr(ext, length(v_head) + 2);
            if ext = '' then
                ext := null;
                source := null;
            end if;
        end if;
    end if;
end
$$;
comment on function loyalty.ref_split(uuid, text) is 'parts of a reference to a member';

-- the member that a merged one went into, over any number of merges
create or replace function loyalty.member_follow(p_tenant uuid, p_member uuid,
    out member_id uuid, out status text)
language plpgsql stable as
$$
declare
    v_next uuid := p_member;
begin
    for i in 1 .. 64 loop
        select m.member_id, m.status, m.merged_into
          into member_id, status, v_next
          from loyalty.member m
         where m.tenant_id = p_tenant and m.member_id = v_next;
        exit when v_next is null;
    end loop;
    if status = 'merged' then
        member_id := null;
    end if;
end
$$;
comment on function loyalty.member_follow(uuid, uuid) is 'a member after its merges';

-- p_source: the source that decides between several members with one external
-- id: the event's, or 'default' in a path.  An erased member is not found.
create or replace function loyalty.member_find(p_tenant uuid, p_ref text,
    p_source text default 'default', out member_id uuid, out status text, out code text)
language plpgsql stable as
$$
#variable_conflict use_column
declare
    v_ref   record;
    v_ids   uuid[];
    v_own   uuid;
    v_id    uuid;
    v_into  uuid;
begin
    -- the common case first, in one statement: one external id without a colon
    if left(p_ref, 4) = 'ext:' and strpos(substr(p_ref, 5), ':') = 0 then
        select array_agg(x.member_id),
               (array_agg(x.member_id) filter (where x.source = p_source))[1],
               min(m.status)
          into v_ids, v_own, status
          from loyalty.member_external x
         cross join lateral (
            select m.status from loyalty.member m
             where m.tenant_id = p_tenant and m.member_id = x.member_id offset 0) m
         where x.tenant_id = p_tenant and x.external_id = substr(p_ref, 5);
        if cardinality(v_ids) = 1 and status in ('active', 'inactive', 'blocked') then
            member_id := v_ids[1];
            return;
        end if;
        v_ids := array(select distinct u.i from unnest(v_ids) as u (i));
    else
        select s.ext, s.source, s.member_id into v_ref from loyalty.ref_split(p_tenant, p_ref) s;
        v_id := v_ref.member_id;
        if v_ref.ext is not null then
            select array_agg(distinct x.member_id),
                   (array_agg(x.member_id) filter (where x.source = p_source))[1]
              into v_ids, v_own
              from loyalty.member_external x
             where x.tenant_id = p_tenant and x.external_id = v_ref.ext
               and (v_ref.source is null or x.source = v_ref.source);
        end if;
    end if;
    if cardinality(v_ids) = 1 then
        v_id := v_ids[1];
    elsif cardinality(v_ids) > 1 then
        if v_own is null then
            code := 'member.ambiguous';
            return;
        end if;
        v_id := v_own;
    end if;
    select m.status, m.merged_into into status, v_into
      from loyalty.member m where m.tenant_id = p_tenant and m.member_id = v_id;
    if status = 'merged' then
        select f.member_id, f.status into v_id, status
          from loyalty.member_follow(p_tenant, v_into) f;
    end if;
    if status is null or status = 'erased' or v_id is null then
        status := null;
        code := 'member.not_found';
        return;
    end if;
    member_id := v_id;
end
$$;
comment on function loyalty.member_find(uuid, text, text) is
    'the member a reference names, after merges; code says why there is none';
