-- work.fanout: turns outbox rows into one delivery per endpoint that wants
-- them and gives each delivery its place in the endpoint's sequence.
-- There is one owner at a time (advisory lock 7310/1); without it returns 0.
-- The sequence moves in the owner's own commit, never in a booking's, and has
-- no gaps: a row that goes away with a rollback takes its number with it.
-- The body is stored as the exact bytes that every attempt signs and sends.
-- A message whose data names an endpoint (a test) goes to that one alone.
-- Returns: how many outbox rows were taken.
-- Locks: advisory 7310/1 (nobody else deletes outbox rows) → webhook_endpoint.
-- Writes: outbox (delete), delivery, webhook_endpoint.
create or replace function work.fanout(p_limit integer)
returns integer
language plpgsql volatile security definer
set search_path = ''
set app.tenant_id = ''
as $$
declare
    v_taken integer;
begin
    if not pg_catalog.pg_try_advisory_xact_lock(7310, 1) then
        return 0;
    end if;

    with picked as materialized (
        select o.tenant_id, o.message_id
        from loyalty.outbox o
        order by o.message_id
        limit p_limit
    ),
    taken as materialized (
        delete from loyalty.outbox o
        using picked p
        where o.tenant_id = p.tenant_id and o.message_id = p.message_id
        returning o.tenant_id, o.message_id, o.type, o.occurred_at, o.recorded_at, o.data
    ),
    pairs as materialized (
        select
            t.*, e.endpoint_id, e.api_version,
            e.sequence + row_number() over (
                partition by e.tenant_id, e.endpoint_id order by t.message_id
            ) as place
        from taken t
        join loyalty.webhook_endpoint e on e.tenant_id = t.tenant_id
        where e.status <> 'disabled'
            -- that an endpoint fails is told to the others
            and t.data ->> 'webhook_endpoint'
                is distinct from loyalty.id_text('whe', e.endpoint_id)
            and case
                when t.data ? 'endpoint' and t.type = 'endpoint.test'
                then t.data ->> 'endpoint' = loyalty.id_text('whe', e.endpoint_id)
                else loyalty.webhook_type_matches(e.event_types, t.type)
            end
    ),
    made as (
        insert into loyalty.delivery (
            tenant_id, delivery_id, endpoint_id, message_id, sequence, status,
            attempt, next_at, body
        )
        select
            p.tenant_id, loyalty.uuid_v7(), p.endpoint_id, p.message_id, p.place, 'queued',
            0, clock_timestamp(),
            json_build_object(
                'id', loyalty.id_text('msg', p.message_id),
                'type', p.type,
                'tenant', loyalty.id_text('ten', p.tenant_id),
                'sequence', p.place,
                'occurred_at', loyalty.time_text(p.occurred_at),
                'recorded_at', loyalty.time_text(p.recorded_at),
                'api_version', p.api_version,
                'data', p.data - 'previous',
                'previous', p.data -> 'previous'
            )::text
        from pairs p
    ),
    moved as (
        update loyalty.webhook_endpoint e
        set sequence = m.place
        from (
            select p.tenant_id, p.endpoint_id, max(p.place) as place
            from pairs p
            group by p.tenant_id, p.endpoint_id
        ) m
        where e.tenant_id = m.tenant_id and e.endpoint_id = m.endpoint_id
    )
    select count(*) into v_taken from taken;

    return v_taken;
end
$$;

comment on function work.fanout(integer) is
    'Outbox rows to deliveries, with a sequence per endpoint without gaps.';
