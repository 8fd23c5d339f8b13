-- The balance row: locked, settled, worked on as a value, saved.
-- Refuses nothing.
-- Locks: the balance.  Writes: balance, change, outbox.

-- Locks a balance and books what is due.  p_create: makes a missing row, else
-- gives null for it.  What was due is saved before anything else happens, so
-- that a refusal after this may return at once.
create or replace function loyalty.balance_lock(p_tenant uuid, p_wallet uuid, p_member uuid,
    p_at timestamptz, p_create boolean) returns loyalty.balance
language plpgsql as
$$
declare
    b loyalty.balance;
begin
    select * into b from loyalty.balance x
     where x.tenant_id = p_tenant and x.wallet_id = p_wallet and x.member_id = p_member
       for update;
    if not found then
        if not p_create then
            return null;
        end if;
        insert into loyalty.balance (tenant_id, wallet_id, member_id)
        values (p_tenant, p_wallet, p_member) on conflict do nothing;
        select * into b from loyalty.balance x
         where x.tenant_id = p_tenant and x.wallet_id = p_wallet and x.member_id = p_member
           for update;
    end if;
    return loyalty.balance_due(b, p_at);
end
$$;
comment on function loyalty.balance_lock(uuid, uuid, uuid, timestamptz, boolean) is
    'locks a balance with nothing due on it';

-- when the next hold ends or lot matures or expires
create or replace function loyalty.due_next(b loyalty.balance) returns timestamptz
language plpgsql stable as
$$
begin
    return least(
        (select min(l.expires_at) from loyalty.lot l
          where l.tenant_id = b.tenant_id and l.wallet_id = b.wallet_id
            and l.member_id = b.member_id and l.state = 'open' and l.remaining > l.held
            and l.expires_at < 'infinity'),
        (select min(l.starts_at) from loyalty.lot l
          where l.tenant_id = b.tenant_id and l.wallet_id = b.wallet_id
            and l.member_id = b.member_id and l.state = 'pending'),
        (select min(h.expires_at) from loyalty.hold h
          where h.tenant_id = b.tenant_id and h.wallet_id = b.wallet_id
            and h.member_id = b.member_id and h.state = 'active'),
        'infinity');
end
$$;
comment on function loyalty.due_next(loyalty.balance) is 'exact due_at of a balance';

-- version + 1 for each transaction, however often it saves the row
create or replace function loyalty.balance_save(b loyalty.balance) returns loyalty.balance
language plpgsql as
$$
begin
    update loyalty.balance x
       set available = b.available, pending = b.pending, held = b.held, debt = b.debt,
           earned = b.earned, spent = b.spent, expired = b.expired, reversed = b.reversed,
           entry_seq = b.entry_seq, head_hash = b.head_hash, last_at = b.last_at,
           due_at = b.due_at,
           version = case when x.version > 0 and x.xmin = pg_current_xact_id()::xid
                          then x.version else x.version + 1 end
     where x.tenant_id = b.tenant_id and x.wallet_id = b.wallet_id and x.member_id = b.member_id
    returning x.version into b.version;
    perform loyalty.change_add(b.tenant_id, 'balance', b.member_id::text);
    return b;
end
$$;
comment on function loyalty.balance_save(loyalty.balance) is 'stores a locked balance';

-- Books and stores what is due on a locked balance.  due_at may be early, then
-- it alone is stored.
create or replace function loyalty.balance_due(b loyalty.balance, p_at timestamptz)
returns loyalty.balance
language plpgsql as
$$
declare
    v_last constant timestamptz := b.last_at;
begin
    if b.due_at > p_at then
        return b;
    end if;
    b := loyalty.settle(b, p_at);
    if b.last_at = v_last then
        update loyalty.balance x set due_at = b.due_at
         where x.tenant_id = b.tenant_id and x.wallet_id = b.wallet_id
           and x.member_id = b.member_id;
        return b;
    end if;
    b := loyalty.balance_save(b);
    perform loyalty.balance_tell(b, p_at);
    return b;
end
$$;
comment on function loyalty.balance_due(loyalty.balance, timestamptz) is
    'settles a locked balance and stores it';

create or replace function loyalty.balance_tell(b loyalty.balance, p_at timestamptz) returns void
language plpgsql as
$$
begin
    if loyalty.has_endpoint(b.tenant_id) then
        insert into loyalty.outbox (tenant_id, message_id, type, member_id, occurred_at, data)
        values (b.tenant_id, loyalty.uuid_v7(), 'balance.updated', b.member_id, p_at,
            jsonb_build_object('member', loyalty.id_text('mem', b.member_id),
                'wallet', (select w.code from loyalty.wallet w
                            where w.tenant_id = b.tenant_id and w.wallet_id = b.wallet_id),
                'available', b.available, 'pending', b.pending, 'held', b.held, 'debt', b.debt,
                'version', b.version));
    end if;
end
$$;
comment on function loyalty.balance_tell(loyalty.balance, timestamptz) is 'message about a balance';

-- last step of an operation: what it made due (a lot given back after its
-- expiry) is booked in the same transaction, then the row is stored
create or replace function loyalty.balance_finish(b loyalty.balance, p_at timestamptz)
returns loyalty.balance
language plpgsql as
$$
begin
    b.due_at := loyalty.due_next(b);
    b := loyalty.balance_save(loyalty.settle(b, p_at));
    perform loyalty.balance_tell(b, p_at);
    return b;
end
$$;
comment on function loyalty.balance_finish(loyalty.balance, timestamptz) is
    'settles and stores a balance at the end of an operation';

-- The balance as it is at an instant, from lots and holds, without writing.
-- due_at is the next due instant after it.
create or replace function loyalty.balance_at(b loyalty.balance, p_at timestamptz,
    out balance loyalty.balance, out expiry_at timestamptz, out expiry_points bigint)
language plpgsql stable as
$$
declare
    v_n bigint;
    r   record;
begin
    if b.due_at > p_at then
        balance := b;
        select l.expires_at, sum(l.remaining - l.held)::bigint into expiry_at, expiry_points
          from loyalty.lot l
         where l.tenant_id = b.tenant_id and l.wallet_id = b.wallet_id
           and l.member_id = b.member_id and l.state = 'open' and l.remaining > l.held
           and l.expires_at < 'infinity'
         group by l.expires_at order by l.expires_at limit 1;
        return;
    end if;
    for r in
        select p.kind, p.at, p.from_bucket, p.amount
          from rows from (loyalty.due_plan(b, p_at)) with ordinality
               as p (grp, kind, at, hold_id, from_bucket, to_bucket, amount, lot_id, ord)
         order by p.ord
    loop
        case r.kind
            when 0 then
                b.due_at := r.at;
            when 4 then
                expiry_at := r.at;
                expiry_points := r.amount;
            when 3 then
                b.available := b.available - r.amount;
                b.expired := b.expired + r.amount;
            else
                v_n := least(b.debt, r.amount);
                b.debt := b.debt - v_n;
                b.available := b.available + r.amount - v_n;
                if r.kind = 1 then
                    b.held := b.held - r.amount;
                else
                    b.pending := b.pending - r.amount;
                end if;
        end case;
    end loop;
    balance := b;
end
$$;
comment on function loyalty.balance_at(loyalty.balance, timestamptz) is
    'a balance effective at an instant and what expires next; never writes';
