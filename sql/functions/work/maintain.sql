-- What keeps the tables small: partitions ahead, the log's ring, old rows. One process at a time
-- (advisory lock 7405); bounded per call, so that it never holds a lock for long.

-- Empties the slots of the log's ring that every cursor has passed, but for the one in use and
-- those beside it. Skips what it cannot lock at once. Gives the slots it emptied.
-- Locks: ACCESS EXCLUSIVE on a slot. Writes: event_log (truncate).
create or replace function loyalty.log_ring_turn() returns int[]
language plpgsql as $$
declare
    v_now int := (extract(epoch from clock_timestamp())::bigint / 900) % 4;
    v_low xid8;
    v_max xid8;
    v_done int[] := '{}';
begin
    select min(pg_snapshot_xmin(c.low)) into v_low from loyalty.log_cursor c;
    for v_slot in 0 .. 3 loop
        -- the slot before may still get rows of a slow clock, the next one those of a fast
        continue when (v_slot - v_now + 4) % 4 <> 2;
        execute format('select max(l.xid) from loyalty.event_log_%s l', v_slot) into v_max;
        continue when v_max is null or v_max >= v_low;
        begin
            -- whoever writes into it still, holds a lock on it
            execute format('lock table loyalty.event_log_%s in access exclusive mode nowait',
                           v_slot);
            execute format('select max(l.xid) from loyalty.event_log_%s l', v_slot)
               into v_max;
            if v_max < v_low then
                execute format('truncate loyalty.event_log_%s', v_slot);
                v_done := v_done || v_slot;
            end if;
        exception
            when lock_not_available then
                null;
        end;
    end loop;
    return v_done;
end $$;
comment on function loyalty.log_ring_turn() is 'empties slots of the log that are done with';

-- {"partitions","ring","changes","idempotency","jobs","commands","deliveries"}: how many of each;
-- null while another process does it.
-- Kept: changes an hour, answers of idempotent requests and commands 24 hours, jobs 7 days.
-- Writes: change, idempotency, job, command; makes partitions.
create or replace function work.maintain(p_limit int) returns jsonb
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_done jsonb;
    v_n int;
    v_tenant uuid;
    v_sum int := 0;
begin
    if not pg_catalog.pg_try_advisory_xact_lock(7405, 0) then
        return null;
    end if;
    select count(*) into v_n from loyalty.partition_ensure(2);
    v_done := jsonb_build_object('partitions', v_n,
                                 'ring', cardinality(loyalty.log_ring_turn()));

    -- the newest of the old ones stays: by it dir.changes knows how far back the feed is whole
    with old as materialized (
        select x.change_id, x.xid
          from (select y.change_id, y.xid, y.at
                  from loyalty.change y order by y.xid limit p_limit) x
         where x.at < clock_timestamp() - interval '1 hour')
    delete from loyalty.change c
     where c.change_id = any (array(select o.change_id from old o
                                     where o.xid < (select max(e.xid) from old e)));
    get diagnostics v_n = row_count;
    v_done := v_done || jsonb_build_object('changes', v_n);

    -- a table of the tenants: one after the other
    for v_tenant in select t.tenant_id from loyalty.tenant t order by 1 loop
        perform set_config('app.tenant_id', v_tenant::text, true);
        delete from loyalty.idempotency i
         where i.tenant_id = v_tenant and i.created_at < clock_timestamp() - interval '24 hours'
           and i.ctid = any (array(
                select x.ctid from loyalty.idempotency x
                 where x.tenant_id = v_tenant
                   and x.created_at < clock_timestamp() - interval '24 hours'
                 limit p_limit));
        get diagnostics v_n = row_count;
        v_sum := v_sum + v_n;
    end loop;
    perform set_config('app.tenant_id', '', true);
    v_done := v_done || jsonb_build_object('idempotency', v_sum);

    delete from loyalty.job j
     where j.job_id = any (array(
            select x.job_id from loyalty.job x
             where x.state in ('completed', 'cancelled', 'discarded')
               and x.finished_at < clock_timestamp() - interval '7 days'
             limit p_limit));
    get diagnostics v_n = row_count;
    v_done := v_done || jsonb_build_object('jobs', v_n);

    delete from loyalty.command c
     where c.ctid = any (array(
            select x.ctid from loyalty.command x
             where x.state = 'done' and x.done_at < clock_timestamp() - interval '24 hours'
             limit p_limit));
    get diagnostics v_n = row_count;
    return v_done || jsonb_build_object('commands', v_n);
end $$;
comment on function work.maintain(int) is 'partitions ahead, the log''s ring, old rows';
