-- Events that failed, and those of the same member behind them: a job of queue 'parked' per
-- member (or event without one), its events in their order. Refunds whose order did not come in
-- time: a job of queue 'order' per order. Both are worked on by the slot that owns the shard,
-- one event a transaction.

-- Writes: job. p_events as in work.rules_settle(): those of k park and follow.
create or replace function loyalty.events_park(p_tenant uuid, p_events jsonb, p_first_ms int)
returns void
language plpgsql as $$
begin
    insert into loyalty.job (tenant_id, queue, kind, args, run_at, state, unique_key, last_error)
    select p_tenant, 'parked', 'event.retry',
           jsonb_build_object('events', x.events, 'shard', x.shard,
                              'since', clock_timestamp()),
           clock_timestamp() + make_interval(secs => p_first_ms / 1000.0), 'scheduled', x.key,
           x.code
      from (select coalesce(i.m, i.e)::text as key, min(i.s) as shard,
                   jsonb_agg(i.e order by i.n) as events, max(i.code) as code
              from rows from (jsonb_to_recordset(p_events)
                       as (e uuid, m uuid, s smallint, k text, code text)) with ordinality
                   as i (e, m, s, k, code, n)
             where i.k in ('park', 'follow')
             group by coalesce(i.m, i.e)) x
    on conflict (queue, unique_key)
        where unique_key is not null
          and state in ('available', 'running', 'scheduled', 'retryable')
    do update set args = jsonb_set(job.args, '{events}',
                                   (job.args->'events') || (excluded.args->'events'));
end $$;
comment on function loyalty.events_park(uuid, jsonb, int) is
    'puts failed events, and those behind them, aside';

-- The first event of one job that is due, as work.rules_context() gives events; kind 'retry', or
-- 'late' for a refund whose order did not come; log_id is the job. No row: nothing is due.
-- Locks: as work.rules_context(), and the job. Writes: what loyalty.refunds_look() writes.
create or replace function work.rules_retry(p_worker uuid, p_token bigint, p_shards smallint[])
returns table (kind text, tenant_id uuid, event_id uuid, member_id uuid, ord int, shard smallint,
    xid text, log_id bigint, parked boolean, data text, state text)
language plpgsql security definer set search_path = '' set app.tenant_id = ''
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_job loyalty.job;
begin
    if not exists (select from loyalty.job j
                    where j.queue = any ('{parked,order}')
                      and j.state in ('available', 'scheduled', 'retryable')
                      and j.run_at <= clock_timestamp())
    then
        return;
    end if;
    perform pg_catalog.pg_advisory_xact_lock_shared(7404, 0);
    perform loyalty.refunds_look(p_worker, p_token);
    select j.* into v_job
      from loyalty.job j
     where j.queue = any ('{parked,order}')
       and j.state in ('available', 'scheduled', 'retryable')
       and j.run_at <= clock_timestamp()
       and coalesce((j.args->>'until')::timestamptz <= clock_timestamp(), true)
       and exists (select from loyalty.shard_lease s
                    where s.shard = (j.args->>'shard')::smallint and s.worker_id = p_worker
                      and s.token = p_token and s.expires_at > clock_timestamp())
     order by j.run_at, j.job_id
     limit 1
       for update skip locked;
    if not found then
        return;
    end if;
    perform set_config('app.tenant_id', v_job.tenant_id::text, true);
    return query
    select case when c.kind <> 'waiting' then c.kind
                when v_job.queue = 'order' then 'late' else 'retry' end,
           c.tenant_id, c.event_id, c.member_id, c.ord, c.shard, '0', v_job.job_id, false,
           c.data, c.state
      from loyalty.rules_tenant_context(v_job.tenant_id,
               array[(v_job.args->'events'->>0)::uuid],
               array(select e.member_id from loyalty.event e
                      where e.tenant_id = v_job.tenant_id
                        and e.event_id = (v_job.args->'events'->>0)::uuid), null,
               array[(v_job.args->>'shard')::smallint], array['0'::xid8], array[0::bigint]) c;
end $$;
comment on function work.rules_retry(uuid, bigint, smallint[]) is
    'an event that is due for another try';

-- The first event of a job is done: the next one is due, or the job is over. Writes: job.
create or replace function loyalty.rules_retry_done(p_job bigint) returns void
language plpgsql as $$
begin
    update loyalty.job j
       set args = jsonb_set(jsonb_set(j.args, '{events}', (j.args->'events') - 0),
                            '{since}', to_jsonb(clock_timestamp())),
           attempt = 0, run_at = clock_timestamp(), updated_at = clock_timestamp()
     where j.job_id = p_job;
    delete from loyalty.job j
     where j.job_id = p_job and jsonb_array_length(j.args->'events') = 0;
end $$;
comment on function loyalty.rules_retry_done(bigint) is 'takes one event off a job of the rules lane';

-- Another try failed: later again, or, p_quarantine_ms after the first failure, never: the event
-- is quarantined and those behind it go on. Writes: job, event_outcome.
create or replace function work.rules_retry_failed(p_job bigint, p_event uuid, p_code text,
    p_first_ms bigint, p_max_ms bigint, p_quarantine_ms bigint) returns text
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_job loyalty.job;
    v_ms numeric;
begin
    select j.* into v_job from loyalty.job j where j.job_id = p_job for update;
    if not found or v_job.args->'events'->>0 <> p_event::text then
        return 'gone';
    end if;
    if (v_job.args->>'since')::timestamptz + make_interval(secs => p_quarantine_ms / 1000.0)
       <= clock_timestamp()
    then
        update loyalty.event_outcome o
           set status = 'quarantined', processed_at = clock_timestamp(),
               detail = jsonb_build_object('code', p_code, 'attempts', v_job.attempt + 1)
         where o.tenant_id = v_job.tenant_id and o.event_id = p_event and o.status = 'waiting';
        perform loyalty.rules_retry_done(p_job);
        return 'quarantined';
    end if;
    v_ms := least(p_max_ms, p_first_ms * power(2::numeric, least(v_job.attempt, 30)));
    update loyalty.job j
       set attempt = j.attempt + 1, last_error = p_code, updated_at = clock_timestamp(),
           args = case when j.args ? 'since' then j.args
                       else jsonb_set(j.args, '{since}', to_jsonb(clock_timestamp())) end,
           run_at = clock_timestamp()
                    + make_interval(secs => (v_ms * (0.9 + 0.2 * random()::numeric))::float / 1000)
     where j.job_id = p_job;
    return 'retry';
end $$;
comment on function work.rules_retry_failed(bigint, uuid, text, bigint, bigint, bigint) is
    'another try of an event failed';
