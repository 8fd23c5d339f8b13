-- work.delivery_settle: writes down one attempt and decides what follows.
-- Nothing is written when the token is stale: another process owns it now.
-- p_status: the receiver's, 0 when none came; p_error: a constant text then.
-- p_retry_after: seconds the receiver asked for (429, 503), 0 for none; it is
-- kept between the schedule's delay and a day.
-- p_schedule: seconds before the 2nd, 3rd, … attempt; after the last the
-- delivery has failed. Each delay varies by up to a tenth, so that a receiver
-- that comes back is not met by everyone at once.
-- 2xx: delivered. 410: the endpoint is disabled at once. An endpoint that has
-- failed for five days without a success is disabled; both are told to the
-- tenant's other endpoints.
-- Returns: the delivery's status, or null for a stale token.
-- Locks: delivery → webhook_endpoint. Writes: delivery, delivery_attempt,
-- webhook_endpoint, outbox.
create or replace function work.delivery_settle(
    p_tenant uuid,
    p_delivery uuid,
    p_token bigint,
    p_status integer,
    p_ms bigint,
    p_error text,
    p_response text,
    p_retry_after bigint,
    p_schedule integer[]
)
returns text
language plpgsql volatile security definer
set search_path = ''
set app.tenant_id = ''
as $$
declare
    c_patience constant interval := interval '5 days';
    c_longest constant integer := 86400;
    v_now timestamptz := clock_timestamp();
    v_delivery loyalty.delivery;
    v_endpoint loyalty.webhook_endpoint;
    v_delay double precision;
    v_state text;
    v_disable boolean := false;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);

    select * into v_delivery
    from loyalty.delivery d
    where d.tenant_id = p_tenant and d.delivery_id = p_delivery
    for update;

    if not found or v_delivery.lease_token is distinct from p_token
        or v_delivery.lease_until is null
    then
        return null;
    end if;

    insert into loyalty.delivery_attempt (
        tenant_id, delivery_id, attempt, started_at, ms, status, error, response
    )
    values (
        p_tenant, p_delivery, v_delivery.attempt,
        v_now - make_interval(secs => p_ms / 1000.0), p_ms, nullif(p_status, 0),
        p_error, left(p_response, 4096)
    );

    if p_status between 200 and 299 then
        v_state := 'delivered';
        v_delay := null;

    elsif v_delivery.attempt > coalesce(cardinality(p_schedule), 0) or p_status = 410 then
        v_state := 'failed';
        v_delay := null;

    else
        v_state := 'retrying';
        v_delay := p_schedule[v_delivery.attempt];

        if p_status in (429, 503) and p_retry_after > v_delay then
            v_delay := least(p_retry_after, c_longest);
        end if;

        v_delay := v_delay * (1 + random() / 10);
    end if;

    update loyalty.delivery d
    set status = v_state,
        lease_until = null,
        next_at = v_now + make_interval(secs => coalesce(v_delay, 0))
    where d.tenant_id = p_tenant and d.delivery_id = p_delivery;

    select * into v_endpoint
    from loyalty.webhook_endpoint e
    where e.tenant_id = p_tenant and e.endpoint_id = v_delivery.endpoint_id
    for update;

    if not found or v_endpoint.status = 'disabled' then
        return v_state;
    end if;

    if v_state = 'delivered' then
        if v_endpoint.status <> 'active' or v_endpoint.fail_since is not null then
            update loyalty.webhook_endpoint e
            set status = 'active', fail_since = null
            where e.tenant_id = p_tenant and e.endpoint_id = v_endpoint.endpoint_id;
        end if;

        return v_state;
    end if;

    v_disable := p_status = 410 or v_endpoint.fail_since < v_now - c_patience;

    update loyalty.webhook_endpoint e
    set status = case when v_disable then 'disabled' else 'failing' end,
        fail_since = coalesce(e.fail_since, v_now)
    where e.tenant_id = p_tenant and e.endpoint_id = v_endpoint.endpoint_id;

    if v_disable or v_endpoint.status = 'active' then
        insert into loyalty.outbox (
            tenant_id, message_id, type, member_id, occurred_at, recorded_at, data
        )
        values (
            p_tenant, loyalty.uuid_v7(),
            case when v_disable then 'endpoint.disabled' else 'endpoint.failing' end,
            null, v_now, v_now,
            jsonb_build_object(
                'webhook_endpoint', loyalty.id_text('whe', v_endpoint.endpoint_id),
                'status', p_status,
                'error', p_error
            )
        );
    end if;

    return v_state;
end
$$;

comment on function work.delivery_settle(
    uuid, uuid, bigint, integer, bigint, text, text, bigint, integer[]
) is 'Writes down one attempt of a delivery and decides what follows.';
