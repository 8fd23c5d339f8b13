-- The one way into the books, for a balance row that the caller has locked:
-- movements move points between its buckets and the lots they name; an entry
-- is one signed fact over movements, chained.
-- Refuses nothing: what would break a constraint is a bug of the caller.
-- Needs the lock of the balance.  Writes: movement, lot, entry, outbox; the
-- balance is changed in the row that is passed through and saved by
-- loyalty.balance_save().

create or replace function loyalty.entry_new(b loyalty.balance, p_type smallint)
returns loyalty.entry
language plpgsql as
$$
declare
    e loyalty.entry;
begin
    e.tenant_id := b.tenant_id;
    e.wallet_id := b.wallet_id;
    e.member_id := b.member_id;
    e.type := p_type;
    e.recorded_at := greatest(clock_timestamp(), b.last_at + interval '1 microsecond');
    e.entry_id := loyalty.uuid_v7_at(e.recorded_at);
    e.hash_version := 1;
    return e;
end
$$;
comment on function loyalty.entry_new(loyalty.balance, smallint) is
    'an entry to be filled in; its id and time follow those of the balance';

-- Points that become available repay debt first, in the order of the movements.
create or replace function loyalty.moves_apply(b loyalty.balance, p_entry uuid, p_hold uuid,
    p_recorded_at timestamptz, p_from smallint[], p_to smallint[], p_amount bigint[],
    p_lot uuid[]) returns loyalty.balance
language plpgsql as
$$
declare
    v_given constant int := cardinality(p_from);
    v_base  smallint := 0;
    v_from  smallint;
    v_to    smallint;
    v_n     bigint;
begin
    for i in 1 .. v_given loop
        if p_to[i] = 2 and b.debt > 0 and p_from[i] <> 4 then
            p_from := p_from || 2::smallint;
            p_to := p_to || 4::smallint;
            p_amount := p_amount || least(b.debt, p_amount[i]);
            p_lot := p_lot || p_lot[i];
            b.debt := b.debt - least(b.debt, p_amount[i]);
            b.available := b.available - p_amount[cardinality(p_amount)];
        end if;
    end loop;

    for i in 1 .. cardinality(p_from) loop
        v_from := p_from[i];
        v_to := p_to[i];
        v_n := p_amount[i];
        if i <= v_given then
            case v_from
                when 1 then b.pending := b.pending - v_n;
                when 2 then b.available := b.available - v_n;
                when 3 then b.held := b.held - v_n;
                when 4 then b.debt := b.debt + v_n;
                when 11 then b.spent := b.spent - v_n;
                when 12 then b.expired := b.expired - v_n;
                when 14 then b.reversed := b.reversed - v_n;
                else b.earned := b.earned + v_n;
            end case;
            case v_to
                when 1 then b.pending := b.pending + v_n;
                when 2 then b.available := b.available + v_n;
                when 3 then b.held := b.held + v_n;
                when 4 then b.debt := b.debt - v_n;
                when 12 then b.expired := b.expired + v_n;
                when 13 then b.reversed := b.reversed + v_n;
                else b.spent := b.spent + v_n;
            end case;
        end if;
        if p_lot[i] is not null then
            update loyalty.lot l
               set remaining = l.remaining + v_n * ((v_to <= 3)::int - (v_from <= 3)::int),
                   held = l.held + v_n * ((v_to = 3)::int - (v_from = 3)::int),
                   state = case
                       when l.remaining + v_n * ((v_to <= 3)::int - (v_from <= 3)::int) = 0 then
                           case when v_to = 12 then 'expired'
                                when v_from = 1 and v_to = 13 then 'cancelled'
                                else 'exhausted' end
                       when v_to = 1 then 'pending'
                       when v_from = 1 and v_to <> 2 then l.state
                       else 'open' end
             where l.tenant_id = b.tenant_id and l.lot_id = p_lot[i];
        end if;
    end loop;

    if p_entry is null then
        select coalesce(max(m.ord), 0) into v_base from loyalty.movement m
         where m.tenant_id = b.tenant_id and m.subject_id = p_hold;
    end if;
    insert into loyalty.movement (tenant_id, subject_id, ord, wallet_id, member_id, entry_id,
        hold_id, lot_id, from_bucket, to_bucket, amount, recorded_at)
    select b.tenant_id, coalesce(p_entry, p_hold), v_base + m.ord, b.wallet_id, b.member_id,
           p_entry, p_hold, m.lot, m.f, m.t, m.n, p_recorded_at
      from unnest(p_from, p_to, p_amount, p_lot) with ordinality as m (f, t, n, lot, ord);
    b.last_at := p_recorded_at;
    return b;
end
$$;
comment on function loyalty.moves_apply(loyalty.balance, uuid, uuid, timestamptz, smallint[],
    smallint[], bigint[], uuid[]) is
    'moves points between the buckets and lots of a locked balance';

create or replace function loyalty.entry_add(b loyalty.balance, e loyalty.entry,
    p_from smallint[], p_to smallint[], p_amount bigint[], p_lot uuid[]) returns loyalty.balance
language plpgsql as
$$
begin
    b := loyalty.moves_apply(b, e.entry_id, e.hold_id, e.recorded_at, p_from, p_to, p_amount,
        p_lot);
    b.entry_seq := b.entry_seq + 1;
    b.head_hash := sha256(b.head_hash || loyalty.entry_payload(e.tenant_id, e.wallet_id,
        e.member_id, e.entry_id, b.entry_seq, e.type, e.points, e.effective_at, e.recorded_at,
        b.available, b.pending, b.held, b.debt, e.event_id, e.rule_version_id, e.hold_id,
        e.redemption_id, e.reverses, e.reason));
    e.seq := b.entry_seq;
    e.available_after := b.available;
    e.pending_after := b.pending;
    e.held_after := b.held;
    e.debt_after := b.debt;
    e.hash := b.head_hash;
    insert into loyalty.entry select e.*;
    if loyalty.has_endpoint(b.tenant_id) then
        insert into loyalty.outbox (tenant_id, message_id, type, member_id, occurred_at, data)
        values (b.tenant_id, loyalty.uuid_v7(), loyalty.entry_message_type(e.type), b.member_id,
                e.effective_at, loyalty.entry_message(e));
    end if;
    return b;
end
$$;
comment on function loyalty.entry_add(loyalty.balance, loyalty.entry, smallint[], smallint[],
    bigint[], uuid[]) is 'books an entry and its movements on a locked balance';

create or replace function loyalty.entry_type_text(p_type smallint) returns text
language sql immutable parallel safe
return (array['earn', 'earn_pending', 'activate', 'cancel_pending', 'redeem', 'redeem_reversal',
    'earn_reversal', 'expire', 'expire_reversal', 'adjust_credit', 'adjust_debit', 'transfer_out',
    'transfer_in', 'import', 'merge_out', 'merge_in'])[p_type];
comment on function loyalty.entry_type_text(smallint) is 'name of a type of entry';

create or replace function loyalty.entry_message_type(p_type smallint) returns text
language sql immutable parallel safe
return (array['points.earned', 'points.pending', 'points.activated', 'points.cancelled',
    'points.redeemed', 'points.reversed', 'points.reversed', 'points.expired', 'points.reversed',
    'points.adjusted', 'points.adjusted', 'points.transferred', 'points.transferred',
    'points.earned', 'points.transferred', 'points.transferred'])[p_type];
comment on function loyalty.entry_message_type(smallint) is 'message an entry is told by';

create or replace function loyalty.entry_message(e loyalty.entry) returns jsonb
language plpgsql stable as
$$
begin
    return jsonb_build_object(
        'entry', loyalty.id_text('ent', e.entry_id),
        'member', loyalty.id_text('mem', e.member_id),
        'wallet', (select w.code from loyalty.wallet w
                    where w.tenant_id = e.tenant_id and w.wallet_id = e.wallet_id),
        'type', loyalty.entry_type_text(e.type),
        'points', e.points,
        'effective_at', loyalty.time_text(e.effective_at),
        'event', loyalty.id_text('evt', e.event_id),
        'hold', loyalty.id_text('hld', e.hold_id),
        'redemption', loyalty.id_text('rdm', e.redemption_id),
        'reverses', loyalty.id_text('ent', e.reverses),
        'balance', jsonb_build_object('available', e.available_after, 'pending', e.pending_after,
            'held', e.held_after, 'debt', e.debt_after));
end
$$;
comment on function loyalty.entry_message(loyalty.entry) is 'data of the message about an entry';
