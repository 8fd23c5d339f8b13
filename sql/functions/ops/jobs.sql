-- Jobs as the command line sees them. Writes: job.

create or replace function ops.jobs_list(p_tenant uuid, p_queue text, p_state text, p_limit int)
returns setof jsonb
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
begin
    return query
    select jsonb_build_object('id', j.job_id, 'tenant', t.slug, 'queue', j.queue,
               'kind', j.kind, 'state', j.state, 'priority', j.priority, 'run_at', j.run_at,
               'attempt', j.attempt, 'max_attempts', j.max_attempts,
               'last_error', j.last_error)
      from loyalty.job j
      left join loyalty.tenant t on t.tenant_id = j.tenant_id
     where (p_tenant is null or j.tenant_id = p_tenant)
       and (p_queue is null or j.queue = p_queue)
       and (p_state is null or j.state = p_state)
     order by j.job_id desc
     limit least(coalesce(p_limit, 100), 1000);
end $$;
comment on function ops.jobs_list(uuid, text, text, int) is 'jobs, newest first';

-- discarded, cancelled and retryable jobs become available now; false for any other
create or replace function ops.jobs_retry(p_job bigint) returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    update loyalty.job j
       set state = 'available', run_at = clock_timestamp(),
           max_attempts = greatest(j.max_attempts, j.attempt + 1)
     where j.job_id = p_job and j.state in ('discarded', 'cancelled', 'retryable', 'scheduled');
    return found;
end $$;
comment on function ops.jobs_retry(bigint) is 'makes a job available now';

-- a job that has not begun is cancelled; a running one finishes. False when it was too late.
create or replace function ops.jobs_cancel(p_job bigint) returns boolean
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    update loyalty.job j
       set state = 'cancelled'
     where j.job_id = p_job and j.state in ('available', 'scheduled', 'retryable');
    return found;
end $$;
comment on function ops.jobs_cancel(bigint) is 'cancels a job that has not begun';
