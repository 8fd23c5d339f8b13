-- The chain of a balance: the hash of an entry covers the one before it and
-- the entry's fields in fixed width, integers big-endian; free text by digest.
-- common/ly_chain computes the same; t/vectors/chain.json holds both to it.
-- Refuses nothing, locks nothing, writes nothing.

-- what is hashed after the previous hash; inlined into its callers
create or replace function loyalty.entry_payload(p_tenant uuid, p_wallet uuid, p_member uuid,
    p_entry uuid, p_seq bigint, p_type smallint, p_points bigint, p_effective_at timestamptz,
    p_recorded_at timestamptz, p_available bigint, p_pending bigint, p_held bigint, p_debt bigint,
    p_event uuid, p_rule_version uuid, p_hold uuid, p_redemption uuid, p_reverses uuid,
    p_reason text) returns bytea
language sql stable parallel safe as
$$
select '\x01'::bytea || uuid_send(p_tenant) || uuid_send(p_wallet) || uuid_send(p_member)
    || uuid_send(p_entry) || int8send(p_seq) || int2send(p_type) || int8send(p_points)
    || int8send(loyalty.time_us(p_effective_at)) || int8send(loyalty.time_us(p_recorded_at))
    || int8send(p_available) || int8send(p_pending) || int8send(p_held) || int8send(p_debt)
    || coalesce(uuid_send(p_event), '\x00000000000000000000000000000000'::bytea)
    || coalesce(uuid_send(p_rule_version), '\x00000000000000000000000000000000'::bytea)
    || coalesce(uuid_send(p_hold), '\x00000000000000000000000000000000'::bytea)
    || coalesce(uuid_send(p_redemption), '\x00000000000000000000000000000000'::bytea)
    || coalesce(uuid_send(p_reverses), '\x00000000000000000000000000000000'::bytea)
    || coalesce(sha256(convert_to(p_reason, 'UTF8')),
                '\x0000000000000000000000000000000000000000000000000000000000000000'::bytea)
$$;
comment on function loyalty.entry_payload(uuid, uuid, uuid, uuid, bigint, smallint, bigint,
    timestamptz, timestamptz, bigint, bigint, bigint, bigint, uuid, uuid, uuid, uuid, uuid, text) is
    'bytes of an entry under its hash, hash_version 1';

create or replace function loyalty.chain_step(p_state bytea, p_head bytea, p_payload bytea)
returns bytea
language plpgsql immutable parallel safe as
$$
begin
    return sha256(coalesce(p_state, p_head) || p_payload);
end
$$;
comment on function loyalty.chain_step(bytea, bytea, bytea) is
    'one link; state is null at the head';

-- running hash of a window of entries of one balance, from its head
create or replace aggregate loyalty.chain(bytea, bytea) (sfunc = loyalty.chain_step, stype = bytea);
comment on aggregate loyalty.chain(bytea, bytea) is 'hash of a run of entries after a head';
