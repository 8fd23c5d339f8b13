-- GET /members/{member}/balances: one element for each wallet, now.
-- Refuses: 404 member.not_found, 409 member.ambiguous.
-- Locks nothing, writes nothing: what is due is shown, not booked.

create or replace function api.balance_list(p_tenant uuid, p_call jsonb, p_member text)
returns api.answer
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as
$$
declare
    v_found     record;
    v_now       record;
    v_changes   jsonb;
begin
    perform set_config('app.tenant_id', p_tenant::text, true);
    v_found := loyalty.member_find(p_tenant, p_member);
    if v_found.code is not null then
        return loyalty.problem(p_call,
            case v_found.code when 'member.ambiguous' then 409 else 404 end, v_found.code);
    end if;
    v_now := loyalty.member_balances(p_tenant, v_found.member_id, loyalty.tenant_now(p_tenant));
    v_changes := v_now.fills;
    if left(p_member, 4) = 'ext:' then
        v_changes := v_changes || jsonb_build_object('k', 'alias', 'r', p_member,
                                                     'm', v_found.member_id);
    end if;
    return loyalty.answer(200, json_build_object('object', 'list', 'data', to_json(v_now.data),
        'has_more', false, 'next_cursor', null)::text,
        'ETag: ' || v_now.etag || E'\n', v_changes::text);
end
$$;
comment on function api.balance_list(uuid, jsonb, text) is 'the balances of a member';
