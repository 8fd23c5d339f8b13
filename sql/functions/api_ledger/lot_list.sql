-- GET /members/{member}/lots, in the order in which they would be spent, as
-- they are now: what is due is shown, not booked.
-- Refuses: 404 member.not_found, 409 member.ambiguous.
-- Locks nothing, writes nothing.

-- p_status also "expiring": open with an expiry
create or replace function api.lot_list(p_tenant uuid, p_call jsonb, p_member text,
    p_status text, p_wallet text, p_limit text, p_cursor text default null) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_limit     constant int := loyalty.list_limit(p_limit);
    v_now       timestamptz;
    v_expires   timestamptz := coalesce((p_call #>> '{cursor,e}')::timestamptz, '-infinity');
    v_lot       uuid := coalesce((p_call #>> '{cursor,id}')::uuid,
                                 '00000000-0000-0000-0000-000000000000');
    v_found     record;
    v_data      json[] := '{}';
    r           record;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_now := loyalty.tenant_now(p_tenant);
    select * into v_found from loyalty.member_find(p_tenant, p_member);
    if v_found.code is not null then
        return loyalty.problem(p_call,
            case v_found.code when 'member.ambiguous' then 409 else 404 end, v_found.code);
    end if;
    for r in
        with due as materialized (
            select p.lot_id,
                   coalesce(sum(p.amount) filter (where p.to_bucket = 12), 0)::bigint as expired,
                   coalesce(sum(p.amount) filter (where p.from_bucket = 3), 0)::bigint as released,
                   bool_or(p.from_bucket = 1) as matured
              from loyalty.balance b
              cross join lateral loyalty.due_plan(b, v_now) p
             where b.tenant_id = p_tenant and b.member_id = v_found.member_id and b.due_at <= v_now
               and p.lot_id is not null and p.kind in (1, 2, 3)
             group by p.lot_id),
        lots as (
            select l.lot_id, l.wallet_id, l.entry_id, l.original, l.starts_at, l.expires_at,
                   l.remaining - coalesce(d.expired, 0) as remaining,
                   l.held - coalesce(d.released, 0) as held,
                   case when d.expired > 0 and l.remaining = d.expired then 'expired'
                        when d.matured then 'open'
                        else l.state end as state
              from loyalty.lot l
              left join due d on d.lot_id = l.lot_id
             where l.tenant_id = p_tenant and l.member_id = v_found.member_id)
        select l.*, w.code
          from lots l
          join loyalty.wallet w on w.tenant_id = p_tenant and w.wallet_id = l.wallet_id
         where (l.expires_at, l.lot_id) > (v_expires, v_lot)
           and (p_wallet is null or w.code = p_wallet)
           and (p_status is null or l.state = p_status
                or (p_status = 'expiring' and l.state = 'open' and l.expires_at < 'infinity'))
         order by l.expires_at, l.lot_id
         limit v_limit + 1
    loop
        if cardinality(v_data) = v_limit then
            return loyalty.list_answer(p_call, v_data,
                jsonb_build_object('e', v_expires::text, 'id', v_lot));
        end if;
        v_expires := r.expires_at;
        v_lot := r.lot_id;
        v_data := v_data || json_build_object('object', 'lot',
            'id', loyalty.id_text('lot', r.lot_id),
            'wallet', r.code, 'entry', loyalty.id_text('ent', r.entry_id), 'original', r.original,
            'remaining', r.remaining, 'held', r.held, 'status', r.state,
            'starts_at', loyalty.time_text(r.starts_at),
            'expires_at', loyalty.time_text(r.expires_at));
    end loop;
    return loyalty.list_answer(p_call, v_data, null);
end
$$;
comment on function api.lot_list(uuid, jsonb, text, text, text, text, text) is
    'the lots of a member';
