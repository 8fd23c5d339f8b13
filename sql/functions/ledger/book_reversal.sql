-- Takes points back after refunds; the signature stands in book_earns.sql.
-- By order: take-back of a line = floor(share × refunded so far ÷ ordered) −
-- already taken, so that any split of refunds sums to the same; by amount the
-- same over the order, counted apart (last element of taken).  Without an
-- order: the points given.
-- Points are taken from the lot the order made (pending first), then the other
-- lots of the order, then what expires soonest; held points are not touched.
-- A shortfall becomes debt, or, where the program's return policy is
-- within_balance, is not taken: it is told as clipped and counts as taken for
-- the order's shares, never as reversed.
-- Refuses nothing: an order that earned nothing takes nothing.
-- Locks: balance → order_earn.  Writes: order_refund, order_earn, lot,
-- movement, entry, balance, change, outbox.

create or replace function loyalty.book_reversal_one(p_tenant uuid, p_wallet uuid, p_member uuid,
    p_points bigint, p_entry uuid, p_order_lots uuid[], p_event uuid, p_rule uuid,
    p_rule_version uuid, p_at timestamptz,
    out taken bigint, out clipped bigint, out owed bigint, out entries uuid[])
language plpgsql as
$$
declare
    v_now   constant timestamptz := loyalty.tenant_now(p_tenant);
    v_debt  boolean;
    v_left  bigint := p_points;
    v_take  record;
    v_n     int;
    v_lot   loyalty.lot;
    v_from  smallint[];
    b       loyalty.balance;
    e       loyalty.entry;
begin
    taken := 0;
    clipped := 0;
    owed := 0;
    entries := '{}';
    select p.return_policy = 'debt' into v_debt
      from loyalty.wallet w
      join loyalty.program p on p.tenant_id = w.tenant_id and p.program_id = w.program_id
     where w.tenant_id = p_tenant and w.wallet_id = p_wallet;
    b := loyalty.balance_lock(p_tenant, p_wallet, p_member, v_now, true);
    if p_entry is not null then
        select * into v_lot from loyalty.lot l where l.tenant_id = p_tenant and l.lot_id = p_entry;
        v_left := least(v_left, v_lot.original - v_lot.reversed);
    end if;
    if v_left <= 0 then
        return;
    end if;

    if v_lot.state = 'pending' then
        e := loyalty.entry_new(b, 4::smallint);
        e.points := -least(v_left, v_lot.remaining);
        e.effective_at := p_at;
        e.event_id := p_event;
        e.rule_id := p_rule;
        e.rule_version_id := p_rule_version;
        e.reverses := p_entry;
        b := loyalty.entry_add(b, e, array[1::smallint], array[13::smallint], array[-e.points],
                               array[p_entry]);
        entries := entries || e.entry_id;
        taken := -e.points;
        v_left := v_left - taken;
    end if;

    if v_left > 0 then
        select t.lots, t.amounts, t.taken into v_take
          from loyalty.lots_take(b, v_left, p_order_lots) t;
        v_n := cardinality(v_take.lots);
        if v_debt then
            owed := v_left - v_take.taken;
        else
            clipped := v_left - v_take.taken;
        end if;
        if v_take.taken + owed > 0 then
            v_from := array_fill(2::smallint, array[v_n]);
            if owed > 0 then
                v_from := v_from || 4::smallint;
                v_take.lots := v_take.lots || null::uuid;
                v_take.amounts := v_take.amounts || owed;
                v_n := v_n + 1;
            end if;
            e := loyalty.entry_new(b, 7::smallint);
            e.points := -(v_take.taken + owed);
            e.effective_at := p_at;
            e.event_id := p_event;
            e.rule_id := p_rule;
            e.rule_version_id := p_rule_version;
            e.reverses := p_entry;
            b := loyalty.entry_add(b, e, v_from, array_fill(13::smallint, array[v_n]),
                                   v_take.amounts, v_take.lots);
            entries := entries || e.entry_id;
            taken := taken - e.points;
        end if;
    end if;
    if p_entry is not null and taken > 0 then
        update loyalty.lot l set reversed = l.reversed + taken
         where l.tenant_id = p_tenant and l.lot_id = p_entry;
    end if;
    if taken > 0 then
        perform loyalty.balance_finish(b, v_now);
    end if;
end
$$;
comment on function loyalty.book_reversal_one(uuid, uuid, uuid, bigint, uuid, uuid[], uuid, uuid,
    uuid, timestamptz) is 'takes points back from one balance, of one entry if p_entry is given';

-- how much of an earn a refund takes back, by line; p_lines: [{line, quantity, ordered}]
create or replace function loyalty.order_share_due(p_tenant uuid, p_order uuid,
    p_earn loyalty.order_earn, p_lines jsonb, p_total numeric, inout taken bigint[],
    out due bigint)
language plpgsql stable as
$$
declare
    v_free  bigint := p_earn.points;
    v_last  constant int := cardinality(p_earn.taken);
    v_n     bigint;
    r       record;
begin
    due := 0;
    for i in 1 .. v_last loop
        v_free := v_free - taken[i];
    end loop;
    for r in
        select i.line, max(i.ordered) as ordered,
               (select sum(f.quantity) from loyalty.order_refund f
                 where f.tenant_id = p_tenant and f.order_id = p_order
                   and f.line_no = i.line) as so_far
          from jsonb_to_recordset(p_lines) as i (line int, quantity numeric, ordered numeric)
         group by i.line order by i.line
    loop
        continue when r.line not between 1 and v_last - 1 or coalesce(r.ordered, 0) <= 0;
        v_n := floor(p_earn.shares[r.line] * least(r.so_far, r.ordered) / r.ordered)::bigint;
        v_n := least(greatest(v_n - taken[r.line], 0), v_free);
        taken[r.line] := taken[r.line] + v_n;
        v_free := v_free - v_n;
        due := due + v_n;
    end loop;
    if p_lines is null and p_total > 0 then
        select floor(p_earn.points * least(sum(f.quantity), p_total) / p_total)::bigint into v_n
          from loyalty.order_refund f
         where f.tenant_id = p_tenant and f.order_id = p_order and f.line_no = 0;
        due := least(greatest(v_n - taken[v_last], 0), v_free);
        taken[v_last] := taken[v_last] + due;
    end if;
end
$$;
comment on function loyalty.order_share_due(uuid, uuid, loyalty.order_earn, jsonb, numeric,
    bigint[]) is
    'points of one earn that the refunds so far take back and that were not taken yet';

create or replace function loyalty.book_reversal(p_tenant uuid, p_items jsonb)
returns table (ord int, outcome jsonb)
language plpgsql volatile
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as
$$
#variable_conflict use_column
declare
    v_item      jsonb;
    v_earn      loyalty.order_earn;
    v_member    uuid;
    v_share     record;
    v_done      record;
    v_points    bigint;
    v_clipped   bigint;
    v_owed      bigint;
    v_entries   uuid[];
    v_order     uuid;
    v_lots      uuid[];
begin
    for ord, v_item in
        select i.ord::int, i.item
          from jsonb_array_elements(p_items) with ordinality as i (item, ord)
         order by i.ord
    loop
        v_points := 0;
        v_clipped := 0;
        v_owed := 0;
        v_entries := '{}';
        v_order := (v_item ->> 'order')::uuid;
        if v_order is null then
            select * into v_done from loyalty.book_reversal_one(p_tenant,
                (v_item ->> 'wallet')::uuid, (v_item ->> 'member')::uuid,
                (v_item ->> 'points')::bigint, null, null, (v_item ->> 'event')::uuid,
                (v_item ->> 'rule')::uuid, (v_item ->> 'rule_version')::uuid,
                (v_item ->> 'at')::timestamptz);
            v_points := v_done.taken;
            v_clipped := v_done.clipped;
            v_owed := v_done.owed;
            v_entries := v_done.entries;
        else
            insert into loyalty.order_refund (tenant_id, order_id, refund_event_id, line_no,
                quantity)
            select p_tenant, v_order, (v_item ->> 'event')::uuid, i.line, sum(i.quantity)
              from (select l.line, greatest(l.quantity, 0) as quantity
                      from jsonb_to_recordset(v_item -> 'lines') as l (line int, quantity numeric)
                    union all
                    select 0, greatest((v_item ->> 'amount')::numeric, 0)
                     where v_item ->> 'lines' is null and v_item ->> 'amount' is not null) i
             group by i.line;
            -- balances before order_earn, in their order
            perform 1
               from loyalty.balance b
              where b.tenant_id = p_tenant
                and (b.wallet_id, b.member_id) in (
                    select l.wallet_id, l.member_id
                      from loyalty.order_earn o
                      join loyalty.lot l on l.tenant_id = o.tenant_id and l.lot_id = o.entry_id
                     where o.tenant_id = p_tenant and o.order_id = v_order)
              order by b.wallet_id, b.member_id
                for update;
            for v_earn in
                select * from loyalty.order_earn o
                 where o.tenant_id = p_tenant and o.order_id = v_order
                 order by o.wallet_id, o.entry_id
                   for update
            loop
                select s.taken, s.due into v_share
                  from loyalty.order_share_due(p_tenant, v_order, v_earn, v_item -> 'lines',
                           (v_item ->> 'total')::numeric, v_earn.taken) s;
                continue when v_share.due = 0;
                select l.member_id into v_member from loyalty.lot l
                 where l.tenant_id = p_tenant and l.lot_id = v_earn.entry_id;
                select array_agg(o.entry_id order by o.entry_id <> v_earn.entry_id, o.entry_id)
                  into v_lots
                  from loyalty.order_earn o
                 where o.tenant_id = p_tenant and o.order_id = v_order
                   and o.wallet_id = v_earn.wallet_id;
                update loyalty.order_earn o set taken = v_share.taken
                 where o.tenant_id = p_tenant and o.order_id = v_order
                   and o.entry_id = v_earn.entry_id;
                select * into v_done from loyalty.book_reversal_one(p_tenant, v_earn.wallet_id,
                    v_member, v_share.due, v_earn.entry_id, v_lots, (v_item ->> 'event')::uuid,
                    null, v_earn.rule_version_id, (v_item ->> 'at')::timestamptz);
                v_points := v_points + v_done.taken;
                v_clipped := v_clipped + v_done.clipped;
                v_owed := v_owed + v_done.owed;
                v_entries := v_entries || v_done.entries;
            end loop;
        end if;
        outcome := jsonb_build_object('points', v_points, 'clipped', v_clipped, 'debt', v_owed,
                                      'entries', to_jsonb(v_entries));
        return next;
    end loop;
end
$$;
comment on function loyalty.book_reversal(uuid, jsonb) is
    'takes points back after refunds, in the order of the items';
