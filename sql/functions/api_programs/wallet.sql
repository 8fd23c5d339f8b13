-- POST /programs/{id}/wallets, GET and PATCH /programs/{id}/wallets/{wid}.
-- A wallet's code, scale and place are given once: entries and the edge's cache rest on them.
-- Refuses: 404 program.not_found, wallet.not_found, 428 and 412 (If-Match), 422 with every fault,
-- 409 wallet.code_taken, 422 wallet.too_many over 64 wallets.
-- Locks: idempotency key → tenant (a new wallet takes the next place) → wallet.
-- Writes: wallet, tenant (generation, for cached balances lack the new wallet), change.

create or replace function loyalty.wallet_text(p_row loyalty.wallet) returns text
language plpgsql stable as $$
begin
    return json_build_object('object', 'wallet', 'id', loyalty.id_text('wal', p_row.wallet_id),
        'program', loyalty.id_text('prg', p_row.program_id), 'code', p_row.code,
        'unit', json_build_object('one', p_row.unit_one, 'many', p_row.unit_many),
        'scale', p_row.scale,
        'pending', json_build_object('policy', p_row.pending_policy,
            'days', p_row.pending_days, 'event', p_row.pending_event),
        'expiry', json_build_object('policy', p_row.expiry_policy, 'days', p_row.expiry_days,
            'month', p_row.expiry_month),
        'metadata', p_row.metadata, 'version', p_row.version,
        'created_at', loyalty.time_text(p_row.created_at),
        'updated_at', loyalty.time_text(p_row.updated_at))::text;
end $$;
comment on function loyalty.wallet_text(loyalty.wallet) is 'a wallet as JSON';

-- what a policy needs beside its name
create or replace function loyalty.wallet_faults(p_row loyalty.wallet) returns jsonb
language plpgsql stable as $$
declare
    v_errors jsonb := jsonb '[]';
begin
    if p_row.pending_policy = 'after' and p_row.pending_days is null then
        v_errors := v_errors || jsonb_build_object('pointer', '/pending/days',
            'code', 'value.required', 'detail', 'Days until points mature.');
    end if;
    if p_row.pending_policy = 'on_event' and p_row.pending_event is null then
        v_errors := v_errors || jsonb_build_object('pointer', '/pending/event',
            'code', 'value.required', 'detail', 'The event type that makes points mature.');
    end if;
    if p_row.expiry_policy in ('rolling', 'inactivity') and p_row.expiry_days is null then
        v_errors := v_errors || jsonb_build_object('pointer', '/expiry/days',
            'code', 'value.required', 'detail', 'Days until points expire.');
    end if;
    if p_row.expiry_policy = 'calendar' and p_row.expiry_month is null then
        v_errors := v_errors || jsonb_build_object('pointer', '/expiry/month',
            'code', 'value.required', 'detail', 'The month at whose end points expire.');
    end if;
    return v_errors;
end $$;
comment on function loyalty.wallet_faults(loyalty.wallet) is 'faults of a wallet''s policies';

-- p_row with the members of p_body that a wallet may change; a policy is replaced as a whole
create or replace function loyalty.wallet_merge(p_row loyalty.wallet, p_body jsonb)
returns loyalty.wallet
language plpgsql stable as $$
begin
    p_row.unit_one := coalesce(p_body#>>'{unit,one}', p_row.unit_one);
    p_row.unit_many := coalesce(p_body#>>'{unit,many}', p_row.unit_many);
    if p_body ? 'pending' then
        p_row.pending_policy := p_body#>>'{pending,policy}';
        p_row.pending_days := (p_body#>>'{pending,days}')::int;
        p_row.pending_event := p_body#>>'{pending,event}';
    end if;
    if p_body ? 'expiry' then
        p_row.expiry_policy := p_body#>>'{expiry,policy}';
        p_row.expiry_days := (p_body#>>'{expiry,days}')::int;
        p_row.expiry_month := (p_body#>>'{expiry,month}')::smallint;
    end if;
    p_row.metadata := coalesce(nullif(p_body->'metadata', 'null'), p_row.metadata);
    return p_row;
end $$;
comment on function loyalty.wallet_merge(loyalty.wallet, jsonb) is
    'a wallet with the members of a body';

create or replace function api.wallet_create(p_tenant uuid, p_call jsonb, p_id text,
    p_body jsonb) returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.wallet;
    v_errors jsonb;
    v_program uuid := loyalty.id_uuid('prg', p_id);
    v_code text := p_body->>'code';
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'wallet_create');
    if v_answer.status is not null then
        return v_answer;
    end if;
    perform from loyalty.tenant t where t.tenant_id = p_tenant for no key update;
    if not exists (select from loyalty.program p
                    where p.tenant_id = p_tenant and p.program_id = v_program) then
        return loyalty.idempotency_end(p_tenant, p_call, 'wallet_create',
            loyalty.problem(p_call, 404, 'program.not_found'));
    end if;
    v_row.tenant_id := p_tenant;
    v_row.wallet_id := coalesce((p_call#>>'{minted,id}')::uuid, loyalty.uuid_v7());
    v_row.program_id := v_program;
    v_row.code := v_code;
    v_row.unit_one := 'point';
    v_row.unit_many := 'points';
    v_row.scale := coalesce((p_body->>'scale')::smallint, 0);
    v_row.pending_policy := 'immediate';
    v_row.expiry_policy := 'none';
    v_row.limits := '{}';
    v_row.metadata := '{}';
    v_row.version := 1;
    v_row.created_at := clock_timestamp();
    v_row.updated_at := v_row.created_at;
    v_row := loyalty.wallet_merge(v_row, p_body);
    v_errors := loyalty.wallet_faults(v_row);
    select coalesce(max(w.ordinal) + 1, 0)
      into v_row.ordinal
      from loyalty.wallet w
     where w.tenant_id = p_tenant;
    if v_errors <> '[]' then
        v_answer := loyalty.problem(p_call, 422, 'value.invalid', null, v_errors);
    elsif exists (select from loyalty.wallet w
                   where w.tenant_id = p_tenant and w.code = v_code) then
        v_answer := loyalty.problem(p_call, 409, 'wallet.code_taken');
    elsif v_row.ordinal >= 64 then
        v_answer := loyalty.problem(p_call, 422, 'wallet.too_many',
            'A tenant has at most 64 wallets.');
    else
        insert into loyalty.wallet select v_row.*;
        update loyalty.tenant as t
           set generation = t.generation + 1, updated_at = clock_timestamp()
         where t.tenant_id = p_tenant;
        perform loyalty.change_add(p_tenant, 'wallet', v_row.wallet_id::text);
        perform loyalty.change_add(p_tenant, 'tenant', p_tenant::text);
        v_answer := loyalty.answer(201, loyalty.wallet_text(v_row),
            'Location: /v1/programs/' || loyalty.id_text('prg', v_program) || '/wallets/'
                || loyalty.id_text('wal', v_row.wallet_id) || E'\n'
                || loyalty.etag_line(v_row.version), '[{"k":"directory"}]');
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'wallet_create', v_answer);
end $$;
comment on function api.wallet_create(uuid, jsonb, text, jsonb) is
    'POST /programs/{program}/wallets';

create or replace function api.wallet_update(p_tenant uuid, p_call jsonb, p_id text, p_wid text,
    p_body jsonb) returns api.answer
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_answer api.answer;
    v_row loyalty.wallet;
    v_errors jsonb;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_answer := loyalty.idempotency_begin(p_tenant, p_call, 'wallet_update');
    if v_answer.status is not null then
        return v_answer;
    end if;
    select w.* into v_row
      from loyalty.wallet w
     where w.tenant_id = p_tenant and w.wallet_id = loyalty.id_uuid('wal', p_wid)
       and w.program_id = loyalty.id_uuid('prg', p_id)
       for update;
    if not found then
        v_answer := loyalty.problem(p_call, 404, 'wallet.not_found');
    else
        v_answer := loyalty.if_match(p_call, v_row.version);
    end if;
    if v_answer.status is null then
        v_row := loyalty.wallet_merge(v_row, p_body);
        v_errors := loyalty.wallet_faults(v_row);
        if v_errors <> '[]' then
            v_answer := loyalty.problem(p_call, 422, 'value.invalid', null, v_errors);
        end if;
    end if;
    if v_answer.status is null then
        update loyalty.wallet as w
           set unit_one = v_row.unit_one, unit_many = v_row.unit_many,
               pending_policy = v_row.pending_policy, pending_days = v_row.pending_days,
               pending_event = v_row.pending_event, expiry_policy = v_row.expiry_policy,
               expiry_days = v_row.expiry_days, expiry_month = v_row.expiry_month,
               limits = v_row.limits, metadata = v_row.metadata, version = w.version + 1,
               updated_at = clock_timestamp()
         where w.tenant_id = p_tenant and w.wallet_id = v_row.wallet_id
        returning w.* into v_row;
        perform loyalty.change_add(p_tenant, 'wallet', v_row.wallet_id::text);
        v_answer := loyalty.answer(200, loyalty.wallet_text(v_row),
                                   loyalty.etag_line(v_row.version), '[{"k":"directory"}]');
    end if;
    return loyalty.idempotency_end(p_tenant, p_call, 'wallet_update', v_answer);
end $$;
comment on function api.wallet_update(uuid, jsonb, text, text, jsonb) is
    'PATCH /programs/{program}/wallets/{wallet}';

create or replace function api.wallet_get(p_tenant uuid, p_call jsonb, p_program text,
    p_wallet text) returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.wallet;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select w.* into v_row
      from loyalty.wallet w
     where w.tenant_id = p_tenant and w.wallet_id = loyalty.id_uuid('wal', p_wallet)
       and w.program_id = loyalty.id_uuid('prg', p_program);
    if not found then
        return loyalty.problem(p_call, 404, 'wallet.not_found');
    end if;
    return loyalty.answer(200, loyalty.wallet_text(v_row), loyalty.etag_line(v_row.version));
end $$;
comment on function api.wallet_get(uuid, jsonb, text, text) is
    'GET /programs/{program}/wallets/{wallet}';
