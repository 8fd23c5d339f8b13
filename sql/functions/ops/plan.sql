-- Plans: what a tenant may ask of the edge per second and at once.
-- Writes: plan, change (kind plan). Refuses a member that is missing or below 1 (check constraint).

create or replace function ops.plan_put(p_plan jsonb) returns jsonb
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
declare
    v_row loyalty.plan;
begin
    insert into loyalty.plan as p (plan_code, request_rate, request_burst, key_rate, key_burst,
                                   inflight_writes, inflight_batches)
    values (p_plan->>'code', (p_plan->>'request_rate')::int, (p_plan->>'request_burst')::int,
            (p_plan->>'key_rate')::int, (p_plan->>'key_burst')::int,
            coalesce((p_plan->>'inflight_writes')::int, 64),
            coalesce((p_plan->>'inflight_batches')::int, 16))
    on conflict (plan_code) do update
       set request_rate = excluded.request_rate, request_burst = excluded.request_burst,
           key_rate = excluded.key_rate, key_burst = excluded.key_burst,
           inflight_writes = excluded.inflight_writes,
           inflight_batches = excluded.inflight_batches
    returning p.* into v_row;
    perform loyalty.change_add(null, 'plan', v_row.plan_code);
    return loyalty.dir_plan(v_row);
end $$;
comment on function ops.plan_put(jsonb) is 'makes or changes a plan';

create or replace function ops.plan_list() returns setof jsonb
language plpgsql stable security definer set search_path = '' set app.tenant_id = '' as $$
begin
    return query select loyalty.dir_plan(p) from loyalty.plan p order by p.plan_code;
end $$;
comment on function ops.plan_list() is 'plans';

-- The plans that stand from the beginning: `standard`, and `demo`, which is in nobody's way.
-- One that stands is left as it is.
create or replace function ops.plan_ensure(p_code text) returns void
language plpgsql security definer set search_path = '' set app.tenant_id = '' as $$
begin
    if exists (select from loyalty.plan p where p.plan_code = p_code) then
        return;
    end if;
    if p_code = 'standard' then
        perform ops.plan_put('{"code": "standard", "request_rate": 500, "request_burst": 1000,
            "key_rate": 250, "key_burst": 500, "inflight_writes": 64, "inflight_batches": 16}');
    elsif p_code = 'demo' then
        perform ops.plan_put('{"code": "demo", "request_rate": 1000000,
            "request_burst": 1000000, "key_rate": 1000000, "key_burst": 1000000,
            "inflight_writes": 10000, "inflight_batches": 1000}');
    end if;
end $$;
comment on function ops.plan_ensure(text) is 'makes a plan of those that stand from the beginning';
