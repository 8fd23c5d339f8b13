-- What the ledger's objects look like outside, and what a member's balances
-- are now, for answers and for the edge's cache.
-- Refuses nothing, locks nothing, writes nothing.

create or replace function loyalty.balance_text(p_code text, b loyalty.balance,
    p_expiry_at timestamptz, p_expiry_points bigint) returns json
language plpgsql stable as
$$
begin
    return json_build_object('object', 'balance', 'wallet', p_code, 'available', b.available,
        'pending', b.pending, 'held', b.held, 'debt', b.debt,
        'lifetime', json_build_object('earned', b.earned, 'spent', b.spent, 'expired', b.expired,
                                      'reversed', b.reversed),
        'next_expiry', case when p_expiry_at is not null then
            json_build_object('points', p_expiry_points,
                              'expires_at', loyalty.time_text(p_expiry_at)) end,
        'version', b.version);
end
$$;
comment on function loyalty.balance_text(text, loyalty.balance, timestamptz, bigint) is
    'a balance as an object of the API';

-- All balances of a member, one for each wallet, as they are at p_at: objects,
-- what the edge may cache, and the ETag.  The ETag names version, available,
-- pending, held and debt of each: under one version nothing else can change.
-- Instants for the cache are on the real clock, not on the tenant's.
create or replace function loyalty.member_balances(p_tenant uuid, p_member uuid,
    p_at timestamptz, out data json[], out fills jsonb, out etag text)
language plpgsql stable as
$$
declare
    v_effective record;
    v_expiry_at timestamptz;
    v_expiring  bigint;
    b           loyalty.balance;
    r           record;
begin
    data := '{}';
    fills := '[]';
    etag := '';
    for r in
        select w.code, w.ordinal, count(*) over () as wallets, t.clock_offset, x.balance
          from loyalty.wallet w
          join loyalty.tenant t on t.tenant_id = p_tenant
          left join lateral (
            select x as balance from loyalty.balance x
             where x.tenant_id = p_tenant and x.wallet_id = w.wallet_id
               and x.member_id = p_member offset 0) x on true
         where w.tenant_id = p_tenant
         order by w.ordinal
    loop
        b := r.balance;
        v_expiry_at := null;
        v_expiring := null;
        if b.tenant_id is null then
            b.available := 0;
            b.pending := 0;
            b.held := 0;
            b.debt := 0;
            b.earned := 0;
            b.spent := 0;
            b.expired := 0;
            b.reversed := 0;
            b.version := 0;
            b.due_at := 'infinity';
        elsif b.due_at < 'infinity' then
            v_effective := loyalty.balance_at(b, p_at);
            b := v_effective.balance;
            v_expiry_at := v_effective.expiry_at;
            v_expiring := v_effective.expiry_points;
        end if;
        data := data || loyalty.balance_text(r.code, b, v_expiry_at, v_expiring);
        fills := fills || jsonb_build_object('k', 'balance', 'm', p_member, 'o', r.ordinal,
            'n', r.wallets, 'w', r.code,
            'b', jsonb_build_array(b.available, b.pending, b.held, b.debt, b.earned, b.spent,
                                   b.expired, b.reversed),
            'v', b.version, 'f', loyalty.time_us(b.due_at - r.clock_offset),
            'e', case when v_expiry_at is not null then
                jsonb_build_array(loyalty.time_us(v_expiry_at), v_expiring) end);
        etag := etag || case etag when '' then '' else '-' end || b.version || '.'
                || b.available || '.' || b.pending || '.' || b.held || '.' || b.debt;
    end loop;
    etag := '"' || etag || '"';
end
$$;
comment on function loyalty.member_balances(uuid, uuid, timestamptz) is
    'all balances of a member now, for answers and for the cache';

create or replace function loyalty.entry_text(p_call jsonb, e loyalty.entry, p_code text,
    p_number int, p_wrapped bytea) returns json
language plpgsql stable as
$$
begin
    return json_build_object('object', 'entry', 'id', loyalty.id_text('ent', e.entry_id),
        'wallet', p_code, 'member', loyalty.id_text('mem', e.member_id), 'seq', e.seq,
        'type', loyalty.entry_type_text(e.type), 'points', e.points,
        'effective_at', loyalty.time_text(e.effective_at),
        'recorded_at', loyalty.time_text(e.recorded_at),
        'source', json_build_object('event', loyalty.id_text('evt', e.event_id),
            'rule', loyalty.id_text('rul', e.rule_id), 'rule_version', p_number,
            'hold', loyalty.id_text('hld', e.hold_id),
            'redemption', loyalty.id_text('rdm', e.redemption_id)),
        'reverses', loyalty.id_text('ent', e.reverses),
        'reason', loyalty.sealed_out(p_call, e.member_id, 'reason', p_wrapped, e.reason),
        'balance_after', json_build_object('available', e.available_after,
            'pending', e.pending_after, 'held', e.held_after, 'debt', e.debt_after));
end
$$;
comment on function loyalty.entry_text(jsonb, loyalty.entry, text, int, bytea) is
    'an entry as an object of the API';

-- entries by id, in the order of the array
create or replace function loyalty.entries_text(p_tenant uuid, p_call jsonb, p_entries uuid[])
returns json[]
language plpgsql stable as
$$
declare
    v_out   json[] := '{}';
    v_row   loyalty.entry;
begin
    for i in 1 .. coalesce(cardinality(p_entries), 0) loop
        select * into v_row from loyalty.entry e
         where e.tenant_id = p_tenant and e.entry_id = p_entries[i];
        v_out := v_out || loyalty.entry_text(p_call, v_row,
            (select w.code from loyalty.wallet w
              where w.tenant_id = p_tenant and w.wallet_id = v_row.wallet_id),
            (select v.number from loyalty.rule_version v
              where v.tenant_id = p_tenant and v.rule_version_id = v_row.rule_version_id),
            case when v_row.reason is not null then
                (select k.wrapped from loyalty.data_key k
                  where k.tenant_id = p_tenant and k.object_id = v_row.member_id) end);
    end loop;
    return v_out;
end
$$;
comment on function loyalty.entries_text(uuid, jsonb, uuid[]) is 'entries as objects of the API';

-- A hold as it is at p_at: one past its end is expired, booked or not.
create or replace function loyalty.hold_text(h loyalty.hold, p_at timestamptz) returns jsonb
language plpgsql stable as
$$
begin
    if h.state = 'active' and h.expires_at <= p_at then
        h.state := 'expired';
        h.released := h.amount - h.captured;
    end if;
    return jsonb_build_object('object', 'hold',
        'id', loyalty.id_text('hld', h.hold_id), 'member', loyalty.id_text('mem', h.member_id),
        'wallet', (select w.code from loyalty.wallet w
                    where w.tenant_id = h.tenant_id and w.wallet_id = h.wallet_id),
        'points', h.amount, 'captured', h.captured, 'released', h.released, 'status', h.state,
        'purpose', h.purpose, 'expires_at', loyalty.time_text(h.expires_at),
        'created_at', loyalty.time_text(h.created_at));
end
$$;
comment on function loyalty.hold_text(loyalty.hold, timestamptz) is
    'a hold as an object of the API';

create or replace function loyalty.redemption_text(r loyalty.redemption, p_entries json[])
returns jsonb
language plpgsql stable as
$$
begin
    return jsonb_build_object('object', 'redemption',
        'id', loyalty.id_text('rdm', r.redemption_id),
        'member', loyalty.id_text('mem', r.member_id),
        'wallet', (select w.code from loyalty.wallet w
                    where w.tenant_id = r.tenant_id and w.wallet_id = r.wallet_id),
        'status', r.status, 'points', r.points, 'reversed_points', r.reversed_points,
        'hold', loyalty.id_text('hld', r.hold_id),
        'created_at', loyalty.time_text(r.created_at), 'entries', to_jsonb(p_entries));
end
$$;
comment on function loyalty.redemption_text(loyalty.redemption, json[]) is
    'a redemption as an object of the API';

-- entries of a redemption: the one that took the points shares its uuid
create or replace function loyalty.redemption_entries(r loyalty.redemption) returns uuid[]
language plpgsql stable as
$$
begin
    return array(select e.entry_id from loyalty.entry e
                  where e.tenant_id = r.tenant_id and e.member_id = r.member_id
                    and e.entry_id >= r.redemption_id and e.redemption_id = r.redemption_id
                  order by e.entry_id);
end
$$;
comment on function loyalty.redemption_entries(loyalty.redemption) is
    'ids of its entries, in order';
