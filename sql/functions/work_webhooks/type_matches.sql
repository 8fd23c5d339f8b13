-- loyalty.webhook_type_matches: whether an endpoint wants a type. An empty
-- list or "*" wants all; "points.*" wants every type that begins "points.".
-- Pure.
create or replace function loyalty.webhook_type_matches(p_types text[], p_type text)
returns boolean
language plpgsql immutable parallel safe security invoker
as $$
declare
    v_type text;
begin
    if p_types is null or cardinality(p_types) = 0 then
        return true;
    end if;

    foreach v_type in array p_types loop
        if v_type = '*' or v_type = p_type then
            return true;
        end if;

        if right(v_type, 2) = '.*' and starts_with(p_type, left(v_type, -1)) then
            return true;
        end if;
    end loop;

    return false;
end
$$;

comment on function loyalty.webhook_type_matches(text[], text) is
    'Whether an endpoint with these event types wants this one.';
