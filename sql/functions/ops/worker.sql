-- Whether a worker has been seen within ten seconds. Reads: worker. Writes nothing.

create or replace function ops.worker_alive() returns boolean
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
begin
    return exists (select from loyalty.worker w
                    where w.beat_at > clock_timestamp() - interval '10 seconds');
end $$;
comment on function ops.worker_alive() is 'whether a worker has been seen within ten seconds';
