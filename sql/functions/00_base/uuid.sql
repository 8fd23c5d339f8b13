-- Ids: UUIDv7 (RFC 9562) whose 12 bits after the milliseconds hold the
-- fraction of the millisecond (method 3), so that ids made from strictly
-- increasing microseconds increase too.
-- Refuses nothing, locks nothing, writes nothing.

-- µs since 1970-01-01 UTC, without a detour over numeric; infinity has none
-- stable like timestamptz_send, without which it would not be inlined
create or replace function loyalty.time_us(p_at timestamptz) returns bigint
language sql stable parallel safe
return case when isfinite(p_at)
    then ('x' || encode(timestamptz_send(p_at), 'hex'))::bit(64)::bigint + 946684800000000 end;
comment on function loyalty.time_us(timestamptz) is
    'microseconds since the epoch; null for infinity';

create or replace function loyalty.us_time(p_us bigint) returns timestamptz
language sql immutable parallel safe
return timestamptz '1970-01-01 00:00:00+00'
    + (p_us / 1000000) * interval '1 second' + (p_us % 1000000) * interval '1 microsecond';
comment on function loyalty.us_time(bigint) is 'instant of microseconds since the epoch';

create or replace function loyalty.uuid_v7_at(p_at timestamptz) returns uuid
language plpgsql volatile parallel safe as
$$
declare
    v_us bigint := ('x' || encode(timestamptz_send(p_at), 'hex'))::bit(64)::bigint
                   + 946684800000000;
begin
    return encode(
        substr(int8send(v_us / 1000), 3)
        || int2send((28672 + ((v_us % 1000) * 4096) / 1000)::int2)
        || substr(uuid_send(gen_random_uuid()), 9), 'hex')::uuid;
end
$$;
comment on function loyalty.uuid_v7_at(timestamptz) is 'a new UUIDv7 of that instant';

create or replace function loyalty.uuid_v7() returns uuid
language plpgsql volatile parallel safe as
$$
declare
    v_us bigint := ('x' || encode(timestamptz_send(clock_timestamp()), 'hex'))::bit(64)::bigint
                   + 946684800000000;
begin
    return encode(
        substr(int8send(v_us / 1000), 3)
        || int2send((28672 + ((v_us % 1000) * 4096) / 1000)::int2)
        || substr(uuid_send(gen_random_uuid()), 9), 'hex')::uuid;
end
$$;
comment on function loyalty.uuid_v7() is 'a new UUIDv7 of now';

-- the lowest UUIDv7 of an instant: bound of partitions and of searches by time
create or replace function loyalty.uuid_floor(p_at timestamptz) returns uuid
language plpgsql immutable parallel safe as
$$
begin
    return encode(substr(int8send((extract(epoch from p_at) * 1000)::bigint), 3)
                  || '\x00000000000000000000'::bytea, 'hex')::uuid;
end
$$;
comment on function loyalty.uuid_floor(timestamptz) is 'lowest uuid of an instant, in milliseconds';
