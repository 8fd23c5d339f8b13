-- Answers: problems (RFC 9457), markers the module works on, lists, ETags.
-- Refuses nothing, locks nothing, writes nothing.

create or replace function loyalty.problem_type(p_code text) returns text
language sql immutable parallel safe
return 'urn:loyalty:problem:' || p_code;
comment on function loyalty.problem_type(text) is 'type of a problem';

create or replace function loyalty.problem_json(p_call jsonb, p_status int, p_code text,
    p_detail text, p_errors jsonb) returns jsonb
language plpgsql stable as
$$
begin
    return jsonb_strip_nulls(jsonb_build_object(
        'type', loyalty.problem_type(p_code),
        'title', loyalty.problem_title(p_code),
        'status', p_status,
        'detail', p_detail,
        'instance', p_call ->> 'request_id',
        'code', p_code,
        'errors', p_errors));
end
$$;
comment on function loyalty.problem_json(jsonb, int, text, text, jsonb) is
    'a problem document; p_errors is null or [{pointer, code, detail}]';

create or replace function loyalty.problem(p_call jsonb, p_status int, p_code text,
    p_detail text default null, p_errors jsonb default null) returns api.answer
language plpgsql stable as
$$
declare
    v_answer api.answer;
begin
    v_answer.status := p_status;
    v_answer.body := loyalty.problem_json(p_call, p_status, p_code, p_detail, p_errors)::text;
    return v_answer;
end
$$;
comment on function loyalty.problem(jsonb, int, text, text, jsonb) is 'a refusal as an answer';

create or replace function loyalty.answer(p_status int, p_body text, p_headers text default null,
    p_changes text default null) returns api.answer
language plpgsql immutable parallel safe as
$$
declare
    v_answer api.answer;
begin
    v_answer.status := p_status;
    v_answer.headers := p_headers;
    v_answer.body := p_body;
    v_answer.changes := p_changes;
    return v_answer;
end
$$;
comment on function loyalty.answer(int, text, text, text) is 'an answer of its parts';

-- status 0: seal again under the key of this object and call once more
create or replace function loyalty.reseal(p_object uuid, p_wrapped bytea) returns api.answer
language plpgsql stable as
$$
begin
    return loyalty.answer(0, jsonb_build_object('object_id', p_object,
        'wrapped_key', loyalty.base64(p_wrapped))::text);
end
$$;
comment on function loyalty.reseal(uuid, bytea) is 'asks the module to seal under another key';

-- one line, unlike encode()
create or replace function loyalty.base64(p_bytes bytea) returns text
language sql immutable parallel safe
return replace(encode(p_bytes, 'base64'), E'\n', '');
comment on function loyalty.base64(bytea) is 'base64 in one line';

-- the marker of a sealed value: the module opens it and splices the text
create or replace function loyalty.sealed_out(p_call jsonb, p_object uuid, p_field text,
    p_wrapped bytea, p_sealed text) returns text
language plpgsql stable as
$$
begin
    if p_sealed is null or p_wrapped is null then
        return null;
    end if;
    return 'lys1.' || (p_call ->> 'nonce') || '.' || p_object::text || '.' || p_field || '.'
        || loyalty.base64(p_wrapped) || '.' || p_sealed;
end
$$;
comment on function loyalty.sealed_out(jsonb, uuid, text, bytea, text) is
    'lys1 marker of a sealed field; null where the key is gone (erased)';

-- the marker of a cursor: the module signs it, bound to tenant, operation, filters
create or replace function loyalty.cursor_out(p_call jsonb, p_payload jsonb) returns text
language plpgsql stable as
$$
begin
    if p_payload is null then
        return null;
    end if;
    return 'lyc1.' || (p_call ->> 'nonce') || '.'
        || rtrim(translate(loyalty.base64(convert_to(p_payload::text, 'UTF8')), '+/', '-_'), '=');
end
$$;
comment on function loyalty.cursor_out(jsonb, jsonb) is 'lyc1 marker of a cursor; null for null';

-- limit of a list: 1..100, 25 where none is given
create or replace function loyalty.list_limit(p_limit text) returns int
language plpgsql immutable parallel safe as
$$
begin
    if p_limit is null or p_limit !~ '^[0-9]{1,4}$' then
        return 25;
    end if;
    return greatest(1, least(100, p_limit::int));
end
$$;
comment on function loyalty.list_limit(text) is 'elements of a page';

-- p_next: payload of the cursor of the next page, null at the end
create or replace function loyalty.list_answer(p_call jsonb, p_data json[], p_next jsonb)
returns api.answer
language plpgsql stable as
$$
begin
    return loyalty.answer(200, json_build_object('object', 'list',
        'data', to_json(coalesce(p_data, '{}')),
        'has_more', p_next is not null,
        'next_cursor', loyalty.cursor_out(p_call, p_next))::text);
end
$$;
comment on function loyalty.list_answer(jsonb, json[], jsonb) is 'a page of a list';

create or replace function loyalty.etag(p_version bigint) returns text
language sql immutable parallel safe
return '"v' || p_version || '"';
comment on function loyalty.etag(bigint) is 'ETag of a versioned object';

-- null: go on; else the refusal: 428 without If-Match, 412 if it names another version
create or replace function loyalty.if_match(p_call jsonb, p_version bigint) returns api.answer
language plpgsql stable as
$$
declare
    v_given text := p_call ->> 'if_match';
begin
    if v_given is null then
        return loyalty.problem(p_call, 428, 'precondition.required');
    end if;
    if btrim(v_given) <> '*' and not (loyalty.etag(p_version) = any
            (regexp_split_to_array(btrim(v_given), '\s*,\s*'))) then
        return loyalty.problem(p_call, 412, 'precondition.failed');
    end if;
    return null;
end
$$;
comment on function loyalty.if_match(jsonb, bigint) is 'checks If-Match against a version';
