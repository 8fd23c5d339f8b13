-- GET /members/{member}/entries, /entries/{entry}, /entries/{entry}/trace.
-- Refuses: 404 member.not_found, entry.not_found, trace.not_found;
-- 409 member.ambiguous.
-- Locks nothing, writes nothing.

-- newest first; the cursor names the last entry given
create or replace function api.entry_list(p_tenant uuid, p_call jsonb, p_member text,
    p_wallet text, p_type text, p_limit text, p_cursor text default null) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_limit     constant int := loyalty.list_limit(p_limit);
    v_before    uuid := coalesce((p_call #>> '{cursor,id}')::uuid,
                                 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    v_type      smallint;
    v_found     record;
    v_row       loyalty.entry;
    v_ids       uuid[] := '{}';
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select * into v_found from loyalty.member_find(p_tenant, p_member);
    if v_found.code is not null then
        return loyalty.problem(p_call,
            case v_found.code when 'member.ambiguous' then 409 else 404 end, v_found.code);
    end if;
    if p_type is not null then
        select g into v_type from generate_series(1, 16) g
         where loyalty.entry_type_text(g::smallint) = p_type;
        v_type := coalesce(v_type, 0);
    end if;
    for v_row in
        select e.* from loyalty.entry e
         where e.tenant_id = p_tenant and e.member_id = v_found.member_id
           and e.entry_id < v_before
           and (v_type is null or e.type = v_type)
           and (p_wallet is null or e.wallet_id = (select w.wallet_id from loyalty.wallet w
                                                    where w.tenant_id = p_tenant
                                                      and w.code = p_wallet))
         order by e.entry_id desc
         limit v_limit + 1
    loop
        v_ids := v_ids || v_row.entry_id;
    end loop;
    if cardinality(v_ids) > v_limit then
        return loyalty.list_answer(p_call,
            loyalty.entries_text(p_tenant, p_call, v_ids[1:v_limit]),
            jsonb_build_object('id', v_ids[v_limit]));
    end if;
    return loyalty.list_answer(p_call, loyalty.entries_text(p_tenant, p_call, v_ids), null);
end
$$;
comment on function api.entry_list(uuid, jsonb, text, text, text, text, text) is
    'the ledger entries of a member';

create or replace function api.entry_get(p_tenant uuid, p_call jsonb, p_entry text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_id uuid := loyalty.id_uuid('ent', p_entry);
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    if not exists (select from loyalty.entry e
                    where e.tenant_id = p_tenant and e.entry_id = v_id)
    then
        return loyalty.problem(p_call, 404, 'entry.not_found');
    end if;
    return loyalty.answer(200, (loyalty.entries_text(p_tenant, p_call, array[v_id]))[1]::text);
end
$$;
comment on function api.entry_get(uuid, jsonb, text) is 'one ledger entry';

-- the stored trace, byte for byte, of the entry or of the one it matured from
create or replace function api.entry_trace(p_tenant uuid, p_call jsonb, p_entry text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_id    uuid := loyalty.id_uuid('ent', p_entry);
    v_row   record;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    if not exists (select from loyalty.entry e
                    where e.tenant_id = p_tenant and e.entry_id = v_id)
    then
        return loyalty.problem(p_call, 404, 'entry.not_found');
    end if;
    select x.event_id, x.rule_version_id, x.outcome, x.points, x.points_raw, x.clipped_by, x.trace,
           v.number, v.rule_id, encode(v.checksum, 'hex') as checksum,
           encode(v.catalogue_digest, 'hex') as catalogue
      into v_row
      from loyalty.entry e
      -- a rule that gives into several wallets has an entry for each, and one trace
      join loyalty.evaluation x on x.tenant_id = e.tenant_id and x.event_id = e.event_id
                               and x.rule_version_id = e.rule_version_id
      join loyalty.rule_version v on v.tenant_id = x.tenant_id
                                 and v.rule_version_id = x.rule_version_id
     where e.tenant_id = p_tenant and e.entry_id = v_id and e.type in (1, 2);
    if not found then
        return loyalty.problem(p_call, 404, 'trace.not_found');
    end if;
    return loyalty.answer(200, json_build_object('object', 'trace', 'entry', p_entry,
        'event', loyalty.id_text('evt', v_row.event_id),
        'rule', loyalty.id_text('rul', v_row.rule_id), 'rule_version', v_row.number,
        'rule_version_id', loyalty.id_text('rlv', v_row.rule_version_id),
        'checksum', v_row.checksum, 'catalogue', v_row.catalogue, 'outcome', v_row.outcome,
        'points', v_row.points, 'points_raw', v_row.points_raw, 'clipped_by', v_row.clipped_by,
        'trace', v_row.trace::json)::text);
end
$$;
comment on function api.entry_trace(uuid, jsonb, text) is 'why an entry is there';
