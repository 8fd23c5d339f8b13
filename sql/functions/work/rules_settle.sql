-- Books what the rules engine made of the events that work.rules_context() returned, in the same
-- transaction: orders, entries, evaluations, refunds, outcomes, changes, messages, the cursor.
--
-- p_cursor: {"mode","now","drained"} of the context's batch row, "since" as it was given,
--   "shards" all owned, "xid","log_id" of the last event, "touched": [[shard, last log_id]…];
--   or {"mode":"retry","job":id} for what work.rules_retry() gave.
-- p_results, one object per tenant:
--   {"tenant", "park_ms" (when events are put aside),
--    "events": [{"e","m","s" (shard),"k","d" (detail),"code"}] in the order of the batch;
--         k: done · refund · park (failed: try again later) · follow (behind a parked one) ·
--         pass (its outcome stands)
--    "phases": [{"orders": [{"id","source","external_id","event","member","currency","at",
--                            "total","lines"}],
--                "earns":  items of loyalty.book_earns(),
--                "evals":  [{"e","v","o","raw","p","c","t","g" (position in earns, from 1)}],
--                "refunds":[{"e","late","base": items of loyalty.book_reversal()},
--                           or {"activate": wallet,"m","source","external_id","at"}]}]}
--   A phase is the longest run in which no member's refund stands before an earning of his.
-- Gives what the next p_since is, and whether anything was written that a webhook may want.
-- Locks: those of the context → order_earn and lots as booked. Writes: sales_order, entries and
-- all that hangs under them, evaluation, event_outcome, member, order_refund, job, outbox,
-- log_cursor.

create or replace function work.rules_settle(p_worker uuid, p_token bigint, p_cursor jsonb,
    p_results jsonb)
returns table (since text, outbox boolean)
language plpgsql security definer set search_path = '' set app.tenant_id = ''
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
declare
    v_tenant jsonb;
    v_since jsonb;
    v_outbox boolean := false;
begin
    for v_tenant in select t from jsonb_array_elements(p_results) t loop
        perform set_config('app.tenant_id', v_tenant->>'tenant', true);
        if loyalty.rules_tenant_settle((v_tenant->>'tenant')::uuid, v_tenant) then
            v_outbox := true;
        end if;
    end loop;
    if p_cursor->>'mode' = 'retry' then
        perform loyalty.rules_retry_done((p_cursor->>'job')::bigint);
    else
        v_since := loyalty.log_cursor_move(p_worker, p_token, p_cursor);
    end if;
    return query select v_since::text, v_outbox;
end $$;
comment on function work.rules_settle(uuid, bigint, jsonb, jsonb) is
    'books a batch of events and moves the cursors of their shards';

-- gives whether the tenant is told by webhook
create or replace function loyalty.rules_tenant_settle(p_tenant uuid, p_result jsonb)
returns boolean
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_phase jsonb;
    v_refund jsonb;
    v_entries uuid[];
    v_orders boolean;
    v_done jsonb := '{}';
    v_made jsonb;
    v_waited jsonb;
    v_waits boolean := false;
    v_told boolean := loyalty.has_endpoint(p_tenant);
    v_now timestamptz := clock_timestamp();
begin
    for v_phase in select p from jsonb_array_elements(p_result->'phases') p loop
        v_orders := v_phase->'orders' <> '[]';
        if v_orders then
            insert into loyalty.sales_order (tenant_id, order_id, source, external_id, event_id,
                                             member_id, currency, occurred_at, total, line_count)
            select p_tenant, o.id, o.source, o.external_id, o.event, o.member, o.currency, o.at,
                   o.total, o.lines
              from jsonb_to_recordset(v_phase->'orders')
                   as o (id uuid, source text, external_id text, event uuid, member uuid,
                         currency text, at timestamptz, total numeric, lines int);
        end if;
        v_entries := null;
        if v_phase->'earns' <> '[]' then
            select array_agg(b.entry_id order by b.ord) into v_entries
              from loyalty.book_earns(p_tenant, v_phase->'earns') b;
        end if;
        if v_phase->'evals' <> '[]' then
            insert into loyalty.evaluation (tenant_id, event_id, rule_version_id, outcome,
                                            points_raw, points, clipped_by, entry_id, trace)
            select p_tenant, x.e, x.v, x.o, x.raw, x.p, x.c, v_entries[x.g], x.t
              from jsonb_to_recordset(v_phase->'evals')
                   as x (e uuid, v uuid, o text, raw text, p bigint, c text, t text, g int);
        end if;
        if v_orders then
            v_made := loyalty.refunds_of_orders(p_tenant, v_phase->'orders');
            if v_made is not null then
                v_done := v_done || v_made;
                v_waits := true;
            end if;
        end if;
        for v_refund in select r from jsonb_array_elements(v_phase->'refunds') r loop
            if v_refund ? 'activate' then
                perform loyalty.event_activate(p_tenant, v_refund);
                continue;
            end if;
            v_done := v_done || jsonb_build_object(v_refund->>'e',
                loyalty.refund_settle(p_tenant, (v_refund->>'e')::uuid,
                    coalesce((v_refund->>'late')::boolean, false), v_refund->'base'));
        end loop;
    end loop;

    perform loyalty.outcomes_write(p_tenant, p_result->'events', v_done, v_told, v_now);
    if v_waits then
        -- refunds of earlier batches that had waited for an order of this one
        select jsonb_agg(jsonb_build_object('e', w.key, 'm', w.value->'member', 'k', 'refund'))
          into v_waited
          from jsonb_each(v_done) w
         where w.value ? 'waited'
           and not exists (select from jsonb_to_recordset(p_result->'events') as i (e uuid)
                            where i.e = w.key::uuid);
        if v_waited is not null then
            perform loyalty.outcomes_write(p_tenant, v_waited, v_done, v_told, v_now);
        end if;
    end if;
    if (p_result->>'park_ms')::int is not null then
        perform loyalty.events_park(p_tenant, p_result->'events', (p_result->>'park_ms')::int);
    end if;
    return v_told;
end $$;
comment on function loyalty.rules_tenant_settle(uuid, jsonb) is
    'one tenant''s part of a batch of the rules lane';

-- An event that a wallet's pending points wait for: those of the order with the event's own
-- external id, else all of the member's.
create or replace function loyalty.event_activate(p_tenant uuid, p_item jsonb) returns void
language plpgsql as $$
declare
    v_order uuid;
begin
    select o.order_id into v_order
      from loyalty.sales_order o
     where o.tenant_id = p_tenant and o.source = p_item->>'source'
       and o.external_id = p_item->>'external_id';
    perform loyalty.book_activate(p_tenant, (p_item->>'activate')::uuid, (p_item->>'m')::uuid,
                                  v_order, (p_item->>'at')::timestamptz);
end $$;
comment on function loyalty.event_activate(uuid, jsonb) is 'matures points that waited for an event';

-- An event has one outcome: whoever books it again is rolled back, whatever let him begin.
-- Refuses 23505 event_outcome_pk.
create or replace function loyalty.outcome_stands(p_event uuid) returns text
language plpgsql as $$
begin
    raise exception using errcode = '23505', constraint = 'event_outcome_pk',
        message = 'the event has its outcome', detail = p_event::text;
end $$;
comment on function loyalty.outcome_stands(uuid) is 'refuses a second outcome';

-- Outcomes, the members' numbering, and one message per event where the tenant is told. p_done:
-- event → {"status","detail"} of refunds. A member's number grows by his processed events.
create or replace function loyalty.outcomes_write(p_tenant uuid, p_events jsonb, p_done jsonb,
    p_told boolean, p_now timestamptz) returns void
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    with d as materialized (
        select s.e, s.m, s.status, s.detail, b.shard, b.enrolled_at,
               case when s.status = 'processed'
                    then b.member_seq + row_number() over (partition by s.m, s.status
                                                               order by s.n) end as seq,
               s.status = 'processed' and b.shard is not null
                   and row_number() over (partition by s.m, s.status order by s.n)
                       = count(*) over (partition by s.m, s.status) as last
          from (select i.n, i.e, i.m,
                       case i.k when 'refund' then p_done->(i.e::text)->>'status'
                                when 'done' then 'processed' else 'waiting' end as status,
                       case i.k when 'refund' then p_done->(i.e::text)->'detail'
                                when 'park' then jsonb_build_object('reason', 'retry',
                                                                    'code', i.code)
                                when 'follow' then jsonb_build_object('reason', 'order')
                                else coalesce(i.d, '{}') end as detail
                  from rows from (jsonb_to_recordset(p_events)
                           as (e uuid, m uuid, k text, d jsonb, code text)) with ordinality
                       as i (e, m, k, d, code, n)
                 where i.k <> 'pass' offset 0) s
          left join lateral (
            select x.member_seq, x.shard, x.enrolled_at from loyalty.member x
             where x.tenant_id = p_tenant and x.member_id = s.m offset 0) b on true),
    told as (
        insert into loyalty.event_outcome (tenant_id, event_id, status, processed_at, member_seq,
                                           detail)
        select p_tenant, d.e, d.status, p_now, d.seq, d.detail from d
        on conflict (tenant_id, event_id) do update
           set status = case when event_outcome.status = 'waiting' then excluded.status
                             else loyalty.outcome_stands(excluded.event_id) end,
               processed_at = excluded.processed_at, member_seq = excluded.member_seq,
               detail = excluded.detail)
    -- Not an update: with the statistics of a small table its join compares every event with every
    -- member of the tenant. Each of these members is there, and locked.
    insert into loyalty.member as m (tenant_id, member_id, shard, enrolled_at, member_seq)
    select p_tenant, d.m, d.shard, d.enrolled_at, d.seq from d where d.last
    on conflict (tenant_id, member_id) do update set member_seq = excluded.member_seq;
    if p_told then
        insert into loyalty.outbox (tenant_id, message_id, type, member_id, occurred_at, data)
        select p_tenant, loyalty.uuid_v7(), 'event.processed', i.m, e.occurred_at,
               jsonb_build_object('event', loyalty.id_text('evt', i.e), 'type', e.type,
                   'member', loyalty.id_text('mem', i.m))
          from rows from (jsonb_to_recordset(p_events) as (e uuid, m uuid, k text))
                   with ordinality as i (e, m, k, n)
          cross join lateral (
            select x.occurred_at, x.type from loyalty.event x
             where x.tenant_id = p_tenant and x.event_id = i.e offset 0) e
         where i.k = 'done'
            or (i.k = 'refund' and p_done->(i.e::text)->>'status' = 'processed')
         order by i.n;
    end if;
end $$;
comment on function loyalty.outcomes_write(uuid, jsonb, jsonb, boolean, timestamptz) is
    'what became of the events of a batch';

-- Moves the cursors: of the shards that had events, or of all owned ones while the slot finds its
-- place. Gives the p_since of the next context, null while there is none.
create or replace function loyalty.log_cursor_move(p_worker uuid, p_token bigint,
    p_cursor jsonb) returns jsonb
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
    v_mode text := p_cursor->>'mode';
    v_now pg_snapshot := (p_cursor->>'now')::pg_snapshot;
    v_drained boolean := (p_cursor->>'drained')::boolean;
    v_xid xid8 := (p_cursor->>'xid')::xid8;
    v_log bigint := (p_cursor->>'log_id')::bigint;
    v_shards smallint[];
    v_touched smallint[];
    v_last bigint[];
    v_base pg_snapshot;
    v_part xid8;
    v_low pg_snapshot;
    v_high pg_snapshot;
    v_lows text[];
begin
    if v_mode <> 'since' then
        v_shards := array(select jsonb_array_elements_text(p_cursor->'shards')::smallint);
    end if;
    select array_agg((t->>0)::smallint), array_agg((t->>1)::bigint)
      into v_touched, v_last
      from jsonb_array_elements(p_cursor->'touched') t;
    if exists (select from unnest(v_touched) t
                where not exists (select from loyalty.shard_lease s
                                   where s.shard = t and s.worker_id = p_worker
                                     and s.token = p_token))
    then
        raise exception using errcode = '55P03', message = 'shards have another owner';
    end if;

    if v_mode = 'close' then
        update loyalty.log_cursor c
           set position = u.p, updated_at = clock_timestamp()
          from unnest(v_touched, v_last) as u (s, p)
         where c.shard = u.s;
        if v_drained then
            update loyalty.log_cursor c
               set low = c.high, high = null, position = 0, updated_at = clock_timestamp()
             where c.shard = any (v_shards) and c.high is not null;
        end if;
        return null;
    end if;

    if v_mode = 'sweep' then
        if v_drained then
            update loyalty.log_cursor c
               set low = v_now, high = null, position = 0, updated_at = clock_timestamp()
             where c.shard = any (v_shards);
            return jsonb_build_object('low', v_now);
        end if;
        with moved as (
            update loyalty.log_cursor c
               set low = loyalty.snapshot_pass(c.low, v_now, v_xid),
                   high = loyalty.snapshot_with(
                              loyalty.snapshot_pass(c.low, v_now, v_xid), v_xid),
                   position = v_log, updated_at = clock_timestamp()
             where c.shard = any (v_shards)
            returning c.low::text as low)
        select array_agg(distinct m.low) into v_lows from moved m;
        return case when cardinality(v_lows) = 1
                    then jsonb_build_object('low', v_lows[1], 'xid', v_xid, 'position', v_log)
               end;
    end if;

    if v_drained then
        update loyalty.log_cursor c
           set low = v_now, high = null, position = 0, updated_at = clock_timestamp()
         where c.shard = any (v_touched);
        return jsonb_build_object('low', v_now);
    end if;
    v_base := (p_cursor->'since'->>'low')::pg_snapshot;
    v_part := (p_cursor->'since'->>'xid')::xid8;
    if v_part is null then
        v_low := loyalty.snapshot_pass(v_base, v_now, v_xid);
    elsif v_part = v_xid then
        v_low := v_base;
    else
        v_low := loyalty.snapshot_pass(loyalty.snapshot_with(v_base, v_part), v_now, v_xid);
    end if;
    v_high := loyalty.snapshot_with(v_low, v_xid);
    update loyalty.log_cursor c
       set low = v_low, high = v_high, position = v_log, updated_at = clock_timestamp()
     where c.shard = any (v_touched);
    return jsonb_build_object('low', v_low, 'xid', v_xid, 'position', v_log);
end $$;
comment on function loyalty.log_cursor_move(uuid, bigint, jsonb) is
    'what was done of the log, in the commit that did it';

-- Brings the cursors of shards without events up to where the slot is, so that the log's ring can
-- be emptied and a new owner has little to read again. Writes: log_cursor.
create or replace function work.cursor_sync(p_worker uuid, p_token bigint, p_since jsonb)
returns int
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_low pg_snapshot := (p_since->>'low')::pg_snapshot;
    v_xid xid8 := (p_since->>'xid')::xid8;
    v_n int;
begin
    perform pg_catalog.pg_advisory_xact_lock_shared(7404, 0);
    update loyalty.log_cursor c
       set low = v_low, high = loyalty.snapshot_with(v_low, v_xid),
           position = coalesce((p_since->>'position')::bigint, 0),
           updated_at = clock_timestamp()
      from loyalty.shard_lease s
     where s.shard = c.shard and s.worker_id = p_worker and s.token = p_token
       and s.expires_at > clock_timestamp();
    get diagnostics v_n = row_count;
    return v_n;
end $$;
comment on function work.cursor_sync(uuid, bigint, jsonb) is
    'brings all cursors of a slot to its place in the log';
