-- The change feed, by difference of snapshots: what is visible now and was not in p_since. By id
-- or time a late committer would be skipped for ever.
-- First row `mark`: ref is the snapshot to go on from. Directory kinds carry their present record,
-- or null when it is gone; balance and member carry none. One row `resync` alone when p_since is
-- not a snapshot of this database, or reaches behind what is kept: rows are pruned oldest first
-- and the newest of the pruned ones stays, so that the oldest row tells how far back is sure.
-- STABLE on purpose: every query inside sees the caller's one snapshot, the mark included.
-- Reads: change and the directory. Locks nothing, writes nothing.

create or replace function dir.changes(p_since text)
returns table (kind text, ref text, tenant uuid, data jsonb)
language plpgsql stable security definer set search_path = '' set app.tenant_id = ''
set enable_seqscan = off as $$
#variable_conflict use_column
declare
    v_since pg_snapshot;
    v_oldest xid8;
    v_row record;
begin
    begin
        v_since := p_since::pg_snapshot;
    exception when data_exception then
        v_since := null;
    end;
    select c.xid into v_oldest from loyalty.change c order by c.xid limit 1;
    if v_since is null or pg_snapshot_xmax(v_since) > pg_snapshot_xmax(pg_current_snapshot())
            or pg_snapshot_xmin(v_since) < v_oldest
               and not exists (select from loyalty.change c where c.change_id = 1) then
        return query select 'resync'::text, null::text, null::uuid, null::jsonb;
        return;
    end if;
    return query select 'mark'::text, pg_current_snapshot()::text, null::uuid, null::jsonb;
    -- what carries no record, thousands a second, in one go
    return query
    select c.kind, c.ref, c.tenant_id, null::jsonb
      from loyalty.change c
     where c.xid >= pg_snapshot_xmin(v_since)
       and not pg_visible_in_snapshot(c.xid, v_since)
       and c.kind in ('balance', 'member', 'program')
     group by c.tenant_id, c.kind, c.ref;
    for v_row in
        select c.tenant_id, c.kind, c.ref, min(c.change_id) as first
          from loyalty.change c
         where c.xid >= pg_snapshot_xmin(v_since)
           and not pg_visible_in_snapshot(c.xid, v_since)
           and c.kind not in ('balance', 'member', 'program')
         group by c.tenant_id, c.kind, c.ref
         order by first
    loop
        perform set_config('app.tenant_id', coalesce(v_row.tenant_id::text, ''), true);
        return query
        select v_row.kind::text, v_row.ref::text, v_row.tenant_id::uuid,
               loyalty.dir_record(v_row.kind, v_row.ref, v_row.tenant_id);
    end loop;
end $$;
comment on function dir.changes(text) is 'what caches must forget since a snapshot';

-- the present record of one change's object; null for kinds that have none
create or replace function loyalty.dir_record(p_kind text, p_ref text, p_tenant uuid)
returns jsonb
language plpgsql stable as $$
begin
    return case p_kind
        when 'tenant' then (select loyalty.dir_tenant(t) from loyalty.tenant t
                             where t.tenant_id = p_ref::uuid)
        when 'wallet' then (select loyalty.dir_wallet(w) from loyalty.wallet w
                             where w.tenant_id = p_tenant and w.wallet_id = p_ref::uuid)
        when 'host' then (select jsonb_build_object('tenant', h.tenant_id) from loyalty.host h
                           where h.host = p_ref)
        when 'plan' then (select loyalty.dir_plan(p) from loyalty.plan p
                           where p.plan_code = p_ref)
        when 'api_key' then (select loyalty.dir_api_key(k) from loyalty.api_key k
                              where k.digest = decode(p_ref, 'hex'))
        when 'signing_key' then (select loyalty.dir_signing_key(k) from loyalty.signing_key k
                                  where k.kid = p_ref)
        when 'revocation' then (select loyalty.dir_revocation(r) from loyalty.revocation r
                                 where r.tenant_id = p_tenant
                                   and r.kind = split_part(p_ref, ':', 1)
                                   and r.ref = substr(p_ref, strpos(p_ref, ':') + 1))
    end;
end $$;
comment on function loyalty.dir_record(text, text, uuid) is 'the directory record a change names';
