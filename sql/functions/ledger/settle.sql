-- What is due on a balance: holds that end, lots that mature, lots that
-- expire, in the order of their instants (at one instant: holds, maturation,
-- expiry), so that the books are the same however often they are settled.
-- One function plans (reads only); settle books the plan, a read sums it: a
-- read never writes, and shows what it would show after settling.
-- Refuses nothing.  settle needs the lock of the balance.
-- Writes (settle): movement, lot, entry, hold, hold_lot, outbox.

-- Rows of kind 1 (a hold ended), 2 (lots matured), 3 (lots expired) carry
-- movements in order, grouped by grp; one row of kind 0 says when the next is
-- due after p_at, one of kind 4 (if any) what expires next and how much.
create or replace function loyalty.due_plan(b loyalty.balance, p_at timestamptz)
returns table (grp int, kind smallint, at timestamptz, hold_id uuid, from_bucket smallint,
               to_bucket smallint, amount bigint, lot_id uuid)
language plpgsql stable as
$$
#variable_conflict use_column
declare
    v_id        uuid[];
    v_rem       bigint[];
    v_held      bigint[];
    v_starts    timestamptz[];
    v_expires   timestamptz[];
    v_pending   boolean[];
    v_hold      uuid[];
    v_hold_end  timestamptz[];
    v_open      boolean[];
    v_debt      bigint := b.debt;
    v_next      timestamptz;
    v_time      timestamptz := '-infinity';
    v_which     int;
    v_lots      int;
    v_holds     int;
    v_n         bigint;
    k           int;
    r           record;
begin
    select array_agg(l.lot_id order by l.expires_at, l.lot_id),
           array_agg(l.remaining order by l.expires_at, l.lot_id),
           array_agg(l.held order by l.expires_at, l.lot_id),
           array_agg(l.starts_at order by l.expires_at, l.lot_id),
           array_agg(l.expires_at order by l.expires_at, l.lot_id),
           array_agg(l.state = 'pending' order by l.expires_at, l.lot_id)
      into v_id, v_rem, v_held, v_starts, v_expires, v_pending
      from (select o.lot_id, o.remaining, o.held, o.starts_at, o.expires_at, o.state
              from loyalty.lot o
             where o.tenant_id = b.tenant_id and o.wallet_id = b.wallet_id
               and o.member_id = b.member_id and o.state = 'open'
            union all
            select o.lot_id, o.remaining, o.held, o.starts_at, o.expires_at, o.state
              from loyalty.lot o
             where o.tenant_id = b.tenant_id and o.wallet_id = b.wallet_id
               and o.member_id = b.member_id and o.state = 'pending') l;
    select array_agg(h.hold_id order by h.expires_at, h.hold_id),
           array_agg(h.expires_at order by h.expires_at, h.hold_id),
           array_agg(true)
      into v_hold, v_hold_end, v_open
      from loyalty.hold h
     where h.tenant_id = b.tenant_id and h.wallet_id = b.wallet_id and h.member_id = b.member_id
       and h.state = 'active';
    v_lots := coalesce(cardinality(v_id), 0);
    v_holds := coalesce(cardinality(v_hold), 0);
    grp := 0;

    loop
        v_next := 'infinity';
        v_which := null;
        for i in 1 .. v_holds loop
            if v_open[i] and v_hold_end[i] < v_next then
                v_next := v_hold_end[i];
                v_which := i;
            end if;
        end loop;
        kind := case when v_which is null then 3 else 1 end;
        for i in 1 .. v_lots loop
            if v_rem[i] = 0 then
                null;
            elsif v_pending[i] then
                if v_starts[i] < v_next or (v_starts[i] = v_next and kind = 3
                                            and v_next < 'infinity') then
                    v_next := v_starts[i];
                    kind := 2;
                end if;
            elsif v_rem[i] > v_held[i] and v_expires[i] < v_next then
                v_next := v_expires[i];
                kind := 3;
            end if;
        end loop;
        exit when v_next > p_at or v_next = 'infinity';
        v_time := greatest(v_time, v_next);
        grp := grp + 1;
        at := v_time;
        hold_id := null;

        if kind = 1 then
            hold_id := v_hold[v_which];
            v_open[v_which] := false;
            for r in
                select hl.lot_id as id, hl.amount as n, array_position(v_id, hl.lot_id) as pos
                  from loyalty.hold_lot hl
                 where hl.tenant_id = b.tenant_id and hl.hold_id = v_hold[v_which] and hl.amount > 0
                 order by 3
            loop
                k := r.pos;
                v_held[k] := v_held[k] - r.n;
                lot_id := r.id;
                from_bucket := 3;
                to_bucket := 2;
                amount := r.n;
                return next;
                v_n := least(v_debt, r.n);
                v_debt := v_debt - v_n;
                v_rem[k] := v_rem[k] - v_n;
            end loop;
        else
            for i in 1 .. v_lots loop
                continue when v_rem[i] = 0 or v_pending[i] <> (kind = 2);
                lot_id := v_id[i];
                if kind = 2 then
                    continue when v_starts[i] <> v_next;
                    v_pending[i] := false;
                    from_bucket := 1;
                    to_bucket := 2;
                    amount := v_rem[i];
                    return next;
                    v_n := least(v_debt, v_rem[i]);
                    v_debt := v_debt - v_n;
                    v_rem[i] := v_rem[i] - v_n;
                else
                    continue when v_expires[i] <> v_next or v_rem[i] = v_held[i];
                    from_bucket := 2;
                    to_bucket := 12;
                    amount := v_rem[i] - v_held[i];
                    return next;
                    v_rem[i] := v_held[i];
                end if;
            end loop;
        end if;
    end loop;

    grp := grp + 1;
    kind := 0;
    at := v_next;
    hold_id := null;
    from_bucket := null;
    to_bucket := null;
    amount := null;
    lot_id := null;
    return next;

    v_next := 'infinity';
    for i in 1 .. v_lots loop
        if not v_pending[i] and v_rem[i] > v_held[i] and v_expires[i] <= v_next
           and v_expires[i] < 'infinity'
        then
            amount := case when v_expires[i] = v_next then amount else 0 end + v_rem[i] - v_held[i];
            v_next := v_expires[i];
        end if;
    end loop;
    if v_next < 'infinity' then
        grp := grp + 1;
        kind := 4;
        at := v_next;
        return next;
    end if;
end
$$;
comment on function loyalty.due_plan(loyalty.balance, timestamptz) is
    'movements that are due on a balance at an instant, without repayment of debt';

create or replace function loyalty.settle(b loyalty.balance, p_at timestamptz)
returns loyalty.balance
language plpgsql as
$$
declare
    r record;
    e loyalty.entry;
begin
    if b.due_at > p_at then
        return b;
    end if;
    for r in
        select p.grp, p.kind, p.at, p.hold_id, sum(p.amount)::bigint as points,
               array_agg(p.from_bucket order by p.ord) as f,
               array_agg(p.to_bucket order by p.ord) as t,
               array_agg(p.amount order by p.ord) as n, array_agg(p.lot_id order by p.ord) as lots
          from rows from (loyalty.due_plan(b, p_at)) with ordinality
               as p (grp, kind, at, hold_id, from_bucket, to_bucket, amount, lot_id, ord)
         group by p.grp, p.kind, p.at, p.hold_id
         order by p.grp
    loop
        if r.kind = 0 then
            b.due_at := r.at;
        elsif r.kind = 1 then
            b := loyalty.hold_release(b, r.hold_id, 'expired', r.at, r.f, r.t, r.n, r.lots);
        elsif r.kind in (2, 3) then
            e := loyalty.entry_new(b, case r.kind when 2 then 3 else 8 end::smallint);
            e.points := case r.kind when 2 then 0 else -r.points end;
            e.effective_at := r.at;
            b := loyalty.entry_add(b, e, r.f, r.t, r.n, r.lots);
        end if;
    end loop;
    return b;
end
$$;
comment on function loyalty.settle(loyalty.balance, timestamptz) is
    'books what is due on a locked balance; free of cost when nothing is';

-- gives back what a hold still holds; p_state: how it ended
create or replace function loyalty.hold_release(b loyalty.balance, p_hold uuid, p_state text,
    p_at timestamptz, p_from smallint[], p_to smallint[], p_amount bigint[], p_lot uuid[])
returns loyalty.balance
language plpgsql as
$$
declare
    v_sum bigint := 0;
begin
    for i in 1 .. cardinality(p_amount) loop
        v_sum := v_sum + p_amount[i];
    end loop;
    b := loyalty.moves_apply(b, null, p_hold,
        greatest(clock_timestamp(), b.last_at + interval '1 microsecond'),
        p_from, p_to, p_amount, p_lot);
    update loyalty.hold_lot h set amount = 0
     where h.tenant_id = b.tenant_id and h.hold_id = p_hold;
    update loyalty.hold h set released = h.released + v_sum, state = p_state, updated_at = now()
     where h.tenant_id = b.tenant_id and h.hold_id = p_hold;
    perform loyalty.outbox_add(b.tenant_id,
        case p_state when 'expired' then 'hold.expired' else 'hold.released' end, b.member_id, p_at,
        jsonb_build_object('hold', loyalty.id_text('hld', p_hold),
            'member', loyalty.id_text('mem', b.member_id), 'points', v_sum));
    return b;
end
$$;
comment on function loyalty.hold_release(loyalty.balance, uuid, text, timestamptz, smallint[],
    smallint[], bigint[], uuid[]) is 'releases a hold with the movements given';
