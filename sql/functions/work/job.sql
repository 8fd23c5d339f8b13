-- Jobs with leases: claimed by one process, finished only under the token they were claimed with.
-- The queues 'parked' and 'order' belong to the rules lane and are never claimed here.

-- Locks: job, skipping what others hold. Writes: job, job_attempt.
create or replace function work.job_claim(p_worker uuid, p_queue text, p_limit int)
returns table (job_id bigint, tenant_id uuid, kind text, args text, attempt int,
    max_attempts int, lease_token bigint)
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
#variable_conflict use_column
begin
    return query
    with taken as (
        update loyalty.job j
           set state = 'running', attempt = j.attempt + 1, worker_id = p_worker,
               lease_token = coalesce(j.lease_token, 0) + 1, updated_at = clock_timestamp()
         where j.job_id = any (array(
                select c.job_id from loyalty.job c
                 where c.queue = p_queue and c.queue <> all ('{parked,order}')
                   and c.state in ('available', 'scheduled', 'retryable')
                   and c.run_at <= clock_timestamp()
                 order by c.priority, c.run_at, c.job_id
                 limit p_limit
                   for update skip locked))
        returning j.job_id, j.tenant_id, j.kind, j.args, j.attempt, j.max_attempts,
                  j.lease_token),
    tried as (
        insert into loyalty.job_attempt (job_id, attempt, tenant_id, worker_id, started_at)
        select t.job_id, t.attempt, t.tenant_id, p_worker, clock_timestamp() from taken t
        on conflict (job_id, attempt) do update set worker_id = excluded.worker_id,
               started_at = excluded.started_at, finished_at = null, outcome = null)
    select t.job_id, t.tenant_id, t.kind, t.args::text, t.attempt, t.max_attempts,
           t.lease_token
      from taken t order by t.job_id;
end $$;
comment on function work.job_claim(uuid, text, int) is 'leases jobs that are due';

create or replace function loyalty.job_end(p_job bigint, p_token bigint, p_state text,
    p_run_at timestamptz, p_outcome text, p_error text) returns boolean
language plpgsql as $$
declare
    v_attempt int;
begin
    update loyalty.job j
       set state = p_state, run_at = coalesce(p_run_at, j.run_at), last_error = p_error,
           worker_id = null, updated_at = clock_timestamp(),
           finished_at = case when p_state in ('completed', 'cancelled', 'discarded')
                              then clock_timestamp() end
     where j.job_id = p_job and j.lease_token = p_token and j.state = 'running'
    returning j.attempt into v_attempt;
    if not found then
        return false;
    end if;
    update loyalty.job_attempt a
       set finished_at = clock_timestamp(), outcome = p_outcome, error = p_error
     where a.job_id = p_job and a.attempt = v_attempt;
    return true;
end $$;
comment on function loyalty.job_end(bigint, bigint, text, timestamptz, text, text) is
    'ends an attempt at a job, if the lease is still the caller''s';

-- false: the lease was another's by then, and nothing was changed
create or replace function work.job_finish(p_job bigint, p_token bigint) returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    return loyalty.job_end(p_job, p_token, 'completed', null, 'completed', null);
end $$;
comment on function work.job_finish(bigint, bigint) is 'a job is done';

-- Later again, after 15 s doubled by attempt up to an hour, with a tenth of chance; discarded
-- after max_attempts.
create or replace function work.job_retry(p_job bigint, p_token bigint, p_error text)
returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_job loyalty.job;
begin
    select j.* into v_job from loyalty.job j where j.job_id = p_job for update;
    if v_job.attempt >= v_job.max_attempts then
        return loyalty.job_end(p_job, p_token, 'discarded', null, 'failed', p_error);
    end if;
    return loyalty.job_end(p_job, p_token, 'retryable',
        clock_timestamp() + least(3600, 15 * power(2, least(v_job.attempt, 20) - 1))
            * (0.95 + 0.1 * random()) * interval '1 second', 'failed', p_error);
end $$;
comment on function work.job_retry(bigint, bigint, text) is 'a job failed for a passing reason';

create or replace function work.job_bury(p_job bigint, p_token bigint, p_error text)
returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    return loyalty.job_end(p_job, p_token, 'discarded', null, 'failed', p_error);
end $$;
comment on function work.job_bury(bigint, bigint, text) is 'a job can never succeed';

-- What a dead worker, or this one at its end, had leased is free; the attempt does not count
-- against the job. Writes: job.
create or replace function work.jobs_release(p_worker uuid) returns int
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_n int;
begin
    update loyalty.job j
       set state = 'retryable', worker_id = null, run_at = clock_timestamp(),
           lease_token = j.lease_token + 1, updated_at = clock_timestamp(),
           max_attempts = j.max_attempts + 1
     where j.worker_id = p_worker and j.state = 'running';
    get diagnostics v_n = row_count;
    return v_n;
end $$;
comment on function work.jobs_release(uuid) is 'frees the jobs of a worker process';

-- Leases older than p_lease_ms: their process lives but does not answer. Writes: job.
create or replace function work.jobs_expire(p_lease_ms bigint) returns int
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_n int;
begin
    update loyalty.job j
       set state = 'retryable', worker_id = null, run_at = clock_timestamp(),
           lease_token = j.lease_token + 1, updated_at = clock_timestamp()
     where j.job_id = any (array(
            select c.job_id from loyalty.job c
             where c.state = 'running'
               and c.updated_at < clock_timestamp() - make_interval(secs => p_lease_ms / 1000.0)
               for update skip locked));
    get diagnostics v_n = row_count;
    return v_n;
end $$;
comment on function work.jobs_expire(bigint) is 'frees jobs whose lease ran out';
