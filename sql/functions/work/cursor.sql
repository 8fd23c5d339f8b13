-- Arithmetic of snapshots for the log's cursors. A pg_snapshot stands for a set of transactions:
-- all below xmax but those listed. The lane reads the log in the order of transaction, then log_id.
-- Refuses nothing, locks nothing, writes nothing.

-- p_base and every transaction below p_until that is visible in p_now
create or replace function loyalty.snapshot_pass(p_base pg_snapshot, p_now pg_snapshot,
    p_until xid8) returns pg_snapshot
language plpgsql immutable parallel safe as $$
declare
    v_max xid8 := greatest(pg_snapshot_xmax(p_base), p_until);
    v_open xid8[];
begin
    -- nobody is writing: the common case
    if pg_snapshot_xmin(p_base) = pg_snapshot_xmax(p_base)
       and pg_snapshot_xmin(p_now) = pg_snapshot_xmax(p_now)
       and p_until <= pg_snapshot_xmax(p_now)
    then
        return (v_max::text || ':' || v_max::text || ':')::pg_snapshot;
    end if;
    select array_agg(o.x order by o.x)
      into v_open
      from (select pg_snapshot_xip(p_base) as x union select pg_snapshot_xip(p_now)) o
     where o.x < v_max
       and not pg_visible_in_snapshot(o.x, p_base)
       and not (o.x < p_until and pg_visible_in_snapshot(o.x, p_now));
    return (coalesce(v_open[1], v_max)::text || ':' || v_max::text || ':'
            || coalesce(array_to_string(v_open, ','), ''))::pg_snapshot;
end $$;
comment on function loyalty.snapshot_pass(pg_snapshot, pg_snapshot, xid8) is
    'a snapshot grown by what lies below a transaction and is visible in another';

-- p_base and the one transaction p_xid; those between stay invisible
create or replace function loyalty.snapshot_with(p_base pg_snapshot, p_xid xid8)
returns pg_snapshot
language plpgsql immutable parallel safe as $$
declare
    v_max xid8 := pg_snapshot_xmax(p_base);
    v_open xid8[] := array(select pg_snapshot_xip(p_base));
begin
    if p_xid is null then
        return null;
    end if;
    if p_xid < v_max then
        v_open := array_remove(v_open, p_xid);
    else
        v_open := v_open || array(select g::text::xid8
                                    from generate_series(v_max::text::bigint,
                                                         p_xid::text::bigint - 1) g);
        v_max := (p_xid::text::bigint + 1)::text::xid8;
    end if;
    return (coalesce(v_open[1], v_max)::text || ':' || v_max::text || ':'
            || coalesce(array_to_string(v_open, ','), ''))::pg_snapshot;
end $$;
comment on function loyalty.snapshot_with(pg_snapshot, xid8) is
    'a snapshot in which one more transaction is visible';
