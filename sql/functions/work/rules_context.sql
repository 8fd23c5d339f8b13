-- What the rules lane evaluates next: events of the log in the order of their transactions, with
-- the members, the balances and the rules in force; everything it returns is locked until the
-- caller's commit.
--
-- The place in the log is a set of transactions, not a number: p_since is what work.rules_settle()
-- or an empty turn gave last, null after a start or when shards were gained (each shard's own
-- cursor then tells). See docs/internals/rules-lane.md.
--
-- Rows, by kind:
--   batch   first; data: {"mode","now" (snapshot),"drained"}; mode close and sweep follow the
--           cursors of the shards, mode since follows p_since
--   lost    the only one: the shards are no longer p_worker's under this token
--   tenant  tenant_id; data: {"programs":[{"id","zone","rules":[version…]}],
--           "wallets":{code:[wallet_id, pending?]}}; before the tenant's events
--   event   ord: its place in the batch; xid, log_id, shard; data: facts; state: {"member":{…},
--           "balances":{wallet_id:[available, pending, held, debt, earned, spent]}};
--           parked: an earlier event of the member waits for its retry, this one must follow it
--   waiting the same for an event whose outcome already stands (nothing to do but to pass)
-- Locks: advisory 7404 shared → member (member_id order) → balance (wallet_id, member_id order),
-- tenant by tenant. Writes nothing.

create or replace function work.rules_context(p_worker uuid, p_token bigint, p_shards smallint[],
    p_limit int, p_since jsonb)
returns table (kind text, tenant_id uuid, event_id uuid, member_id uuid, ord int, shard smallint,
    xid text, log_id bigint, parked boolean, data text, state text)
language plpgsql security definer set search_path = '' set app.tenant_id = ''
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_mode text := case when p_since is null then 'sweep' else 'since' end;
    v_now pg_snapshot;
    v_low pg_snapshot;
    v_open xid8[];
    v_part xid8;
    v_pos bigint;
    v_min xid8;
    v_tenants uuid[];
    v_events uuid[];
    v_members uuid[];
    v_shards smallint[];
    v_xids xid8[];
    v_logs bigint[];
    v_tenant uuid;
begin
    perform pg_catalog.pg_advisory_xact_lock_shared(7404, 0);
    -- the token changes with every gain, so that the number tells
    if (select count(*) from loyalty.shard_lease s
         where s.worker_id = p_worker and s.token = p_token
           and s.expires_at > clock_timestamp()) < cardinality(p_shards)
    then
        return query select 'lost', null::uuid, null::uuid, null::uuid, 0, null::smallint,
            null::text, null::bigint, false, null::text, null::text;
        return;
    end if;

    -- the snapshot is that of the statement which reads: what another one sees may be more
    if v_mode = 'sweep' then
        if exists (select from loyalty.log_cursor c
                    where c.shard = any (p_shards) and c.high is not null)
        then
            v_mode := 'close';
        end if;
        select min(pg_snapshot_xmin(c.low)) into v_min
          from loyalty.log_cursor c where c.shard = any (p_shards);
        select pg_current_snapshot(), array_agg(l.tenant_id), array_agg(l.event_id),
               array_agg(l.member_id), array_agg(l.shard), array_agg(l.xid), array_agg(l.log_id)
          into v_now, v_tenants, v_events, v_members, v_shards, v_xids, v_logs
          from (select l.*
                  from loyalty.event_log l
                  join loyalty.log_cursor c on c.shard = l.shard
                 where l.xid >= v_min and l.shard = any (p_shards)
                   and not pg_visible_in_snapshot(l.xid, c.low)
                   and case when v_mode = 'close'
                            then c.high is not null and l.log_id > c.position
                                 and pg_visible_in_snapshot(l.xid, c.high)
                            else true end
                 order by l.xid, l.log_id
                 limit p_limit) l;
    else
        v_low := (p_since->>'low')::pg_snapshot;
        v_part := (p_since->>'xid')::xid8;
        v_pos := (p_since->>'position')::bigint;
        v_open := array(select pg_snapshot_xip(v_low));
        -- whatever is not yet visible in low and not far back: one scan
        if v_part is null
           and pg_snapshot_xmax(v_low)::text::bigint - pg_snapshot_xmin(v_low)::text::bigint < 1000
        then
            v_min := pg_snapshot_xmin(v_low);
            select pg_current_snapshot(), array_agg(l.tenant_id), array_agg(l.event_id),
                   array_agg(l.member_id), array_agg(l.shard), array_agg(l.xid),
                   array_agg(l.log_id)
              into v_now, v_tenants, v_events, v_members, v_shards, v_xids, v_logs
              from (select l.* from loyalty.event_log l
                     where l.xid >= v_min and l.shard = any (p_shards)
                       and not pg_visible_in_snapshot(l.xid, v_low)
                     order by l.xid, l.log_id
                     limit p_limit) l;
            v_mode := 'near';
        end if;
    end if;

    if v_mode = 'since' then
        -- what is left of a transaction that a batch ended in comes first
        select pg_current_snapshot(), array_agg(l.tenant_id), array_agg(l.event_id),
               array_agg(l.member_id), array_agg(l.shard), array_agg(l.xid), array_agg(l.log_id)
          into v_now, v_tenants, v_events, v_members, v_shards, v_xids, v_logs
          from (select u.*
                  from ((select l.* from loyalty.event_log l
                          where l.xid = v_part and l.log_id > v_pos
                            and l.shard = any (p_shards)
                          order by l.xid, l.log_id limit p_limit)
                        union all
                        (select l.* from loyalty.event_log l
                          where l.xid = any (v_open) and l.xid is distinct from v_part
                            and l.shard = any (p_shards)
                          order by l.xid, l.log_id limit p_limit)
                        union all
                        (select l.* from loyalty.event_log l
                          where l.xid >= pg_snapshot_xmax(v_low)
                            and l.xid is distinct from v_part
                            and l.shard = any (p_shards)
                          order by l.xid, l.log_id limit p_limit)) u
                 limit p_limit) l;
    end if;
    if v_mode = 'near' then
        v_mode := 'since';
    end if;

    return query select 'batch', null::uuid, null::uuid, null::uuid, 0, null::smallint,
        null::text, null::bigint, false,
        json_build_object('mode', v_mode, 'now', v_now::text,
            'drained', coalesce(cardinality(v_logs), 0) < p_limit)::text, null::text;

    if v_tenants[1] = all (v_tenants) then
        return query select c.* from loyalty.rules_tenant_context(v_tenants[1], v_events,
            v_members, null, v_shards, v_xids, v_logs) c;
        return;
    end if;
    for v_tenant in select distinct t from unnest(v_tenants) t order by 1 loop
        return query select c.* from loyalty.rules_tenant_context(v_tenant,
            array(select u.e from unnest(v_tenants, v_events) with ordinality as u (t, e, n)
                   where u.t = v_tenant order by u.n),
            array(select u.m from unnest(v_tenants, v_members) with ordinality as u (t, m, n)
                   where u.t = v_tenant order by u.n),
            array(select u.n::int from unnest(v_tenants) with ordinality as u (t, n)
                   where u.t = v_tenant order by u.n),
            array(select u.s from unnest(v_tenants, v_shards) with ordinality as u (t, s, n)
                   where u.t = v_tenant order by u.n),
            array(select u.x from unnest(v_tenants, v_xids) with ordinality as u (t, x, n)
                   where u.t = v_tenant order by u.n),
            array(select u.l from unnest(v_tenants, v_logs) with ordinality as u (t, l, n)
                   where u.t = v_tenant order by u.n)) c;
    end loop;
end $$;
comment on function work.rules_context(uuid, bigint, smallint[], int, jsonb) is
    'the next events of some shards with all that the rules engine reads, locked';

-- one tenant's part; sets app.tenant_id for the caller's transaction. p_members of the events;
-- p_ords null: the places are those of the arrays
create or replace function loyalty.rules_tenant_context(p_tenant uuid, p_events uuid[],
    p_members uuid[], p_ords int[], p_shards smallint[], p_xids xid8[], p_logs bigint[])
returns table (kind text, tenant_id uuid, event_id uuid, member_id uuid, ord int, shard smallint,
    xid text, log_id bigint, parked boolean, data text, state text)
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_parked text[];
    v_first uuid;
    v_last uuid;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    -- lateral with offset 0: by index, row by row, whatever the statistics say of a new table
    perform x.member_id
       from (select distinct u.id from unnest(p_members) as u (id) order by 1 offset 0) i
       cross join lateral (
         select x.member_id from loyalty.member x
          where x.tenant_id = p_tenant and x.member_id = i.id
            for no key update offset 0) x;
    perform x.member_id
       from (select distinct w.wallet_id, u.id
               from loyalty.wallet w
              cross join unnest(p_members) as u (id)
              where w.tenant_id = p_tenant
              order by 1, 2 offset 0) i
       cross join lateral (
         select x.member_id from loyalty.balance x
          where x.tenant_id = p_tenant and x.wallet_id = i.wallet_id and x.member_id = i.id
            for no key update offset 0) x;
    v_parked := array(select j.unique_key from loyalty.job j
                       where j.queue = 'parked' and j.unique_key is not null
                         and j.state in ('available', 'running', 'scheduled', 'retryable')
                         and j.tenant_id = p_tenant);

    return query select 'tenant', p_tenant, null::uuid, null::uuid, 0, null::smallint,
        null::text, null::bigint, false, loyalty.rules_in_force(p_tenant)::text, null::text;

    -- bounds known before the plan runs leave the months that hold the events
    v_first := p_events[1];
    v_last := p_events[1];
    for i in 2 .. cardinality(p_events) loop
        v_first := least(v_first, p_events[i]);
        v_last := greatest(v_last, p_events[i]);
    end loop;
    return query
    select case when o.event_id is null then 'event' else 'waiting' end,
           p_tenant, i.id, e.member_id, coalesce(i.ord, i.n::int), i.shard, i.xid::text, i.log_id,
           coalesce(e.member_id, i.id)::text = any (v_parked),
           e.facts::text,
           case when m.member_id is not null then
           json_build_object(
               'member', json_build_object('status', m.status,
                   'enrolled_at', loyalty.time_text(m.enrolled_at)),
               'balances', coalesce(
                   (select json_object_agg(b.wallet_id, json_build_array(b.available, b.pending,
                               b.held, b.debt, b.earned, b.spent))
                      from loyalty.balance b
                     where b.tenant_id = p_tenant and b.member_id = m.member_id),
                   '{}'::json))::text end
      from unnest(p_events, p_ords, p_shards, p_xids, p_logs) with ordinality
           as i (id, ord, shard, xid, log_id, n)
      cross join lateral (
        select x.member_id, x.facts from loyalty.event x
         where x.tenant_id = p_tenant and x.event_id = i.id
           and x.event_id between v_first and v_last offset 0) e
      left join lateral (
        select x.member_id, x.status, x.enrolled_at from loyalty.member x
         where x.tenant_id = p_tenant and x.member_id = e.member_id offset 0) m on true
      left join lateral (
        select x.event_id from loyalty.event_outcome x
         where x.tenant_id = p_tenant and x.event_id = i.id
           and x.event_id between v_first and v_last offset 0) o on true;
end $$;
comment on function loyalty.rules_tenant_context(uuid, uuid[], uuid[], int[], smallint[], xid8[],
    bigint[]) is 'one tenant''s part of a batch of the rules lane';

-- the rules in force and the wallets, as the engine's caller reads them
create or replace function loyalty.rules_in_force(p_tenant uuid) returns json
language plpgsql stable
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
begin
    return json_build_object(
        'programs', (
            select coalesce(json_agg(json_build_object('id', p.program_id, 'zone', p.timezone,
                'wait', p.refund_wait > interval '0',
                'rules', (select coalesce(json_agg(v.rule_version_id order by r.rule_id), '[]')
                            from loyalty.rule r
                            join loyalty.rule_version v
                              on v.tenant_id = p_tenant and v.rule_id = r.rule_id
                             and v.number = r.published_number
                           where r.tenant_id = p_tenant and r.program_id = p.program_id
                             and r.state = 'active')) order by p.program_id), '[]')
              from loyalty.program p
             where p.tenant_id = p_tenant and p.status = 'active'),
        'wallets', (
            select coalesce(json_object_agg(w.code, json_build_array(w.wallet_id, w.program_id,
                       w.pending_policy = 'immediate', w.pending_event)
                       order by w.ordinal), '{}')
              from loyalty.wallet w
             where w.tenant_id = p_tenant));
end $$;
comment on function loyalty.rules_in_force(uuid) is 'programs, rule versions and wallets of a tenant';

-- documents and compiled forms of rule versions, once per process
create or replace function work.rule_versions(p_tenant uuid, p_ids uuid[])
returns table (rule_version_id uuid, rule_id uuid, document text, program text)
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
#variable_conflict use_column
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    return query
    select v.rule_version_id, v.rule_id, v.document::text, encode(v.program, 'hex')
      from loyalty.rule_version v
     where v.tenant_id = p_tenant and v.rule_version_id = any (p_ids);
end $$;
comment on function work.rule_versions(uuid, uuid[]) is 'what the rules lane keeps of rule versions';
