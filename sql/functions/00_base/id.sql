-- Ids as text: prefix, '_', 26 lower-case Crockford base32 characters of the
-- 128 bits.  Unrolled: called for every id of every answer.
-- Refuses nothing (a malformed id gives null), locks nothing, writes nothing.

create or replace function loyalty.id_text(p_prefix text, p_id uuid) returns text
language plpgsql immutable parallel safe as
$$
declare
    v_hex   constant text := encode(uuid_send(p_id), 'hex');
    v_hi    constant bigint := ('x' || left(v_hex, 16))::bit(64)::bigint;
    v_lo    constant bigint := ('x' || right(v_hex, 16))::bit(64)::bigint;
    v_abc   constant bytea := '0123456789abcdefghjkmnpqrstvwxyz';
begin
    return p_prefix || '_'
        || chr(get_byte(v_abc, ((v_hi >> 61) & 7)::int))
        || chr(get_byte(v_abc, ((v_hi >> 56) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 51) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 46) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 41) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 36) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 31) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 26) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 21) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 16) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 11) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 6) & 31)::int))
        || chr(get_byte(v_abc, ((v_hi >> 1) & 31)::int))
        || chr(get_byte(v_abc, (((v_hi & 1) << 4) | ((v_lo >> 60) & 15))::int))
        || chr(get_byte(v_abc, ((v_lo >> 55) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 50) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 45) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 40) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 35) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 30) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 25) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 20) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 15) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 10) & 31)::int))
        || chr(get_byte(v_abc, ((v_lo >> 5) & 31)::int))
        || chr(get_byte(v_abc, (v_lo & 31)::int));
end
$$;
comment on function loyalty.id_text(text, uuid) is 'prefixed base32 form of an id; null for null';

create or replace function loyalty.id_uuid(p_prefix text, p_text text) returns uuid
language plpgsql immutable parallel safe as
$$
declare
    v_abc   constant text := '0123456789abcdefghjkmnpqrstvwxyz';
    v_body  text;
    v_hi    bigint := 0;
    v_lo    bigint := 0;
    v_five  int;
begin
    if p_text is null or left(p_text, length(p_prefix) + 1) <> p_prefix || '_' then
        return null;
    end if;
    v_body := substr(p_text, length(p_prefix) + 2);
    if v_body !~ '^[0-7][0-9a-hjkmnp-tv-z]{25}$' then
        return null;
    end if;
    for i in 1 .. 13 loop
        v_hi := (v_hi << 5) | (strpos(v_abc, substr(v_body, i, 1)) - 1);
    end loop;
    -- character 14 holds the last bit of the first half
    v_five := strpos(v_abc, substr(v_body, 14, 1)) - 1;
    v_hi := (v_hi << 1) | (v_five >> 4);
    v_lo := v_five & 15;
    for i in 15 .. 26 loop
        v_lo := (v_lo << 5) | (strpos(v_abc, substr(v_body, i, 1)) - 1);
    end loop;
    return encode(int8send(v_hi) || int8send(v_lo), 'hex')::uuid;
end
$$;
comment on function loyalty.id_uuid(text, text) is
    'the uuid of an id with this prefix; null if it is not one, strictly';

-- virtual shard of the rules lane
create or replace function loyalty.shard_of(p_id uuid) returns smallint
language sql immutable parallel safe
return get_byte(uuid_send(p_id), 15)::smallint;
comment on function loyalty.shard_of(uuid) is 'shard (0..255) of a member: its last byte';
