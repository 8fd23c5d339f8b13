-- Refunds: what they take back of an order, how they wait for one, and the rate that answers
-- where there is none.
-- p_base: items of loyalty.book_reversal() by the base rates in force; made by the rules engine.

-- The order a refund names: its lines by line_id; lines it does not know count by amount.
create or replace function loyalty.refund_items(p_tenant uuid, p_event uuid, p_order uuid)
returns jsonb
language plpgsql stable
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_facts jsonb;
    v_at timestamptz;
    v_order loyalty.sales_order;
    v_lines jsonb;
    v_known jsonb;
    v_amount numeric;
    v_items jsonb := '[]';
begin
    select e.facts->'refund'->'lines', e.occurred_at into v_facts, v_at
      from loyalty.event e where e.tenant_id = p_tenant and e.event_id = p_event;
    select o.* into v_order
      from loyalty.sales_order o where o.tenant_id = p_tenant and o.order_id = p_order;
    if v_order.member_id is null then
        return '[]';
    end if;
    -- two lines with one id: the first
    select coalesce(jsonb_object_agg(x.id, x.l order by x.n desc), '{}')
      into v_lines
      from (select l->>'line_id' as id,
                   jsonb_build_object('line', n, 'ordered', l->>'quantity') as l, n
              from loyalty.event e
              cross join lateral jsonb_array_elements(e.facts->'order'->'lines')
                   with ordinality as t (l, n)
             where e.tenant_id = p_tenant and e.event_id = v_order.event_id) x;
    select jsonb_agg(k.line order by k.n),
           sum(k.amount) filter (where k.line is null)
      into v_known, v_amount
      from (select min(t.n) as n,
                   case when v_lines ? (t.l->>'line_id')
                        then jsonb_build_object(
                            'line', v_lines->(t.l->>'line_id')->'line',
                            'quantity', sum((t.l->>'quantity')::numeric)::text,
                            'ordered', v_lines->(t.l->>'line_id')->>'ordered') end as line,
                   sum((t.l->>'quantity')::numeric * (t.l->>'unit_price')::numeric
                       - coalesce((t.l->>'discount')::numeric, 0)) as amount
              from jsonb_array_elements(v_facts) with ordinality as t (l, n)
             group by t.l->>'line_id') k
     where k.line is null or (k.line->>'ordered')::numeric > 0;
    v_known := (select jsonb_agg(k) from jsonb_array_elements(v_known) k where k <> 'null');
    if v_known is not null then
        v_items := v_items || jsonb_build_array(jsonb_build_object('event', p_event,
            'member', v_order.member_id, 'at', v_at, 'order', p_order, 'lines', v_known));
    end if;
    if v_amount > 0 and v_order.total > 0 then
        v_items := v_items || jsonb_build_array(jsonb_build_object('event', p_event,
            'member', v_order.member_id, 'at', v_at, 'order', p_order,
            'amount', v_amount::text, 'total', v_order.total::text));
    end if;
    return v_items;
end $$;
comment on function loyalty.refund_items(uuid, uuid, uuid) is
    'what a refund takes back of an order, as loyalty.book_reversal() reads it';

-- Takes back, and says how much. {"status":"processed","detail":{"points","clipped","debt"}}
create or replace function loyalty.refund_book(p_tenant uuid, p_items jsonb) returns jsonb
language plpgsql as $$
declare
    v_detail jsonb;
begin
    select jsonb_build_object(
               'points', coalesce(sum((b.outcome->>'points')::bigint), 0),
               'clipped', coalesce(sum((b.outcome->>'clipped')::bigint), 0),
               'debt', coalesce(sum((b.outcome->>'debt')::bigint), 0))
      into v_detail
      from loyalty.book_reversal(p_tenant, p_items) b;
    return jsonb_build_object('status', 'processed', 'detail', v_detail);
end $$;
comment on function loyalty.refund_book(uuid, jsonb) is 'books a refund';

create or replace function loyalty.refund_of_order(p_tenant uuid, p_event uuid, p_order uuid)
returns jsonb
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
declare
    v_done jsonb;
begin
    v_done := loyalty.refund_book(p_tenant, loyalty.refund_items(p_tenant, p_event, p_order));
    update loyalty.sales_order o
       set status = case when exists (
                select from loyalty.event e
                  cross join lateral jsonb_array_elements(e.facts->'order'->'lines')
                       with ordinality as l (line, n)
                 where e.tenant_id = p_tenant and e.event_id = o.event_id
                   and (l.line->>'quantity')::numeric > coalesce((
                        select sum(r.quantity) from loyalty.order_refund r
                         where r.tenant_id = p_tenant and r.order_id = p_order
                           and r.line_no = l.n), 0))
                then 'partially_refunded' else 'refunded' end,
           updated_at = clock_timestamp()
     where o.tenant_id = p_tenant and o.order_id = p_order;
    return v_done;
end $$;
comment on function loyalty.refund_of_order(uuid, uuid, uuid) is
    'takes back an order''s points for a refund';

-- A refund with an order that is not seen yet waits, as long as the tenant's programs say; with
-- p_late it has waited. Without an order, or when it came too late: the base rate.
-- An order that another slot is booking now is not seen, nor sees its slot the job of this one:
-- loyalty.refunds_look() looks again soon.
create or replace function loyalty.refund_settle(p_tenant uuid, p_event uuid, p_late boolean,
    p_base jsonb) returns jsonb
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
declare
    v_source text;
    v_ref text;
    v_member uuid;
    v_order uuid;
    v_wait interval;
begin
    select e.source, e.facts->'refund'->>'order_external_id', e.member_id
      into v_source, v_ref, v_member
      from loyalty.event e where e.tenant_id = p_tenant and e.event_id = p_event;
    if v_ref is not null then
        select o.order_id into v_order
          from loyalty.sales_order o
         where o.tenant_id = p_tenant and o.source = v_source and o.external_id = v_ref;
        if v_order is not null then
            return loyalty.refund_of_order(p_tenant, p_event, v_order);
        end if;
        select max(p.refund_wait) into v_wait
          from loyalty.program p where p.tenant_id = p_tenant and p.status = 'active';
        if not p_late and v_wait > interval '0' then
            insert into loyalty.job (tenant_id, queue, kind, args, run_at, state, unique_key)
            values (p_tenant, 'order', 'refund.wait',
                    jsonb_build_object('events', jsonb_build_array(p_event),
                        'shard', loyalty.shard_of(coalesce(v_member, p_event)),
                        'until', clock_timestamp() + v_wait),
                    clock_timestamp() + least(v_wait, interval '1 second'), 'scheduled',
                    p_tenant::text || ' ' || v_source || ' ' || v_ref)
            on conflict (queue, unique_key)
                where unique_key is not null
                  and state in ('available', 'running', 'scheduled', 'retryable')
            do update set args = jsonb_set(job.args, '{events}',
                                           (job.args->'events') || (excluded.args->'events')),
                          run_at = least(job.run_at, excluded.run_at), attempt = 0;
            return jsonb_build_object('status', 'waiting',
                                      'detail', jsonb_build_object('reason', 'order'));
        end if;
    end if;
    if v_member is null then
        return jsonb_build_object('status', 'processed',
                                  'detail', jsonb_build_object('guest', true));
    end if;
    return loyalty.refund_book(p_tenant, coalesce(p_base, '[]'));
end $$;
comment on function loyalty.refund_settle(uuid, uuid, boolean, jsonb) is
    'what becomes of a refund: by shares, by waiting, or by the base rate';

-- Looks for the orders of refunds that began to wait: 1, 4, 16 and 64 seconds after each other,
-- when every batch that did not see them has ended; then they wait until their time. One whose
-- order is there is due at once. Locks: job. Writes: job.
create or replace function loyalty.refunds_look(p_worker uuid, p_token bigint) returns void
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock_timestamp();
    v_until timestamptz;
    v_known boolean;
    r record;
begin
    -- one by one, by key: a join would be planned by the statistics of a table that is often empty
    for r in
        select j.job_id, j.tenant_id, j.args, j.attempt
          from loyalty.job j
         where j.queue = 'order'
           and j.state in ('available', 'scheduled', 'retryable')
           and j.run_at <= v_now and (j.args->>'until')::timestamptz > v_now
           and exists (select from loyalty.shard_lease s
                        where s.shard = (j.args->>'shard')::smallint
                          and s.worker_id = p_worker and s.token = p_token
                          and s.expires_at > v_now)
         limit 500
           for update skip locked
    loop
        perform set_config('app.tenant_id', r.tenant_id::text, true);
        v_until := (r.args->>'until')::timestamptz;
        v_known := exists (
            select from loyalty.event e
              join loyalty.sales_order o
                on o.tenant_id = r.tenant_id and o.source = e.source
               and o.external_id = e.facts->'refund'->>'order_external_id'
             where e.tenant_id = r.tenant_id and e.event_id = (r.args->'events'->>0)::uuid);
        update loyalty.job j
           set args = case when v_known then j.args - 'until' else j.args end,
               run_at = case when v_known then v_now
                             when r.attempt >= 3 then v_until
                             else least(v_until,
                                        v_now + make_interval(secs => 4 ^ (r.attempt + 1))) end,
               attempt = case when v_known or r.attempt >= 3 then 0 else r.attempt + 1 end,
               updated_at = v_now
         where j.job_id = r.job_id;
    end loop;
end $$;
comment on function loyalty.refunds_look(uuid, bigint) is
    'looks again for the orders that refunds wait for';

-- Refunds that waited for one of these orders, in the order's own commit: event → outcome. The
-- jobs are locked before their events are read: the slot of a refund's own member may be booking
-- one that has waited too long. Locks: job. Writes: job and what a refund writes.
create or replace function loyalty.refunds_of_orders(p_tenant uuid, p_orders jsonb)
returns jsonb
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_jobs bigint[];
    v_done jsonb;
    r record;
begin
    if not exists (select from loyalty.job j
                    where j.queue = 'order' and j.unique_key is not null
                      and j.state in ('available', 'running', 'scheduled', 'retryable'))
    then
        return null;
    end if;
    select array_agg(l.job_id)
      into v_jobs
      from (select j.job_id
              from jsonb_to_recordset(p_orders) as o (source text, external_id text)
              join loyalty.job j
                on j.queue = 'order'
               and j.unique_key = p_tenant::text || ' ' || o.source || ' ' || o.external_id
               and j.state in ('available', 'running', 'scheduled', 'retryable')
             order by j.job_id
               for update of j) l;
    if v_jobs is null then
        return null;
    end if;
    for r in
        select j.job_id, o.id as order_id, (w.e)::uuid as event_id, e.member_id
          from jsonb_to_recordset(p_orders) as o (id uuid, source text, external_id text)
          join loyalty.job j
            on j.job_id = any (v_jobs)
           and j.unique_key = p_tenant::text || ' ' || o.source || ' ' || o.external_id
          cross join lateral jsonb_array_elements_text(j.args->'events')
               with ordinality as w (e, n)
          join loyalty.event e on e.tenant_id = p_tenant and e.event_id = (w.e)::uuid
         order by j.job_id, w.n
    loop
        delete from loyalty.job j where j.job_id = r.job_id;
        v_done := coalesce(v_done, '{}') || jsonb_build_object(r.event_id::text,
            loyalty.refund_of_order(p_tenant, r.event_id, r.order_id)
            || jsonb_build_object('waited', true, 'member', r.member_id));
    end loop;
    return v_done;
end $$;
comment on function loyalty.refunds_of_orders(uuid, jsonb) is
    'settles the refunds that came before their order';
