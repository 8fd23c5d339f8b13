-- work.delivery_claim: leases deliveries whose time has come and gives all
-- that an attempt needs. A delivery whose lease ran out (its process died) is
-- given again under a new token: the receiver may see it twice with the same
-- webhook-id, and the stale process's settle is refused.
-- p_lease: how long an attempt may take, real time.
-- Returns: at most p_limit rows; secrets are the endpoint's live ones, newest
-- first, each [wrapped key, sealed secret] (field "secret", object endpoint).
-- Locks: delivery rows, skipping locked ones. Writes: delivery.
create or replace function work.delivery_claim(p_limit integer, p_lease interval)
returns table (
    tenant_id uuid,
    delivery_id uuid,
    endpoint_id uuid,
    message_id text,
    attempt integer,
    lease_token bigint,
    url text,
    body text,
    tenant_key text,
    secrets jsonb
)
language plpgsql volatile security definer
set search_path = ''
set app.tenant_id = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock_timestamp();
begin
    return query
    with picked as materialized (
        select d.tenant_id, d.delivery_id
        from loyalty.delivery d
        join loyalty.webhook_endpoint e
            on e.tenant_id = d.tenant_id and e.endpoint_id = d.endpoint_id
        where d.status in ('queued', 'retrying')
            and d.next_at <= v_now
            and (d.lease_until is null or d.lease_until < v_now)
            and e.status <> 'disabled'
        order by d.next_at, d.delivery_id
        limit p_limit
        for update of d skip locked
    ),
    leased as (
        update loyalty.delivery d
        set attempt = d.attempt + 1,
            lease_token = coalesce(d.lease_token, 0) + 1,
            lease_until = v_now + p_lease
        from picked p
        where d.tenant_id = p.tenant_id and d.delivery_id = p.delivery_id
        returning d.*
    )
    select
        l.tenant_id, l.delivery_id, l.endpoint_id,
        loyalty.id_text('msg', l.message_id),
        l.attempt::integer, l.lease_token, e.url, l.body,
        replace(encode(t.wrapped_key, 'base64'), E'\n', ''),
        (
            select coalesce(jsonb_agg(jsonb_build_array(
                       replace(encode(s.wrapped, 'base64'), E'\n', ''), s.sealed)
                       order by s.number desc), '[]'::jsonb)
            from loyalty.endpoint_secret s
            where s.tenant_id = l.tenant_id
                and s.endpoint_id = l.endpoint_id
                and (s.not_after is null or s.not_after > v_now)
        )
    from leased l
    join loyalty.webhook_endpoint e
        on e.tenant_id = l.tenant_id and e.endpoint_id = l.endpoint_id
    join loyalty.tenant t on t.tenant_id = l.tenant_id;
end
$$;

comment on function work.delivery_claim(integer, interval) is
    'Leases due deliveries with their endpoint, body and sealed secrets.';
