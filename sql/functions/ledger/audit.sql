-- The invariants of the books as queries: no row, all is well.
-- Refuses nothing, locks nothing, writes nothing.  Reads everything of a
-- tenant: for tests, the nightly job and `loyalty audit`.

create or replace function loyalty.audit_tenant(p_tenant uuid)
returns table (invariant text, object text, detail text)
language plpgsql stable as
$$
#variable_conflict use_column
begin
    -- buckets and lifetime, from the movements alone
    return query
    with m as (
        select m.wallet_id, m.member_id,
               sum(case when m.to_bucket = 2 then m.amount
                        when m.from_bucket = 2 then -m.amount else 0 end) as a,
               sum(case when m.to_bucket = 1 then m.amount
                        when m.from_bucket = 1 then -m.amount else 0 end) as p,
               sum(case when m.to_bucket = 3 then m.amount
                        when m.from_bucket = 3 then -m.amount else 0 end) as h,
               sum(case when m.from_bucket = 4 then m.amount
                        when m.to_bucket = 4 then -m.amount else 0 end) as d,
               sum(case when m.from_bucket in (10, 15, 16) then m.amount else 0 end) as earned,
               sum(case when m.to_bucket in (11, 15, 16) then m.amount
                        when m.from_bucket = 11 then -m.amount else 0 end) as spent,
               sum(case when m.to_bucket = 12 then m.amount
                        when m.from_bucket = 12 then -m.amount else 0 end) as expired,
               sum(case when m.to_bucket = 13 then m.amount
                        when m.from_bucket in (13, 14) then -m.amount else 0 end) as reversed
          from loyalty.movement m where m.tenant_id = p_tenant group by 1, 2),
    e as (
        select e.wallet_id, e.member_id, sum(e.points) as points, count(*) as n, max(e.seq) as seq
          from loyalty.entry e where e.tenant_id = p_tenant group by 1, 2),
    l as (
        select l.wallet_id, l.member_id,
               sum(case when l.state = 'pending' then l.remaining else 0 end) as p,
               sum(case when l.state <> 'pending' then l.remaining - l.held else 0 end) as a,
               sum(l.held) as h
          from loyalty.lot l where l.tenant_id = p_tenant group by 1, 2),
    h as (
        select h.wallet_id, h.member_id, sum(h.amount - h.captured - h.released) as h
          from loyalty.hold h where h.tenant_id = p_tenant and h.state = 'active' group by 1, 2),
    b as (select b.* from loyalty.balance b where b.tenant_id = p_tenant),
    x as (
        select b.*, m.a as m_a, m.p as m_p, m.h as m_h, m.d as m_d, m.earned as m_earned,
               m.spent as m_spent, m.expired as m_expired, m.reversed as m_reversed,
               e.points as e_points, e.n as e_n, e.seq as e_seq, l.a as l_a, l.p as l_p,
               l.h as l_h, h.h as h_h
          from b
          left join m using (wallet_id, member_id) left join e using (wallet_id, member_id)
          left join l using (wallet_id, member_id) left join h using (wallet_id, member_id))
    select v.invariant, x.wallet_id || ' ' || x.member_id, v.detail
      from x
      cross join lateral (values
        ('balance.entries', coalesce(x.e_points, 0) = x.available + x.pending + x.held - x.debt,
         format('entries %s', x.e_points)),
        ('balance.movements', (x.available, x.pending, x.held, x.debt)
            = (coalesce(x.m_a, 0), coalesce(x.m_p, 0), coalesce(x.m_h, 0), coalesce(x.m_d, 0)),
         format('movements %s %s %s %s, balance %s %s %s %s', x.m_a, x.m_p, x.m_h, x.m_d,
                x.available, x.pending, x.held, x.debt)),
        ('balance.lifetime', (x.earned, x.spent, x.expired, x.reversed)
            = (coalesce(x.m_earned, 0), coalesce(x.m_spent, 0), coalesce(x.m_expired, 0),
               coalesce(x.m_reversed, 0)),
         format('movements %s %s %s %s', x.m_earned, x.m_spent, x.m_expired, x.m_reversed)),
        ('balance.lots', (x.available, x.pending, x.held)
            = (coalesce(x.l_a, 0), coalesce(x.l_p, 0), coalesce(x.l_h, 0)),
         format('lots %s %s %s', x.l_a, x.l_p, x.l_h)),
        ('balance.holds', x.held = coalesce(x.h_h, 0), format('holds %s', x.h_h)),
        ('balance.signs', x.available >= 0 and x.pending >= 0 and x.held >= 0 and x.debt >= 0
            and (x.available = 0 or x.debt = 0), ''),
        ('balance.identity', x.earned - x.spent - x.expired - x.reversed
            = x.available + x.pending + x.held - x.debt, ''),
        ('chain.dense', x.entry_seq = coalesce(x.e_n, 0) and x.entry_seq = coalesce(x.e_seq, 0),
         format('entry_seq %s, entries %s, last %s', x.entry_seq, x.e_n, x.e_seq)),
        ('balance.wallet', exists (select from loyalty.wallet w
            where w.tenant_id = p_tenant and w.wallet_id = x.wallet_id), ''),
        ('balance.due', x.due_at <= loyalty.due_next(
            (select y from loyalty.balance y
              where y.tenant_id = p_tenant and y.wallet_id = x.wallet_id
                and y.member_id = x.member_id)), format('due_at %s is late', x.due_at))
        ) as v (invariant, holds, detail)
     where not v.holds;

    -- the chain, recomputed from nothing
    return query
    with c as (
        select e.wallet_id, e.member_id, e.entry_id, e.seq, e.hash, e.recorded_at,
               loyalty.chain('\x0000000000000000000000000000000000000000000000000000000000000000',
                   loyalty.entry_payload(e.tenant_id, e.wallet_id, e.member_id, e.entry_id, e.seq,
                       e.type, e.points, e.effective_at, e.recorded_at, e.available_after,
                       e.pending_after, e.held_after, e.debt_after, e.event_id,
                       e.rule_version_id, e.hold_id, e.redemption_id, e.reverses, e.reason))
                   over w as computed,
               lag(e.seq, 1, 0::bigint) over w as before_seq,
               lag(e.recorded_at, 1, '-infinity') over w as before_at,
               lag(e.entry_id) over w as before_id,
               lead(e.seq) over w as next_seq
          from loyalty.entry e where e.tenant_id = p_tenant
        window w as (partition by e.wallet_id, e.member_id order by e.seq))
    select v.invariant, c.entry_id::text, 'seq ' || c.seq
      from c
      left join loyalty.balance b on b.tenant_id = p_tenant and b.wallet_id = c.wallet_id
                                 and b.member_id = c.member_id
      cross join lateral (values
        ('chain.hash', c.hash = c.computed),
        ('chain.sequence', c.seq = c.before_seq + 1),
        ('chain.time', c.recorded_at > c.before_at
                       and (c.before_id is null or c.entry_id > c.before_id)),
        ('chain.head', c.next_seq is not null
                       or coalesce(b.head_hash = c.hash and b.last_at >= c.recorded_at, false))
        ) as v (invariant, holds)
     where not v.holds;

    -- an entry is what its movements say; what it left behind is what they sum to
    return query
    with m as (
        select m.wallet_id, m.member_id, m.recorded_at,
               min(m.entry_id::text)::uuid as entry_id,
               sum(m.amount * ((m.to_bucket <= 4)::int - (m.from_bucket <= 4)::int)) as net,
               sum(case when m.to_bucket = 2 then m.amount
                        when m.from_bucket = 2 then -m.amount else 0 end) as a,
               sum(case when m.to_bucket = 1 then m.amount
                        when m.from_bucket = 1 then -m.amount else 0 end) as p,
               sum(case when m.to_bucket = 3 then m.amount
                        when m.from_bucket = 3 then -m.amount else 0 end) as h,
               sum(case when m.from_bucket = 4 then m.amount
                        when m.to_bucket = 4 then -m.amount else 0 end) as d
          from loyalty.movement m where m.tenant_id = p_tenant group by 1, 2, 3),
    r as (
        select m.wallet_id, m.member_id, m.recorded_at, m.entry_id, m.net,
               sum(m.a) over w as a, sum(m.p) over w as p, sum(m.h) over w as h,
               sum(m.d) over w as d
          from m window w as (partition by m.wallet_id, m.member_id order by m.recorded_at)),
    e as (select e.* from loyalty.entry e where e.tenant_id = p_tenant)
    select v.invariant, coalesce(e.entry_id, r.entry_id)::text, v.detail
      from e
      full join (select * from r where r.entry_id is not null) r on r.entry_id = e.entry_id
      cross join lateral (values
        ('entry.movements', coalesce(e.points = r.net, false),
         format('points %s, movements %s', e.points, r.net)),
        ('entry.running', coalesce((e.available_after, e.pending_after, e.held_after, e.debt_after)
            = (r.a, r.p, r.h, r.d), false),
         format('after %s %s %s %s, movements %s %s %s %s', e.available_after, e.pending_after,
                e.held_after, e.debt_after, r.a, r.p, r.h, r.d))
        ) as v (invariant, holds, detail)
     where not v.holds;

    -- lots: what came in less what went out; held is what holds hold
    return query
    with m as (
        select m.lot_id,
               sum(m.amount * ((m.to_bucket <= 3)::int - (m.from_bucket <= 3)::int)) as remaining,
               sum(case when m.from_bucket in (10, 15, 16) then m.amount else 0 end) as original
          from loyalty.movement m where m.tenant_id = p_tenant and m.lot_id is not null group by 1),
    hl as (
        select h.lot_id, sum(h.amount) as held
          from loyalty.hold_lot h where h.tenant_id = p_tenant group by 1),
    rev as (
        select e.reverses, -sum(e.points) as points
          from loyalty.entry e
         where e.tenant_id = p_tenant and e.reverses is not null and e.type in (4, 7) group by 1)
    select v.invariant, coalesce(l.lot_id, m.lot_id)::text, v.detail
      from (select l.* from loyalty.lot l where l.tenant_id = p_tenant) l
      full join m on m.lot_id = l.lot_id
      left join hl on hl.lot_id = l.lot_id
      left join rev on rev.reverses = l.lot_id
      cross join lateral (values
        ('lot.movements', coalesce(l.remaining = m.remaining and l.original = m.original, false),
         format('lot %s of %s, movements %s of %s', l.remaining, l.original, m.remaining,
                m.original)),
        ('lot.held', l.held = coalesce(hl.held, 0), format('held %s, holds %s', l.held, hl.held)),
        ('lot.reversed', l.reversed = coalesce(rev.points, 0) and l.reversed <= l.original,
         format('reversed %s, entries %s', l.reversed, rev.points))
        ) as v (invariant, holds, detail)
     where not v.holds;

    -- holds
    return query
    with hl as (
        select h.hold_id, sum(h.amount) as amount
          from loyalty.hold_lot h where h.tenant_id = p_tenant group by 1),
    m as (
        select m.hold_id,
               sum(case when m.to_bucket = 3 then m.amount else 0 end) as amount,
               sum(case when m.from_bucket = 3 and m.to_bucket = 11 then m.amount else 0 end)
                   as captured,
               sum(case when m.from_bucket = 3 and m.to_bucket = 2 then m.amount else 0 end)
                   as released
          from loyalty.movement m
         where m.tenant_id = p_tenant and m.hold_id is not null group by 1)
    select v.invariant, h.hold_id::text, v.detail
      from loyalty.hold h
      left join hl on hl.hold_id = h.hold_id
      left join m on m.hold_id = h.hold_id
      cross join lateral (values
        ('hold.lots', coalesce(hl.amount, 0) = h.amount - h.captured - h.released,
         format('lots %s', hl.amount)),
        ('hold.end', h.state = 'active' or h.captured + h.released = h.amount, h.state),
        ('hold.movements', coalesce((h.amount, h.captured, h.released)
            = (m.amount, m.captured, m.released), false),
         format('movements %s %s %s', m.amount, m.captured, m.released))
        ) as v (invariant, holds, detail)
     where h.tenant_id = p_tenant and not v.holds;

    -- an event pays a rule once in a wallet; reversals stay within their entry
    return query
    select 'event.once', e.event_id::text, format('rule %s paid %s times', e.rule_id, count(*))
      from loyalty.entry e
     where e.tenant_id = p_tenant and e.type in (1, 2) and e.event_id is not null
     group by e.event_id, e.rule_id, e.wallet_id having count(*) > 1;
    return query
    select 'entry.reversals', o.entry_id::text, format('%s of %s', sum(r.points), o.points)
      from loyalty.entry r
      join loyalty.entry o on o.tenant_id = p_tenant and o.entry_id = r.reverses
     where r.tenant_id = p_tenant and r.reverses is not null
     group by o.entry_id, o.points having abs(sum(r.points)) > abs(o.points)
                                       or sign(sum(r.points)) = sign(o.points);
    return query
    select 'entry.reverses', r.entry_id::text, 'reverses no entry of its balance'
      from loyalty.entry r
      left join loyalty.entry o on o.tenant_id = p_tenant and o.entry_id = r.reverses
                               and o.wallet_id = r.wallet_id and o.member_id = r.member_id
     where r.tenant_id = p_tenant and r.reverses is not null and o.entry_id is null;

    -- redemptions
    return query
    select 'redemption.entries', r.redemption_id::text, r.status
      from loyalty.redemption r
      left join (select e.redemption_id,
                        -sum(case when e.type = 5 then e.points else 0 end) as spent,
                        sum(case when e.type = 6 then e.points else 0 end) as back
                   from loyalty.entry e
                  where e.tenant_id = p_tenant and e.redemption_id is not null group by 1) e
        on e.redemption_id = r.redemption_id
     where r.tenant_id = p_tenant and r.status in ('completed', 'cancelled')
       and (coalesce(e.spent, 0) <> r.points or coalesce(e.back, 0) <> r.reversed_points
            or (r.status = 'cancelled') <> (r.reversed_points = r.points));

    -- orders: shares add up, nothing is taken twice
    return query
    select v.invariant, o.order_id || ' ' || o.entry_id, v.detail
      from loyalty.order_earn o
      left join loyalty.lot l on l.tenant_id = p_tenant and l.lot_id = o.entry_id
      cross join lateral (
        select (select coalesce(sum(s), 0) from unnest(o.shares) s) as shares,
               (select coalesce(sum(t), 0) from unnest(o.taken) t) as taken,
               exists (select from unnest(o.shares, o.taken[1:cardinality(o.shares)]) x (s, t)
                        where t not between 0 and s) as over) z
      cross join lateral (values
        ('order.shares', z.shares = o.points and cardinality(o.taken) = cardinality(o.shares) + 1,
         format('shares %s of %s', z.shares, o.points)),
        ('order.taken', not z.over and z.taken between 0 and o.points
            and o.taken[cardinality(o.taken)] >= 0, format('taken %s of %s', z.taken, o.points)),
        ('order.reversed', coalesce(l.original = o.points and l.reversed <= z.taken, false),
         format('taken %s, reversed %s', z.taken, l.reversed))
        ) as v (invariant, holds, detail)
     where o.tenant_id = p_tenant and not v.holds;

    -- events: one natural key each, an entry only of a processed one, a trace for each earn
    return query
    select 'event.key', coalesce(k.event_id, e.event_id)::text,
           case when k.event_id is null then 'no key' else 'no event' end
      from (select k.event_id from loyalty.event_key k where k.tenant_id = p_tenant) k
      full join (select e.event_id from loyalty.event e where e.tenant_id = p_tenant) e
        on e.event_id = k.event_id
     where k.event_id is null or e.event_id is null;
    return query
    select 'evaluation.entry', x.event_id || ' ' || x.rule_version_id,
           format('evaluation %s, entries %s', x.points, e.points)
      from loyalty.evaluation x
      -- a rule may give into several wallets: an entry for each
      left join (select n.event_id, n.rule_version_id, sum(n.points) as points
                   from loyalty.entry n
                  where n.tenant_id = p_tenant and n.type in (1, 2)
                  group by 1, 2) e
             on e.event_id = x.event_id and e.rule_version_id = x.rule_version_id
     where x.tenant_id = p_tenant and x.points is distinct from coalesce(e.points, 0);
    return query
    select 'entry.evaluation', e.entry_id::text, 'an earn without the evaluation that made it'
      from loyalty.entry e
     where e.tenant_id = p_tenant and e.type in (1, 2) and e.rule_version_id is not null
       and not exists (select from loyalty.evaluation x
                        where x.tenant_id = p_tenant and x.event_id = e.event_id
                          and x.rule_version_id = e.rule_version_id);
    return query
    select 'event.outcome', e.event_id::text, coalesce(o.status, 'no outcome')
      from (select distinct e.event_id from loyalty.entry e
             where e.tenant_id = p_tenant and e.event_id is not null) e
      left join loyalty.event_outcome o on o.tenant_id = p_tenant and o.event_id = e.event_id
     where o.status is distinct from 'processed';
    return query
    select 'refund.points', o.event_id::text,
           format('told %s, taken back %s', o.detail->>'points', coalesce(n.points, 0))
      from loyalty.event_outcome o
      left join (select e.event_id, -sum(e.points) as points
                   from loyalty.entry e
                  where e.tenant_id = p_tenant and e.type in (4, 7) and e.event_id is not null
                  group by 1) n on n.event_id = o.event_id
     where o.tenant_id = p_tenant and o.status = 'processed' and o.detail ? 'points'
       and (o.detail->>'points')::bigint is distinct from coalesce(n.points, 0);

    -- answers are stored in the commit that made them
    return query
    select 'idempotency.answer', i.operation || ' ' || i.key, 'committed without an answer'
      from loyalty.idempotency i where i.tenant_id = p_tenant and i.status is null;
end
$$;
comment on function loyalty.audit_tenant(uuid) is 'violations of the invariants in one tenant';

create or replace function ops.audit()
returns table (invariant text, tenant uuid, object text, detail text)
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as
$$
#variable_conflict use_column
declare
    v_tenant uuid;
begin
    for v_tenant in select t.tenant_id from loyalty.tenant t order by t.tenant_id loop
        perform set_config('app.tenant_id', v_tenant::text, true);
        return query
        select a.invariant, v_tenant, a.object, a.detail from loyalty.audit_tenant(v_tenant) a;
    end loop;
end
$$;
comment on function ops.audit() is 'violations of the invariants of the books, in all tenants';
