-- Books earned points, many at once: entry, movement, lot, balance, order_earn,
-- and change in one statement for all balances where nothing is owed or due;
-- the others one by one.
--
--   loyalty.book_earns(p_tenant uuid, p_items jsonb)
--     returns table (ord int, entry_id uuid, points bigint)
--
-- p_items, an array; ord is the position in it, from 1:
--   {"event":uuid, "member":uuid, "wallet":uuid, "points":n > 0,
--    "at":"occurred_at of the event", "rule":uuid, "rule_version":uuid,
--    "order":uuid|null, "shares":[bigint by line, in the order's order]|null}
-- with "order" an order_earn row is written; sum(shares) = points.
-- One row per item.  Several items of one balance are chained in their order.
-- app.tenant_id must be set.  Locks balances in (wallet_id, member_id) order.
--
--   loyalty.book_reversal(p_tenant uuid, p_items jsonb)
--     returns table (ord int, outcome jsonb)
--
-- p_items, an array, worked on in order:
--   {"event":uuid (the refund), "member":uuid, "at":timestamptz, and one of
--    "order":uuid, "lines":[{"line":no from 1, "quantity":"1", "ordered":"6"}…]
--    "order":uuid, "amount":"5.00", "total":"15.30"
--    "wallet":uuid, "points":n > 0, "rule":uuid|null, "rule_version":uuid|null}  (no order)
-- outcome: {"points":taken, "clipped":not taken under within_balance,
--           "debt":part that became debt, "entries":[uuid…]}
-- order_refund rows are written here.

create or replace function loyalty.book_earn_one(p_tenant uuid, p_event uuid, p_member uuid,
    p_wallet uuid, p_points bigint, p_at timestamptz, p_rule uuid, p_rule_version uuid,
    p_order uuid, p_shares bigint[]) returns uuid
language plpgsql as
$$
declare
    v_now   constant timestamptz := loyalty.tenant_now(p_tenant);
    v_terms record;
    b       loyalty.balance;
    e       loyalty.entry;
begin
    select w.pending_policy, w.pending_days, w.expiry_policy, w.expiry_days, w.expiry_month,
           p.timezone
      into v_terms
      from loyalty.wallet w
      join loyalty.program p on p.tenant_id = w.tenant_id and p.program_id = w.program_id
     where w.tenant_id = p_tenant and w.wallet_id = p_wallet;
    b := loyalty.balance_lock(p_tenant, p_wallet, p_member, v_now, true);
    perform loyalty.lots_prolong(b, v_terms.expiry_policy, v_terms.expiry_days, v_terms.timezone,
                                 p_at);
    v_terms.pending_policy := coalesce(v_terms.pending_policy, 'immediate');
    e := loyalty.entry_new(b, 1::smallint);
    e.effective_at := p_at;
    e.event_id := p_event;
    e.rule_id := p_rule;
    e.rule_version_id := p_rule_version;
    if loyalty.lot_starts(v_terms.pending_policy, v_terms.pending_days, v_terms.timezone, p_at)
       > v_now
    then
        e.type := 2;
    end if;
    b := loyalty.book_credit(b, e, p_points, 10::smallint,
        loyalty.lot_starts(v_terms.pending_policy, v_terms.pending_days, v_terms.timezone, p_at),
        loyalty.lot_expires(v_terms.expiry_policy, v_terms.expiry_days, v_terms.expiry_month,
                            v_terms.timezone, p_at),
        v_now);
    if p_order is not null then
        insert into loyalty.order_earn (tenant_id, order_id, entry_id, wallet_id,
            rule_version_id, points, shares, taken)
        values (p_tenant, p_order, e.entry_id, p_wallet, p_rule_version, p_points, p_shares,
            array_fill(0::bigint, array[cardinality(p_shares) + 1]));
    end if;
    perform loyalty.balance_finish(b, v_now);
    return e.entry_id;
end
$$;
comment on function loyalty.book_earn_one(uuid, uuid, uuid, uuid, bigint, timestamptz, uuid, uuid,
    uuid, bigint[]) is 'books earned points on any balance';

create or replace function loyalty.book_earns(p_tenant uuid, p_items jsonb)
returns table (ord int, entry_id uuid, points bigint)
language plpgsql volatile
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as
$$
#variable_conflict use_column
declare
    v_now       constant timestamptz := loyalty.tenant_now(p_tenant);
    v_clock     constant timestamptz := clock_timestamp();
    v_told      constant boolean := loyalty.has_endpoint(p_tenant);
    v_ord       int[];
    v_event     uuid[];
    v_member    uuid[];
    v_wallet    uuid[];
    v_points    bigint[];
    v_at        timestamptz[];
    v_rule      uuid[];
    v_version   uuid[];
    v_order     uuid[];
    v_shares    text[];
    v_starts    timestamptz[];
    v_expires   timestamptz[];
    v_slow      boolean[];
    v_any_slow  boolean;
    v_ords      int[];
    v_entries   uuid[];
    v_booked    bigint[];
begin
    -- terms of the lots
    select array_agg(i.ord::int order by i.ord), array_agg(i.event order by i.ord),
           array_agg(i.member order by i.ord), array_agg(i.wallet order by i.ord),
           array_agg(i.points order by i.ord), array_agg(i.at order by i.ord),
           array_agg(i.rule order by i.ord), array_agg(i.rule_version order by i.ord),
           array_agg(i."order" order by i.ord),
           array_agg(translate(i.shares::text, '[]', '{}') order by i.ord),
           array_agg(case when w.pending_policy = 'immediate' then i.at
                          else loyalty.lot_starts(w.pending_policy, w.pending_days, p.timezone,
                                                  i.at)
                     end order by i.ord),
           array_agg(case when w.expiry_policy = 'none' then 'infinity'
                          else loyalty.lot_expires(w.expiry_policy, w.expiry_days, w.expiry_month,
                                                   p.timezone, i.at)
                     end order by i.ord),
           array_agg(w.expiry_policy = 'inactivity' order by i.ord)
      into v_ord, v_event, v_member, v_wallet, v_points, v_at, v_rule, v_version, v_order, v_shares,
           v_starts, v_expires, v_slow
      from rows from (jsonb_to_recordset(p_items) as (event uuid, member uuid, wallet uuid,
                points bigint, at timestamptz, rule uuid, rule_version uuid, "order" uuid,
                shares jsonb)) with ordinality
           as i (event, member, wallet, points, at, rule, rule_version, "order", shares, ord)
      cross join lateral (
        select x.pending_policy, x.pending_days, x.expiry_policy, x.expiry_days, x.expiry_month,
               x.program_id
          from loyalty.wallet x where x.tenant_id = p_tenant and x.wallet_id = i.wallet offset 0) w
      cross join lateral (
        select x.timezone from loyalty.program x
         where x.tenant_id = p_tenant and x.program_id = w.program_id offset 0) p;
    if v_ord is null then
        return;
    end if;

    insert into loyalty.balance (tenant_id, wallet_id, member_id)
    select p_tenant, d.wallet, d.member
      from (select distinct i.wallet, i.member from unnest(v_wallet, v_member) i (wallet, member)) d
     where (select true from loyalty.balance b
             where b.tenant_id = p_tenant and b.wallet_id = d.wallet
               and b.member_id = d.member) is null
     order by d.wallet, d.member
    on conflict do nothing;

    with locked as materialized (
        select b.slow
          from (select distinct i.wallet, i.member
                  from unnest(v_wallet, v_member) i (wallet, member)
                 order by 1, 2 offset 0) d
          cross join lateral (
            select x.debt > 0 or x.due_at <= v_now as slow from loyalty.balance x
             where x.tenant_id = p_tenant and x.wallet_id = d.wallet and x.member_id = d.member
               for update offset 0) b)
    select bool_or(l.slow) into v_any_slow from locked l;
    v_any_slow := v_any_slow or true = any(v_slow);
    for i in 1 .. cardinality(v_ord) loop
        exit when v_any_slow;
        v_any_slow := v_expires[i] <= v_now;
    end loop;

    -- all items of a balance go the same way, so that their order is kept
    if v_any_slow then
        select array_agg(s.slow order by s.ord) into v_slow
          from (select i.ord, bool_or(i.slow or i.expires <= v_now or b.debt > 0
                                      or b.due_at <= v_now)
                              over (partition by i.wallet, i.member) as slow
                  from unnest(v_ord, v_wallet, v_member, v_expires, v_slow)
                       as i (ord, wallet, member, expires, slow)
                  cross join lateral (
                    select x.debt, x.due_at from loyalty.balance x
                     where x.tenant_id = p_tenant and x.wallet_id = i.wallet
                       and x.member_id = i.member offset 0) b) s;
        for i in 1 .. cardinality(v_ord) loop
            if v_slow[i] then
                ord := v_ord[i];
                points := v_points[i];
                entry_id := loyalty.book_earn_one(p_tenant, v_event[i], v_member[i], v_wallet[i],
                    v_points[i], v_at[i], v_rule[i], v_version[i], v_order[i],
                    v_shares[i]::bigint[]);
                return next;
            end if;
        end loop;
    end if;

    with s as materialized (
        select i.*, i.starts > v_now as pending, b.available, b.pending as pending_before,
               b.held, b.earned, b.spent, b.expired, b.reversed, b.head_hash,
               (b.entry_seq + row_number() over w)::bigint as seq,
               row_number() over w = count(*) over g as last,
               sum(case when i.starts > v_now then 0 else i.points end) over w as sum_available,
               sum(case when i.starts > v_now then i.points else 0 end) over w as sum_pending,
               min(case when i.starts > v_now then i.starts else i.expires end) over g as due,
               greatest(v_clock, b.last_at + interval '1 microsecond')
                   + (row_number() over w - 1) * interval '1 microsecond' as recorded_at
          from unnest(v_ord, v_event, v_member, v_wallet, v_points, v_at, v_rule, v_version,
                      v_order, v_shares, v_starts, v_expires, v_slow)
               as i (ord, event, member, wallet, points, at, rule, rule_version, "order", shares,
                     starts, expires, slow)
          cross join lateral (
            select x.available, x.pending, x.held, x.earned, x.spent, x.expired, x.reversed,
                   x.head_hash, x.entry_seq, x.last_at
              from loyalty.balance x
             where x.tenant_id = p_tenant and x.wallet_id = i.wallet
               and x.member_id = i.member offset 0) b
         where not i.slow
        window g as (partition by i.wallet, i.member),
               w as (partition by i.wallet, i.member order by i.ord)),
    e as materialized (
        select s.*, loyalty.uuid_v7_at(s.recorded_at) as entry_id,
               (s.available + s.sum_available)::bigint as available_after,
               (s.pending_before + s.sum_pending)::bigint as pending_after,
               case when s.pending then 2 else 1 end::smallint as type
          from s),
    h as materialized (
        select e.*,
               loyalty.chain(e.head_hash, loyalty.entry_payload(p_tenant, e.wallet, e.member,
                   e.entry_id, e.seq, e.type, e.points, e.at, e.recorded_at, e.available_after,
                   e.pending_after, e.held, 0::bigint, e.event, e.rule_version, null, null, null,
                   null)) over (partition by e.wallet, e.member order by e.ord) as hash
          from e),
    new_entry as (
        insert into loyalty.entry (tenant_id, entry_id, wallet_id, member_id, seq, type, points,
            effective_at, recorded_at, available_after, pending_after, held_after, debt_after,
            event_id, rule_id, rule_version_id, hash_version, hash)
        select p_tenant, h.entry_id, h.wallet, h.member, h.seq, h.type, h.points, h.at,
               h.recorded_at, h.available_after, h.pending_after, h.held, 0, h.event, h.rule,
               h.rule_version, 1, h.hash
          from h order by h.entry_id),
    new_movement as (
        insert into loyalty.movement (tenant_id, subject_id, ord, wallet_id, member_id, entry_id,
            lot_id, from_bucket, to_bucket, amount, recorded_at)
        select p_tenant, h.entry_id, 1, h.wallet, h.member, h.entry_id, h.entry_id, 10,
               3 - h.type, h.points, h.recorded_at
          from h order by h.entry_id),
    new_lot as (
        insert into loyalty.lot (tenant_id, lot_id, wallet_id, member_id, entry_id, original,
            remaining, starts_at, expires_at, state)
        select p_tenant, h.entry_id, h.wallet, h.member, h.entry_id, h.points, h.points,
               h.starts, h.expires, case when h.pending then 'pending' else 'open' end
          from h order by h.entry_id),
    new_order_earn as (
        insert into loyalty.order_earn (tenant_id, order_id, entry_id, wallet_id,
            rule_version_id, points, shares, taken)
        select p_tenant, h."order", h.entry_id, h.wallet, h.rule_version, h.points,
               h.shares::bigint[],
               array_fill(0::bigint, array[cardinality(h.shares::bigint[]) + 1])
          from h where h."order" is not null),
    -- not an update from h: with the statistics of an empty table its join
    -- would read every balance of the tenant for each of h
    new_balance as (
        insert into loyalty.balance as x (tenant_id, wallet_id, member_id, available, pending,
            held, earned, spent, expired, reversed, version, entry_seq, head_hash, last_at, due_at)
        select p_tenant, h.wallet, h.member, h.available_after, h.pending_after, h.held,
               (h.earned + h.sum_available + h.sum_pending)::bigint, h.spent, h.expired,
               h.reversed, 1, h.seq, h.hash, h.recorded_at, h.due
          from h where h.last
        on conflict (tenant_id, wallet_id, member_id) do update
           set available = excluded.available, pending = excluded.pending,
               earned = excluded.earned, entry_seq = excluded.entry_seq,
               head_hash = excluded.head_hash, last_at = excluded.last_at,
               due_at = least(x.due_at, excluded.due_at),
               version = case when x.version > 0 and x.xmin = pg_current_xact_id()::xid
                              then x.version else x.version + 1 end),
    new_change as (
        insert into loyalty.change (tenant_id, kind, ref)
        select p_tenant, 'balance', d.member::text from (select distinct h.member from h) d)
    select array_agg(h.ord order by h.ord), array_agg(h.entry_id order by h.ord),
           array_agg(h.points order by h.ord)
      into v_ords, v_entries, v_booked
      from h;
    if v_told and v_ords is not null then
        insert into loyalty.outbox (tenant_id, message_id, type, member_id, occurred_at, data)
        select p_tenant, loyalty.uuid_v7(), loyalty.entry_message_type((e.e).type), (e.e).member_id,
               (e.e).effective_at, loyalty.entry_message(e.e)
          from unnest(v_entries) with ordinality as i (id, n)
          cross join lateral (select x as e from loyalty.entry x
                               where x.tenant_id = p_tenant and x.entry_id = i.id offset 0) e
         order by i.n;
        perform loyalty.balance_tell(b.b, v_now)
           from (select distinct v_wallet[o] as wallet, v_member[o] as member
                   from unnest(v_ords) o) d
          cross join lateral (select x as b from loyalty.balance x
                               where x.tenant_id = p_tenant and x.wallet_id = d.wallet
                                 and x.member_id = d.member offset 0) b;
    end if;
    return query select i.o, i.e, i.p from unnest(v_ords, v_entries, v_booked) as i (o, e, p);
end
$$;
comment on function loyalty.book_earns(uuid, jsonb) is
    'books earned points, many at once; one row per item';
