-- Books earned points, many at once: entry, movement, lot, balance, order_earn,
-- and change in one statement for all balances where nothing is owed or due;
-- the others one by one.  The rows are made in a loop, whose steps cost far
-- less than the plan of windows and sorts that could make them.
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
-- app.tenant_id must be set.  Locks advisory locks of the tenant by shard, in their order,
-- where balances are new, then balances in (wallet_id, member_id) order.
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

-- Where another transaction made a new balance meanwhile, its items go one by one: "other" marks
-- what is booked here.
create or replace function loyalty.earns_again(p_tenant uuid, p_rows loyalty.earning[])
returns loyalty.earning[]
language plpgsql volatile as
$$
declare
    v_stale text[];
begin
    select array_agg(h.wallet::text || ' ' || h.member)
      into v_stale
      from unnest(p_rows) h
      join loyalty.balance x
        on x.tenant_id = p_tenant and x.wallet_id = h.wallet and x.member_id = h.member
     where h.last and x.head_hash <> h.hash;
    for i in 1 .. cardinality(p_rows) loop
        continue when not (p_rows[i]).wallet::text || ' ' || (p_rows[i]).member = any (v_stale);
        p_rows[i].other := true;
        p_rows[i].entry_id := loyalty.book_earn_one(p_tenant, (p_rows[i]).event,
            (p_rows[i]).member, (p_rows[i]).wallet, (p_rows[i]).points, (p_rows[i]).at,
            (p_rows[i]).rule, (p_rows[i]).rule_version, (p_rows[i])."order", (p_rows[i]).shares);
    end loop;
    return p_rows;
end
$$;
comment on function loyalty.earns_again(uuid, loyalty.earning[]) is
    'books what built on a balance that another transaction made';

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
    r           record;
    v_terms     record;
    v_wallet    uuid;
    v_member    uuid;
    v_past      uuid[];
    v_slow      boolean;
    v_starts    timestamptz;
    v_expires   timestamptz;
    e           loyalty.earning;
    v_rows      loyalty.earning[] := '{}';
    v_n         int := 0;
    v_balances  int := 0;
    v_stored    int;
begin
    -- A balance that does not exist cannot be locked in its turn: who will make one waits here,
    -- with no balance held, for others that do, by the members' shards: two slots have none in
    -- common.
    perform pg_advisory_xact_lock(hashtextextended(p_tenant::text, 7) # n.shard)
       from (select distinct loyalty.shard_of(i.member)::bigint as shard
               from jsonb_to_recordset(p_items) as i (member uuid, wallet uuid)
               left join lateral (
                 select y.member_id from loyalty.balance y
                  where y.tenant_id = p_tenant and y.wallet_id = i.wallet
                    and y.member_id = i.member offset 0) x on true
              where x.member_id is null
              order by 1 offset 0) n;

    for r in
        select i.ord::int as ord, i.event, i.member, i.wallet, i.points, i.at, i.rule,
               i.rule_version, i."order", translate(i.shares::text, '[]', '{}') as shares,
               b.available, b.pending, b.held, b.debt, b.earned, b.spent, b.expired, b.reversed,
               b.entry_seq, b.head_hash, b.last_at, b.due_at
          from (select x.*
                  from rows from (jsonb_to_recordset(p_items) as (event uuid, member uuid,
                            wallet uuid, points bigint, at timestamptz, rule uuid,
                            rule_version uuid, "order" uuid, shares jsonb)) with ordinality
                       as x (event, member, wallet, points, at, rule, rule_version, "order",
                             shares, ord)
                 order by x.wallet, x.member, x.ord offset 0) i
          left join lateral (
            select x.* from loyalty.balance x
             where x.tenant_id = p_tenant and x.wallet_id = i.wallet and x.member_id = i.member
               for no key update offset 0) b on true
    loop
        if r.wallet is distinct from v_wallet then
            v_wallet := r.wallet;
            v_member := null;
            select w.pending_policy, w.pending_days, w.expiry_policy, w.expiry_days,
                   w.expiry_month, p.timezone
              into strict v_terms
              from loyalty.wallet w
              join loyalty.program p on p.tenant_id = p_tenant and p.program_id = w.program_id
             where w.tenant_id = p_tenant and w.wallet_id = v_wallet;
            v_past := null;
            if v_terms.expiry_policy <> 'none' then
                v_past := array(
                    select i.member
                      from jsonb_to_recordset(p_items) as i (member uuid, wallet uuid,
                                                             at timestamptz)
                     where i.wallet = v_wallet
                       and loyalty.lot_expires(v_terms.expiry_policy, v_terms.expiry_days,
                               v_terms.expiry_month, v_terms.timezone, i.at) <= v_now);
            end if;
        end if;

        if r.member is distinct from v_member then
            v_member := r.member;
            -- all items of a balance go the same way, so that their order is kept
            v_slow := coalesce(r.debt > 0 or r.due_at <= v_now, false)
                or v_terms.expiry_policy = 'inactivity' or coalesce(v_member = any (v_past), false);
            e.available := coalesce(r.available, 0);
            e.pending := coalesce(r.pending, 0);
            e.held := coalesce(r.held, 0);
            e.earned := coalesce(r.earned, 0);
            e.spent := coalesce(r.spent, 0);
            e.expired := coalesce(r.expired, 0);
            e.reversed := coalesce(r.reversed, 0);
            e.seq := coalesce(r.entry_seq, 0);
            e.base_seq := e.seq;
            e.hash := coalesce(r.head_hash,
                '\x0000000000000000000000000000000000000000000000000000000000000000');
            e.recorded_at := greatest(v_clock - interval '1 microsecond',
                                      coalesce(r.last_at, '-infinity'));
            e.due_at := 'infinity';
            e.wallet := v_wallet;
            e.member := v_member;
            v_balances := v_balances + (not v_slow)::int;
        elsif not v_slow then
            v_rows[v_n].last := false;
        end if;

        if v_slow then
            ord := r.ord;
            points := r.points;
            entry_id := loyalty.book_earn_one(p_tenant, r.event, v_member, v_wallet, r.points,
                r.at, r.rule, r.rule_version, r."order", r.shares::bigint[]);
            return next;
            continue;
        end if;

        v_starts := r.at;
        v_expires := 'infinity';
        if v_terms.pending_policy <> 'immediate' then
            v_starts := loyalty.lot_starts(v_terms.pending_policy, v_terms.pending_days,
                                           v_terms.timezone, r.at);
        end if;
        if v_terms.expiry_policy <> 'none' then
            v_expires := loyalty.lot_expires(v_terms.expiry_policy, v_terms.expiry_days,
                v_terms.expiry_month, v_terms.timezone, r.at);
        end if;
        if v_starts > v_now then
            e.type := 2;
            e.pending := e.pending + r.points;
            e.due_at := least(e.due_at, v_starts);
        else
            e.type := 1;
            e.available := e.available + r.points;
            e.due_at := least(e.due_at, v_expires);
        end if;
        e.points := r.points;
        e.earned := e.earned + r.points;
        e.seq := e.seq + 1;
        e.recorded_at := e.recorded_at + interval '1 microsecond';
        e.entry_id := loyalty.uuid_v7_at(e.recorded_at);
        e.hash := sha256(e.hash || loyalty.entry_payload(p_tenant, v_wallet, v_member, e.entry_id,
            e.seq, e.type, r.points, r.at, e.recorded_at, e.available, e.pending, e.held,
            0::bigint, r.event, r.rule_version, null, null, null, null));
        e.event := r.event;
        e.at := r.at;
        e.rule := r.rule;
        e.rule_version := r.rule_version;
        e."order" := r."order";
        e.shares := r.shares;
        e.starts_at := v_starts;
        e.expires_at := v_expires;
        e.last := true;
        e.ord := r.ord;
        e.other := false;
        v_n := v_n + 1;
        v_rows[v_n] := e;
    end loop;
    if v_n = 0 then
        return;
    end if;

    -- Not an update: with the statistics of an empty table its join would read every balance of
    -- the tenant for each of h. The version to insert tells what the rows build on: a balance
    -- that did not exist was not locked, another transaction may have made it.
    with stored as (
        insert into loyalty.balance as x (tenant_id, wallet_id, member_id, available, pending,
            held, earned, spent, expired, reversed, version, entry_seq, head_hash, last_at, due_at)
        select p_tenant, h.wallet, h.member, h.available, h.pending, h.held, h.earned, h.spent,
               h.expired, h.reversed, h.base_seq + 1, h.seq, h.hash, h.recorded_at, h.due_at
          from unnest(v_rows) h where h.last
        on conflict (tenant_id, wallet_id, member_id) do update
           set available = excluded.available, pending = excluded.pending,
               earned = excluded.earned, entry_seq = excluded.entry_seq,
               head_hash = excluded.head_hash, last_at = excluded.last_at,
               due_at = least(x.due_at, excluded.due_at),
               version = case when x.version > 0 and x.xmin = pg_current_xact_id()::xid
                              then x.version else x.version + 1 end
         where x.entry_seq = excluded.version - 1
        returning 1)
    select count(*) into v_stored from stored;
    if v_stored < v_balances then
        v_rows := loyalty.earns_again(p_tenant, v_rows);
    end if;

    with h as materialized (select * from unnest(v_rows) x where not x.other),
    new_entry as (
        insert into loyalty.entry (tenant_id, entry_id, wallet_id, member_id, seq, type, points,
            effective_at, recorded_at, available_after, pending_after, held_after, debt_after,
            event_id, rule_id, rule_version_id, hash_version, hash)
        select p_tenant, h.entry_id, h.wallet, h.member, h.seq, h.type, h.points, h.at,
               h.recorded_at, h.available, h.pending, h.held, 0, h.event, h.rule, h.rule_version,
               1, h.hash
          from h),
    new_movement as (
        insert into loyalty.movement (tenant_id, subject_id, ord, wallet_id, member_id, entry_id,
            lot_id, from_bucket, to_bucket, amount, recorded_at)
        select p_tenant, h.entry_id, 1, h.wallet, h.member, h.entry_id, h.entry_id, 10,
               3 - h.type, h.points, h.recorded_at
          from h),
    new_lot as (
        insert into loyalty.lot (tenant_id, lot_id, wallet_id, member_id, entry_id, original,
            remaining, starts_at, expires_at, state)
        select p_tenant, h.entry_id, h.wallet, h.member, h.entry_id, h.points, h.points,
               h.starts_at, h.expires_at, case h.type when 2 then 'pending' else 'open' end
          from h),
    new_order_earn as (
        insert into loyalty.order_earn (tenant_id, order_id, entry_id, wallet_id,
            rule_version_id, points, shares, taken)
        select p_tenant, h."order", h.entry_id, h.wallet, h.rule_version, h.points, h.shares,
               array_fill(0::bigint, array[cardinality(h.shares) + 1])
          from h where h."order" is not null)
    insert into loyalty.change (tenant_id, kind, ref)
    select p_tenant, 'balance', h.member::text from h where h.last;
    if loyalty.has_endpoint(p_tenant) then
        insert into loyalty.outbox (tenant_id, message_id, type, member_id, occurred_at, data)
        select p_tenant, loyalty.uuid_v7(), loyalty.entry_message_type((n.e).type), (n.e).member_id,
               (n.e).effective_at, loyalty.entry_message(n.e)
          from unnest(v_rows) i
          cross join lateral (select x as e from loyalty.entry x
                               where x.tenant_id = p_tenant and x.entry_id = i.entry_id offset 0) n
         where not i.other
         order by i.ord;
        perform loyalty.balance_tell(b.b, v_now)
           from unnest(v_rows) i
          cross join lateral (select x as b from loyalty.balance x
                               where x.tenant_id = p_tenant and x.wallet_id = i.wallet
                                 and x.member_id = i.member offset 0) b
          where i.last and not i.other;
    end if;
    return query select h.ord, h.entry_id, h.points from unnest(v_rows) h;
end
$$;
comment on function loyalty.book_earns(uuid, jsonb) is
    'books earned points, many at once; one row per item';
