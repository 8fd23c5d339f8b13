-- The change log, which caches follow, and the outbox, which webhooks follow.
-- Refuses nothing, locks nothing.  Writes: change; outbox.

create or replace function loyalty.change_add(p_tenant uuid, p_kind text, p_ref text) returns void
language plpgsql as
$$
begin
    insert into loyalty.change (tenant_id, kind, ref) values (p_tenant, p_kind, p_ref);
end
$$;
comment on function loyalty.change_add(uuid, text, text) is
    'caches that hold this must forget it when the transaction commits';

create or replace function loyalty.has_endpoint(p_tenant uuid) returns boolean
language plpgsql stable as
$$
begin
    return exists (select from loyalty.webhook_endpoint e
                    where e.tenant_id = p_tenant and e.status <> 'disabled');
end
$$;
comment on function loyalty.has_endpoint(uuid) is
    'whether outbox rows of this tenant have a reader';

create or replace function loyalty.outbox_add(p_tenant uuid, p_type text, p_member uuid,
    p_occurred_at timestamptz, p_data jsonb) returns void
language plpgsql as
$$
begin
    if loyalty.has_endpoint(p_tenant) then
        insert into loyalty.outbox (tenant_id, message_id, type, member_id, occurred_at, data)
        values (p_tenant, loyalty.uuid_v7(), p_type, p_member, p_occurred_at, p_data);
    end if;
end
$$;
comment on function loyalty.outbox_add(uuid, text, uuid, timestamptz, jsonb) is
    'a message for the tenant''s endpoints, if it has any; ids and points only';
