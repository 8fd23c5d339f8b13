-- Times.  Business time is the clock plus the tenant's offset (the test clock
-- of sandbox tenants) and is read here alone; recorded_at, leases, tokens and
-- limits use real time.
-- Refuses nothing, locks nothing, writes nothing.

create or replace function loyalty.tenant_now(p_tenant uuid) returns timestamptz
language plpgsql stable as
$$
declare
    v_offset interval;
begin
    select t.clock_offset into v_offset from loyalty.tenant t where t.tenant_id = p_tenant;
    return clock_timestamp() + coalesce(v_offset, interval '0');
end
$$;
comment on function loyalty.tenant_now(uuid) is 'business time of a tenant';

-- RFC 3339, UTC, microseconds; null for null and infinity
create or replace function loyalty.time_text(p_at timestamptz) returns text
language plpgsql stable parallel safe as
$$
begin
    if p_at is null or not isfinite(p_at) then
        return null;
    end if;
    return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
end
$$;
comment on function loyalty.time_text(timestamptz) is 'RFC 3339 in UTC with microseconds';
