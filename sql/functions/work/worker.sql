-- A worker process in the database: its row, its lock, its limits, its shards.
-- A process is alive while the session advisory lock of its id is held; the lock goes within
-- 100 ms of the process. A process that is stopped but not dead is seen by its beat.
-- Advisory locks: (7401, id) every process · (7402, id) the rules lane · 7403 moving of shards ·
-- 7404 shared by a batch, exclusive while shards move, so that no batch spans a change of owner.

create or replace function loyalty.worker_key(p_worker uuid) returns int
language plpgsql immutable parallel safe as $$
begin
    return hashtext(p_worker::text);
end $$;
comment on function loyalty.worker_key(uuid) is 'second part of a worker''s advisory locks';

-- ids' keys of the processes that hold the lock of their class
create or replace function loyalty.workers_alive(p_class int) returns int[]
language plpgsql stable as $$
begin
    return array(
        select l.objid::bigint::bit(32)::int
          from pg_catalog.pg_locks l
         where l.locktype = 'advisory' and l.classid = p_class::oid and l.objsubid = 2
           and l.granted
           and l.database = (select d.oid from pg_catalog.pg_database d
                              where d.datname = current_database()));
end $$;
comment on function loyalty.workers_alive(int) is 'keys of running workers';

-- Once per connection. Refuses 55P03 while an earlier connection of the same id still lives, or is
-- being reaped.
-- Writes: worker.
create or replace function work.worker_start(p_worker uuid, p_lane text, p_host text, p_pid int,
    p_version text) returns text
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    if not pg_catalog.pg_try_advisory_lock(7401, loyalty.worker_key(p_worker))
       or (p_lane = 'rules'
           and not pg_catalog.pg_try_advisory_lock(7402, loyalty.worker_key(p_worker)))
    then
        raise exception using errcode = '55P03', message = 'an earlier connection still lives';
    end if;
    -- a process that stops within a transaction must not keep its locks
    if p_lane = 'rules' then
        perform pg_catalog.set_config('idle_in_transaction_session_timeout', '1000', false);
    end if;
    -- a backend whose process is gone must end even while it works
    perform pg_catalog.set_config('client_connection_check_interval', '250', false);
    insert into loyalty.worker (worker_id, host, pid, version)
    values (p_worker, p_host, p_pid, p_version)
    on conflict (worker_id) do update set beat_at = clock_timestamp();
    return 'ok';
end $$;
comment on function work.worker_start(uuid, text, text, int, text) is
    'registers a worker process and takes the lock that says it lives';

-- False: the row is gone, the process was taken for dead and must start anew. Writes: worker.
create or replace function work.worker_beat(p_worker uuid) returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    update loyalty.worker w set beat_at = clock_timestamp() where w.worker_id = p_worker;
    return found;
end $$;
comment on function work.worker_beat(uuid) is 'says that a worker process lives';

-- Writes: worker, shard_lease.
create or replace function work.worker_stop(p_worker uuid) returns void
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    update loyalty.shard_lease s
       set worker_id = null, expires_at = '-infinity'
     where s.worker_id = p_worker;
    delete from loyalty.worker w where w.worker_id = p_worker;
end $$;
comment on function work.worker_stop(uuid) is 'the end of a worker process: its shards are free';

-- the older form; who still calls it gets this one
drop function if exists work.shards_take(uuid, int);

-- Shares the 256 shards out over the rules slots that live, and says which are p_worker's. The
-- oldest slot has them all, for one large batch costs less than two small ones; while a slot says
-- that more waits than one batch takes (p_pressed), and five seconds longer, all have as many.
-- token: fences what an earlier owner began; it changes whenever shards are gained, and what the
-- slot remembers about its place in the log is void then.
-- Locks: advisory 7403, advisory 7404 exclusive if anything moves. Writes: worker, shard_lease.
create or replace function work.shards_take(p_worker uuid, p_lease_ms int,
    p_pressed boolean default false)
returns table (token bigint, shards smallint[])
language plpgsql security definer set search_path = '' set app.tenant_id = ''
set enable_hashjoin = off as $$
declare
    v_now timestamptz := clock_timestamp();
    v_lease interval := make_interval(secs => p_lease_ms / 1000.0);
    v_keys int[] := loyalty.workers_alive(7402);
    v_live uuid[];
    v_spread boolean;
    v_free smallint[];
    v_mine smallint[];
    v_want int;
    v_token bigint;
    v_ends timestamptz;
begin
    perform pg_catalog.pg_advisory_xact_lock(7403, 0);
    if p_pressed then
        update loyalty.worker w set pressed_at = v_now where w.worker_id = p_worker;
    end if;
    select array_agg(w.worker_id order by w.worker_id),
           bool_or(w.pressed_at > v_now - interval '5 seconds')
      into v_live, v_spread
      from loyalty.worker w
     where w.worker_id = p_worker
        or (loyalty.worker_key(w.worker_id) = any (v_keys) and w.beat_at > v_now - v_lease);
    select array_agg(s.shard order by s.shard) filter (where s.worker_id = p_worker
                                                         and s.expires_at > v_now),
           array_agg(s.shard order by s.shard) filter (where s.worker_id is null
                or s.expires_at <= v_now or not s.worker_id = any (v_live)),
           min(s.expires_at) filter (where s.worker_id = p_worker and s.expires_at > v_now),
           max(s.token) filter (where s.worker_id = p_worker)
      into v_mine, v_free, v_ends, v_token
      from loyalty.shard_lease s;
    v_mine := coalesce(v_mine, '{}');
    v_want := case when v_spread then ceil(256.0 / cardinality(v_live))
                   when p_worker = v_live[1] then 256
                   else 0 end;

    if v_want = 0 and v_mine <> '{}' then
        -- handed over, not left lying until the next beat: the new token tells its owner
        perform pg_catalog.pg_advisory_xact_lock(7404, 0);
        update loyalty.shard_lease s
           set worker_id = v_live[1], expires_at = v_now + v_lease,
               token = (select max(x.token) + 1 from loyalty.shard_lease x)
         where s.worker_id = v_live[1] or s.shard = any (v_mine);
        v_mine := '{}';
    elsif cardinality(v_mine) > v_want then
        perform pg_catalog.pg_advisory_xact_lock(7404, 0);
        update loyalty.shard_lease s
           set worker_id = null, expires_at = '-infinity'
         where s.shard = any (v_mine[v_want + 1 : ]);
        v_mine := v_mine[ : v_want];
    elsif cardinality(v_mine) < v_want and v_free is not null then
        perform pg_catalog.pg_advisory_xact_lock(7404, 0);
        v_mine := v_mine || v_free[ : v_want - cardinality(v_mine)];
        select max(s.token) + 1 into v_token from loyalty.shard_lease s;
        update loyalty.shard_lease s
           set worker_id = p_worker, token = v_token, expires_at = v_now + v_lease
         where s.shard = any (v_mine);
        v_ends := null;
    end if;
    if v_ends < v_now + v_lease / 2 then
        update loyalty.shard_lease s
           set expires_at = v_now + v_lease
         where s.worker_id = p_worker and s.shard = any (v_mine);
    end if;
    return query select coalesce(v_token, 0), v_mine;
end $$;
comment on function work.shards_take(uuid, int, boolean) is
    'a fair share of the shards for a slot of the rules lane';

-- Forgets processes that ended without saying so; their shards and jobs are free. Holds the lock of
-- each until its commit: one that comes back meanwhile is refused by work.worker_start() and tries
-- again, so that no row of a process that lives is taken away.
-- Locks: advisory (7401, id) of the dead. Writes: worker, shard_lease, job, job_attempt.
create or replace function work.workers_reap() returns int
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_keys int[] := loyalty.workers_alive(7401);
    v_worker uuid;
    v_n int := 0;
begin
    for v_worker in
        select w.worker_id from loyalty.worker w
         where not loyalty.worker_key(w.worker_id) = any (v_keys)
         order by 1
    loop
        continue when not pg_catalog.pg_try_advisory_xact_lock(7401,
                                                               loyalty.worker_key(v_worker));
        update loyalty.shard_lease s
           set worker_id = null, expires_at = '-infinity'
         where s.worker_id = v_worker;
        perform work.jobs_release(v_worker);
        delete from loyalty.worker w where w.worker_id = v_worker;
        v_n := v_n + 1;
    end loop;
    return v_n;
end $$;
comment on function work.workers_reap() is 'takes back what dead worker processes held';
