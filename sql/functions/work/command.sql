-- Commands: what an operation of the API asks the worker to do. Claim, compute and settle are one
-- transaction; a command that no worker can settle is answered with a problem.

-- The oldest queued command, with what its kind needs. document: of rule.publish, the draft.
-- Locks: command, then rule. Writes nothing.
create or replace function work.command_claim(p_worker uuid)
returns table (tenant_id uuid, command_id uuid, kind text, document text)
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
#variable_conflict use_column
declare
    v_row loyalty.command;
    v_document text;
begin
    select c.* into v_row
      from loyalty.command c
     where c.state = 'queued'
     order by c.created_at
     limit 1
       for update skip locked;
    if not found then
        return;
    end if;
    perform set_config('app.tenant_id', v_row.tenant_id::text, true);
    if v_row.kind = 'rule.publish' then
        select r.draft::text into v_document
          from loyalty.rule r
         where r.tenant_id = v_row.tenant_id and r.rule_id = (v_row.args->>'rule')::uuid
           for no key update;
    end if;
    return query select v_row.tenant_id, v_row.command_id, v_row.kind, v_document;
end $$;
comment on function work.command_claim(uuid) is 'the next command to work on';

-- p_answer: {"status":422,"code","detail","errors":[{"pointer","code","detail"}]}, or for what
-- compiled {"status":200,"document" (normal form),"program","checksum","catalogue" (hex),
-- "base","wallets":[codes of the effects]}.
-- Writes: command; for rule.publish rule_version, rule, change, outbox.
create or replace function work.command_settle(p_tenant uuid, p_command uuid, p_answer jsonb)
returns int
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.command;
    v_answer jsonb := p_answer;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    select c.* into v_row
      from loyalty.command c
     where c.tenant_id = p_tenant and c.command_id = p_command
       for update;
    if not found or v_row.state = 'done' then
        return 0;
    end if;
    if v_row.kind = 'rule.publish' and (p_answer->>'status')::int = 200 then
        v_answer := loyalty.rule_publish(p_tenant, v_row, p_answer);
    end if;
    update loyalty.command c
       set state = 'done', status = (v_answer->>'status')::smallint, answer = v_answer,
           done_at = clock_timestamp()
     where c.tenant_id = p_tenant and c.command_id = p_command;
    return (v_answer->>'status')::int;
end $$;
comment on function work.command_settle(uuid, uuid, jsonb) is 'answers a command';

create or replace function loyalty.rule_publish(p_tenant uuid, p_command loyalty.command,
    p_compiled jsonb) returns jsonb
language plpgsql as $$
declare
    v_rule loyalty.rule;
    v_now timestamptz := loyalty.tenant_now(p_tenant);
    v_number int;
    v_errors jsonb;
begin
    select r.* into v_rule
      from loyalty.rule r
     where r.tenant_id = p_tenant and r.rule_id = (p_command.args->>'rule')::uuid
       for update;
    if v_rule.state = 'archived' then
        return jsonb_build_object('status', 409, 'code', 'rule.state');
    end if;
    if v_rule.version <> (p_command.args->>'version')::bigint then
        return jsonb_build_object('status', 412, 'code', 'precondition.failed');
    end if;
    -- points can only go into wallets of the rule's own program
    select jsonb_agg(jsonb_build_object('pointer', '/effects/' || (w.n - 1) || '/wallet',
               'code', 'wallet.not_found', 'detail', 'The program has no such wallet.')
               order by w.n)
      into v_errors
      from jsonb_array_elements_text(p_compiled->'wallets') with ordinality as w (code, n)
     where not exists (select from loyalty.wallet x
                        where x.tenant_id = p_tenant and x.code = w.code
                          and x.program_id = v_rule.program_id);
    if (p_compiled->>'base')::boolean
       and exists (select from loyalty.rule r
                    where r.tenant_id = p_tenant and r.program_id = v_rule.program_id
                      and r.rule_id <> v_rule.rule_id and r.is_base
                      and r.state in ('active', 'paused'))
    then
        v_errors := coalesce(v_errors, '[]') || jsonb_build_array(jsonb_build_object(
            'pointer', '/base', 'code', 'value.invalid',
            'detail', 'Another rule of the program is its base.'));
    end if;
    if v_errors is not null then
        return jsonb_build_object('status', 422, 'code', 'rule.invalid', 'errors', v_errors);
    end if;

    select coalesce(max(v.number), 0) + 1 into v_number
      from loyalty.rule_version v
     where v.tenant_id = p_tenant and v.rule_id = v_rule.rule_id;
    update loyalty.rule_version v
       set superseded_at = v_now
     where v.tenant_id = p_tenant and v.rule_id = v_rule.rule_id and v.superseded_at is null;
    insert into loyalty.rule_version (tenant_id, rule_version_id, rule_id, number, document,
        program, checksum, catalogue_digest, published_at)
    values (p_tenant, loyalty.uuid_v7(), v_rule.rule_id, v_number,
        (p_compiled->>'document')::jsonb, decode(p_compiled->>'program', 'hex'),
        decode(p_compiled->>'checksum', 'hex'), decode(p_compiled->>'catalogue', 'hex'), v_now);
    update loyalty.rule r
       set state = 'active', published_number = v_number,
           is_base = (p_compiled->>'base')::boolean, version = r.version + 1,
           updated_at = clock_timestamp()
     where r.tenant_id = p_tenant and r.rule_id = v_rule.rule_id;
    perform loyalty.change_add(p_tenant, 'program', v_rule.program_id::text);
    perform loyalty.outbox_add(p_tenant, 'rule.published', null, v_now, jsonb_build_object(
        'rule', loyalty.id_text('rul', v_rule.rule_id), 'version', v_number));
    return jsonb_build_object('status', 200, 'rule', v_rule.rule_id, 'number', v_number);
end $$;
comment on function loyalty.rule_publish(uuid, loyalty.command, jsonb) is
    'puts a compiled draft in force';
