-- Small steps of booking on a locked balance with nothing due: points in as a
-- new lot, points out by soonest expiry.
-- Refuses nothing: more than is available is a bug of the caller.
-- Needs the lock of the balance.  Writes: lot, movement, entry, outbox.

-- Free points of open lots, soonest expiry first; those of p_first (lots an
-- order made) before the others.  Fewer than wanted if there are not more.
create or replace function loyalty.lots_take(b loyalty.balance, p_points bigint,
    p_first uuid[], out lots uuid[], out amounts bigint[], out taken bigint)
language plpgsql stable as
$$
declare
    r record;
begin
    lots := '{}';
    amounts := '{}';
    taken := 0;
    if p_points = 0 then
        return;
    end if;
    for i in 1 .. coalesce(cardinality(p_first), 0) loop
        for r in
            select l.lot_id, least(l.remaining - l.held, p_points - taken) as n
              from loyalty.lot l
             where l.tenant_id = b.tenant_id and l.lot_id = p_first[i] and l.state = 'open'
               and l.remaining > l.held and l.wallet_id = b.wallet_id and l.member_id = b.member_id
        loop
            lots := lots || r.lot_id;
            amounts := amounts || r.n;
            taken := taken + r.n;
        end loop;
        if taken = p_points then
            return;
        end if;
    end loop;
    for r in
        select l.lot_id, l.remaining - l.held as free from loyalty.lot l
         where l.tenant_id = b.tenant_id and l.wallet_id = b.wallet_id
           and l.member_id = b.member_id and l.state = 'open' and l.remaining > l.held
         order by l.expires_at, l.lot_id
    loop
        continue when r.lot_id = any(lots);
        lots := lots || r.lot_id;
        amounts := amounts || least(r.free, p_points - taken);
        taken := taken + least(r.free, p_points - taken);
        exit when taken = p_points;
    end loop;
end
$$;
comment on function loyalty.lots_take(loyalty.balance, bigint, uuid[]) is
    'which lots give so many points';

-- books an entry that takes points out of available; e.points is set here
create or replace function loyalty.book_debit(b loyalty.balance, e loyalty.entry,
    p_points bigint, p_to smallint) returns loyalty.balance
language plpgsql as
$$
declare
    v_take  record;
    v_n     int;
begin
    select t.lots, t.amounts, t.taken into v_take from loyalty.lots_take(b, p_points, null) t;
    if v_take.taken <> p_points then
        raise exception 'lots of balance % % do not cover % points', b.wallet_id,
            b.member_id, p_points;
    end if;
    v_n := cardinality(v_take.lots);
    e.points := -p_points;
    return loyalty.entry_add(b, e, array_fill(2::smallint, array[v_n]),
        array_fill(p_to, array[v_n]), v_take.amounts, v_take.lots);
end
$$;
comment on function loyalty.book_debit(loyalty.balance, loyalty.entry, bigint, smallint) is
    'takes points from the lots that expire soonest';

-- books an entry that brings points in as one lot, which shares its uuid
create or replace function loyalty.book_credit(b loyalty.balance, e loyalty.entry,
    p_points bigint, p_from smallint, p_starts_at timestamptz, p_expires_at timestamptz,
    p_at timestamptz) returns loyalty.balance
language plpgsql as
$$
begin
    e.points := p_points;
    insert into loyalty.lot (tenant_id, lot_id, wallet_id, member_id, entry_id, original,
        remaining, starts_at, expires_at, state)
    values (b.tenant_id, e.entry_id, b.wallet_id, b.member_id, e.entry_id, p_points, 0,
        p_starts_at, p_expires_at, 'exhausted');
    return loyalty.entry_add(b, e, array[p_from],
        array[case when p_starts_at > p_at then 1 else 2 end::smallint],
        array[p_points], array[e.entry_id]);
end
$$;
comment on function loyalty.book_credit(loyalty.balance, loyalty.entry, bigint, smallint,
    timestamptz, timestamptz, timestamptz) is 'brings points in as a lot of their own';

-- activity in a wallet that expires by inactivity moves every expiry
create or replace function loyalty.lots_prolong(b loyalty.balance, p_policy text, p_days int,
    p_timezone text, p_at timestamptz) returns void
language plpgsql as
$$
begin
    if p_policy = 'inactivity' then
        update loyalty.lot l
           set expires_at = greatest(l.expires_at,
                   loyalty.lot_expires(p_policy, p_days, null, p_timezone, p_at))
         where l.tenant_id = b.tenant_id and l.wallet_id = b.wallet_id
           and l.member_id = b.member_id and l.state = 'open' and l.expires_at > p_at;
        update loyalty.lot l
           set expires_at = greatest(l.expires_at,
                   loyalty.lot_expires(p_policy, p_days, null, p_timezone, p_at))
         where l.tenant_id = b.tenant_id and l.wallet_id = b.wallet_id
           and l.member_id = b.member_id and l.state = 'pending';
    end if;
end
$$;
comment on function loyalty.lots_prolong(loyalty.balance, text, int, text, timestamptz) is
    'prolongs all lots of a balance on activity';

-- Pending points of a wallet whose pending policy is on_event, when the event
-- has come: of one order, or all of the member's (p_order null).
-- Locks the balance.  Returns the points that matured.
create or replace function loyalty.book_activate(p_tenant uuid, p_wallet uuid, p_member uuid,
    p_order uuid, p_at timestamptz) returns bigint
language plpgsql as
$$
declare
    v_now   constant timestamptz := loyalty.tenant_now(p_tenant);
    v_sum   bigint;
    b       loyalty.balance;
begin
    b := loyalty.balance_lock(p_tenant, p_wallet, p_member, v_now, false);
    if b.tenant_id is null or b.pending = 0 then
        return 0;
    end if;
    with moved as (
        update loyalty.lot l set starts_at = least(p_at, v_now)
         where l.tenant_id = p_tenant and l.wallet_id = p_wallet and l.member_id = p_member
           and l.state = 'pending' and l.starts_at = 'infinity'
           and (p_order is null or l.entry_id in (select o.entry_id from loyalty.order_earn o
                                                   where o.tenant_id = p_tenant
                                                     and o.order_id = p_order))
        returning l.remaining)
    select coalesce(sum(remaining), 0)::bigint into v_sum from moved;
    if v_sum > 0 then
        b := loyalty.balance_finish(b, v_now);
    end if;
    return v_sum;
end
$$;
comment on function loyalty.book_activate(uuid, uuid, uuid, uuid, timestamptz) is
    'matures points that waited for an event';
